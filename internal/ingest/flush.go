package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Writer writes the history. It is safe for concurrent use.
type Writer struct {
	db      *statsdb.DB
	pool    *pgxpool.Pool
	hash    sample.Hash
	written written

	failed, failedDatabases failed

	expired atomic.Int64
}

// New makes a Writer on stats_db. The hash names labels: it is that of all
// collectors.
func New(db *statsdb.DB, hash sample.Hash) *Writer {
	return &Writer{db: db, pool: db.Pool(), hash: hash}
}

var errMalformed = errors.New("a row of samples does not fit itself")

// Append writes visits of one server, of any time and in any order, in one
// transaction. Writing them twice stores them once; a partition that is missing
// is made. Ticks and looks at databases that are older than what is kept of them
// are left out: see Expired. It writes nothing to a stats_db that is not the one of before:
// ErrReplaced.
func (w *Writer) Append(ctx context.Context, server target.ID, visits []*sample.Visit) error {
	visits, err := w.unexpired(ctx, visits)
	if err != nil {
		return fmt.Errorf("look what is still kept: %w", statsdb.Classify(err))
	}
	var rows []*sample.Row
	for _, v := range visits {
		if v.Tick != nil {
			row := sample.NewRow(server, v.Tick)
			rows = append(rows, &row)
		}
	}
	flush := func() error {
		return w.flush(ctx, server, rows, func(b *pgx.Batch) {
			for _, v := range visits {
				queueVisit(b, server, v)
			}
		})
	}
	if err := w.withPartitions(ctx, flush, func() []time.Time { return instants(visits) }); err != nil {
		return fmt.Errorf("write samples of server %d: %w", server, statsdb.Classify(err))
	}
	return nil
}

// flush writes rows of any of a server's buckets, which may overlap each other and
// what is stored, after what queue adds. Each is one tick or several.
func (w *Writer) flush(ctx context.Context, server target.ID, rows []*sample.Row, queue func(*pgx.Batch)) error {
	slots, order := bySlot(rows)
	var is progress
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		stored, found, err := lockServer(ctx, tx, server, order)
		if err != nil {
			return err
		}
		if err := w.written.check(server, found.statsDB, found.flushes); err != nil {
			return err
		}
		is = found
		b := &pgx.Batch{}
		queue(b)
		for i := range stored {
			slot := stored[i].slot
			slots[slot] = append(slots[slot], &stored[i].Row)
		}
		if len(stored) > 0 {
			b.Queue("/* pgam:flush */ delete from history.activity_recent where server_id = $1 and slot = any ($2)", server, starts(stored))
		}
		for _, slot := range order {
			row := sample.Merge(slots[slot]...)
			summary := row.Summary(slot, slot.Add(sample.SlotLength))
			args := summaryArgs(rowArgs(&row), slot, &summary)
			args["slot"] = slot
			b.Queue(sql("insert_slot"), args)
		}
		b.Queue("/* pgam:flush */ update history.progress set flushed_at = now(), flushes = flushes + 1 where server_id = $1", server)
		return tx.SendBatch(ctx, b).Close()
	})
	if err == nil {
		w.written.note(server, is.statsDB, is.flushes+1)
	}
	return err
}

// bySlot cuts rows into slots, and gives those in the order of time.
func bySlot(rows []*sample.Row) (slots map[time.Time][]*sample.Row, order []time.Time) {
	slots = make(map[time.Time][]*sample.Row)
	for _, r := range rows {
		parts := sample.BySlot(r)
		for i := range parts {
			slot := parts[i].PlannedAt(0).Truncate(sample.SlotLength)
			if slots[slot] == nil {
				order = append(order, slot)
			}
			slots[slot] = append(slots[slot], &parts[i])
		}
	}
	slices.SortFunc(order, time.Time.Compare)
	return slots, order
}

// stored is a recent row.
type stored struct {
	slot time.Time
	sample.Row
}

func starts(rows []stored) []time.Time {
	all := make([]time.Time, len(rows))
	for i := range rows {
		all[i] = rows[i].slot
	}
	return all
}

// progress is what is known of a server whose row is locked, and which stats_db
// that is.
type progress struct {
	statsDB string
	flushes int64
}

// lockServer keeps others from writing or compacting the server's samples until
// the end of the transaction, and reads some of its slots after that.
func lockServer(ctx context.Context, tx pgx.Tx, server target.ID, slots []time.Time) (rows []stored, p progress, err error) {
	b := &pgx.Batch{}
	b.Queue("/* pgam:lock */ set local lock_timeout = '2s'")
	b.Queue("/* pgam:lock */ insert into history.progress (server_id) values ($1) on conflict do nothing", server)
	b.Queue("/* pgam:lock */ select flushes from history.progress where server_id = $1 for update", server).QueryRow(func(row pgx.Row) error {
		return row.Scan(&p.flushes)
	})
	b.Queue("/* pgam:lock */ select id from pgam.instance").QueryRow(func(row pgx.Row) error { return row.Scan(&p.statsDB) })
	// A statement sees what was committed before it began: the row is locked by then.
	b.Queue(sql("read_slots"), pgx.NamedArgs{"server_id": server, "slots": slots}).Query(func(r pgx.Rows) error {
		rows, err = pgx.CollectRows(r, func(row pgx.CollectableRow) (s stored, err error) {
			err = row.Scan(append([]any{&s.slot}, s.Fields()...)...)
			s.slot = s.slot.UTC()
			s.Server, s.Bucket = server, s.slot.Truncate(sample.BucketLength)
			if err == nil && !s.Fits() {
				err = errMalformed
			}
			return s, err
		})
		return err
	})
	return rows, p, tx.SendBatch(ctx, b).Close()
}
