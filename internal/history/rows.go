package history

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

var errMalformed = errors.New("a row of samples does not fit itself")

// parts says what of rows is read beside their ticks.
type parts struct {
	samples bool // session, wait and query of each
	whole   bool // all of each, with samples
	edges   bool // who waits for whom
}

// queueRows gives the rows of samples with ticks in some ranges, which are disjoint,
// in the order of time: of a bucket that is compacted its parts, of any other its
// recent rows, so each tick is there once. A row has other ticks too: within is the
// range. What visit is given is good until it returns; what was not asked for is
// nil in it.
func queueRows(b *pgx.Batch, server target.ID, ranges []Range, what parts, visit func(row *sample.Row, within Range) error) {
	if len(ranges) == 0 {
		return
	}
	args := rangeArgs(server, ranges)
	args["samples"], args["whole"], args["edges"] = what.samples, what.whole, what.edges
	var (
		row    = &sample.Row{Server: server}
		within Range
	)
	b.Queue(sql("rows"), args).Query(each(append([]any{&within.From, &within.To, &row.Bucket}, row.Fields()...), func() error {
		row.Bucket, within = row.Bucket.UTC(), Range{within.From.UTC(), within.To.UTC()}
		if !what.whole { // as long as the others, had they been read
			row.QueryStart, row.XactLead = row.Session, row.Session
		}
		if !row.Fits() {
			return errMalformed
		}
		if !what.whole {
			row.QueryStart, row.XactLead = nil, nil
		}
		return visit(row, within)
	}))
}

// rows is queueRows alone.
func (r *Reader) rows(ctx context.Context, server target.ID, ranges []Range, what parts, visit func(row *sample.Row, within Range) error) error {
	b := &pgx.Batch{}
	queueRows(b, server, ranges, what, visit)
	return r.send(ctx, b)
}

// rangeArgs are those of a statement about some ranges, which are in the order of
// time. What lies between the first and the last instant is for PostgreSQL to leave
// out partitions before it begins.
func rangeArgs(server target.ID, ranges []Range) pgx.NamedArgs {
	from, to := make([]time.Time, len(ranges)), make([]time.Time, len(ranges))
	for i, one := range ranges {
		from[i], to[i] = one.From, one.To
	}
	return pgx.NamedArgs{"server_id": server, "from": from, "to": to, "first": from[0], "last": to[len(to)-1]}
}
