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
	flush := func() error { return w.flush(ctx, server, visits) }
	if err := w.withPartitions(ctx, flush, func() []time.Time { return instants(visits) }); err != nil {
		return fmt.Errorf("write samples of server %d: %w", server, statsdb.Classify(err))
	}
	return nil
}

func (w *Writer) flush(ctx context.Context, server target.ID, visits []*sample.Visit) error {
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	defer func() {
		if conn.Conn().PgConn().TxStatus() != 'I' {
			_ = conn.Conn().Close(ctx) // which rolls back
		}
	}()
	// Begin and commit go with the rest: each way there and back costs as much as
	// fifty samples.
	b := &pgx.Batch{}
	b.Queue("begin")
	slots, order := bySlot(server, visits)
	stored, is, err := lockServer(ctx, conn, b, server, 1, order)
	if err == nil {
		err = w.written.check(server, is.statsDB, is.flushes-1)
	}
	if err != nil {
		return err
	}
	b = &pgx.Batch{}
	for _, v := range visits {
		queueVisit(b, server, v)
	}
	for i := range stored {
		slot := stored[i].slot
		slots[slot] = append(slots[slot], &stored[i].Row)
	}
	if len(stored) > 0 {
		b.Queue("/* pgam:flush */ delete from history.activity_recent where server_id = $1 and slot = any ($2)", server, starts(stored))
	}
	late := make(map[time.Time]bool) // buckets that are compacted
	if len(order) > 0 && order[0].Before(is.compactedUntil) {
		b.Queue(sql("list_compacted"), named{"server_id": server, "from": order[0].Truncate(sample.BucketLength)}).Query(func(rows pgx.Rows) error {
			var bucket time.Time
			_, err := pgx.ForEachRow(rows, []any{&bucket}, func() error {
				late[bucket.UTC()] = true
				return nil
			})
			return err
		})
	}
	if len(order) == 0 {
		b.Queue("commit")
	}
	if b.Len() > 0 {
		if err := conn.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
	}
	rows := make([][]any, len(order))
	for i, slot := range order {
		row := sample.Merge(slots[slot]...)
		summary := row.Summary(slot, slot.Add(sample.SlotLength))
		rows[i] = slices.Concat([]any{int64(server), late[row.Bucket]}, summary.Stored(slot).Fields(), row.Fields())
	}
	if len(rows) > 0 {
		columns := slices.Concat([]string{"server_id", "late", "slot"}, summaryColumns, rowColumns)
		if err := copyRows(ctx, conn.Conn(), "activity_recent", columns, rows, "; commit"); err != nil {
			return err
		}
	}
	w.written.note(server, is.statsDB, is.flushes)
	return nil
}

// bySlot makes rows of the ticks of visits, each of one slot, and gives the slots in
// the order of time.
func bySlot(server target.ID, visits []*sample.Visit) (slots map[time.Time][]*sample.Row, order []time.Time) {
	slots = make(map[time.Time][]*sample.Row)
	var run []*sample.Tick
	end := func() {
		if len(run) == 0 {
			return
		}
		slot := run[0].Planned.Truncate(sample.SlotLength)
		if slots[slot] == nil {
			order = append(order, slot)
		}
		row := sample.NewRow(server, run...)
		slots[slot], run = append(slots[slot], &row), nil
	}
	for _, v := range visits {
		if v.Tick == nil {
			continue
		}
		if n := len(run); n > 0 {
			at, last := v.Tick.Planned, run[n-1].Planned
			if at.Unix() <= last.Unix() || !at.Truncate(sample.SlotLength).Equal(last.Truncate(sample.SlotLength)) {
				end()
			}
		}
		run = append(run, v.Tick)
	}
	end()
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
	statsDB        string
	flushes        int64
	compactedUntil time.Time // zero: no bucket was
}

// sender is a transaction, or the connection of one.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// lockServer keeps others from writing or compacting the server's samples until
// the end of the transaction, counts flushes, and reads some of its slots after
// that: all of it after what is in b.
func lockServer(ctx context.Context, tx sender, b *pgx.Batch, server target.ID, flushes int, slots []time.Time) (rows []stored, p progress, err error) {
	b.Queue("/* pgam:lock */ set local lock_timeout = '2s'")
	b.Queue(sql("lock_server"), named{"server_id": server, "flushes": flushes}).QueryRow(func(row pgx.Row) error {
		var until *time.Time
		err := row.Scan(&p.flushes, &until)
		if until != nil {
			p.compactedUntil = *until
		}
		return err
	})
	b.Queue("/* pgam:lock */ select id from pgam.instance").QueryRow(func(row pgx.Row) error { return row.Scan(&p.statsDB) })
	if len(slots) > 0 {
		// A statement sees what was committed before it began: the row is locked by then.
		b.Queue(sql("read_slots"), named{"server_id": server, "slots": slots}).Query(func(r pgx.Rows) (err error) {
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
	}
	return rows, p, tx.SendBatch(ctx, b).Close()
}
