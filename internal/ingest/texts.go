package ingest

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// forgetChunk is how many texts one transaction takes away: few enough to take
// tens of milliseconds.
const forgetChunk = 2000

// ForgetTexts takes away the texts that servers' query_texts do not allow: those
// with literals where normalized ones are kept, all where none are. It works in
// short transactions, waits for nobody, and leaves rows alone that are being
// written just now: what was written before the server became stricter needs a
// call after that. It returns how many texts it took away, also with an error.
func (w *Writer) ForgetTexts(ctx context.Context) (texts int64, err error) {
	rows, err := w.pool.Query(ctx, "/* pgam:forget */ select id, query_texts from pgam.server where query_texts <> 'full' order by id")
	if err != nil {
		return 0, fmt.Errorf("list servers that keep no full texts: %w", statsdb.Classify(err))
	}
	type server struct {
		ID    target.ID
		Texts target.QueryTexts
	}
	servers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[server])
	if err != nil {
		return 0, fmt.Errorf("list servers that keep no full texts: %w", statsdb.Classify(err))
	}
	for _, srv := range servers {
		n, err := w.forgetTexts(ctx, srv.ID, srv.Texts)
		texts += n
		if err != nil {
			return texts, fmt.Errorf("take away texts of server %d: %w", srv.ID, statsdb.Classify(err))
		}
	}
	return texts, nil
}

func (w *Writer) forgetTexts(ctx context.Context, server target.ID, keep target.QueryTexts) (texts int64, err error) {
	args := named{"server_id": server, "all": keep == target.TextsNone, "after": int64(math.MinInt64), "chunk": forgetChunk}
	for {
		var n, last int64
		if err := w.pool.QueryRow(ctx, sql("forget_texts"), args).Scan(&n, &last); err != nil {
			return texts, err
		}
		texts += n
		if n < forgetChunk {
			return texts, nil
		}
		args["after"] = last
	}
}
