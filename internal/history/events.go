package history

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Events gives what explains steps in the charts of a server, the newest first:
// its own events, and those of the monitor. The error wraps ErrGone where the range
// begins before what is kept.
func (r *Reader) Events(ctx context.Context, t target.Target, q EventQuestion) ([]Event, error) {
	if err := r.stillKept(ctx, t, "event", "events", q.Range); err != nil {
		return nil, statsdb.Classify(err)
	}
	var kinds []string
	for _, k := range q.Kinds {
		kinds = append(kinds, string(k))
	}
	args := pgx.NamedArgs{
		"server_id": t.ID, "from": q.Range.From, "to": q.Range.To, "kinds": kinds, "most": q.Limit,
		"before_at": nil, "before_monitor": false, "before_kind": "", "before_subject": "",
	}
	if b := q.Before; b != nil {
		args["before_at"], args["before_monitor"], args["before_kind"], args["before_subject"] = b.At, b.Monitor, b.Kind, b.Subject
		if until := b.At.Add(time.Microsecond); until.Before(q.Range.To) {
			args["to"] = until // the pages before need not be read again
		}
	}
	rows, err := r.pool.Query(ctx, sql("events"), args)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", statsdb.Classify(err))
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Event, err error) {
		err = row.Scan(&e.At, &e.Monitor, &e.Kind, &e.Subject, &e.Old, &e.New, &e.Detail)
		e.At = e.At.UTC()
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", statsdb.Classify(err))
	}
	return events, nil
}
