package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Events gives what explains steps in the charts of a server, the newest first:
// its own events, and those of the monitor.
func (s *Store) Events(ctx context.Context, t target.Target, q history.EventQuestion) ([]history.Event, error) {
	if err := s.stillKept(ctx, t, "event", "events", q.Range); err != nil {
		return nil, err
	}
	// The two parts are read by the key, a page of each at most.
	const sql = `/* pgam:events */
select at, monitor, kind, subject, old, new, detail
  from unnest(array[$1::int8, 0], array[false, true]) as s (id, monitor)
 cross join lateral (
        select at, kind, subject, old, new, detail
          from history.event
         where server_id = s.id
           and at >= $2
           and at < $3
           and ($4::text[] is null or kind = any ($4))
           and ($5::timestamptz is null
                or (at, s.monitor, kind collate "C", subject collate "C") < ($5, $6, $7 collate "C", $8 collate "C"))
         order by at desc, kind collate "C" desc, subject collate "C" desc
         limit $9) e
 order by at desc, monitor desc, kind collate "C" desc, subject collate "C" desc
 limit $9`
	var kinds []string
	for _, k := range q.Kinds {
		kinds = append(kinds, string(k))
	}
	args := []any{t.ID, q.Range.From, q.Range.To, kinds, nil, false, "", "", q.Limit}
	if b := q.Before; b != nil {
		args[4], args[5], args[6], args[7] = b.At, b.Monitor, b.Kind, b.Subject
		if until := b.At.Add(time.Microsecond); until.Before(q.Range.To) {
			args[2] = until // the pages before need not be read again
		}
	}
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", statsdb.Classify(err))
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e history.Event, err error) {
		var kind string
		err = row.Scan(&e.At, &e.Monitor, &kind, &e.Subject, &e.Old, &e.New, &e.Detail)
		e.At, e.Kind = e.At.UTC(), sample.EventKind(kind)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", statsdb.Classify(err))
	}
	return events, nil
}
