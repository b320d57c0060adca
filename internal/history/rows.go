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
	// only are the sessions that it is about: of rows without them there are the
	// ticks alone. nil: all.
	only []sample.Key
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
	args["only"] = what.only
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

// readAtOnce is how much of a range is read before it is asked whether that will do:
// whole buckets.
const readAtOnce = 3 * sample.BucketLength

// newestFirst is rows of a range, the newest part of it first: after each part more
// says whether to go on. It gives what was read.
func (r *Reader) newestFirst(
	ctx context.Context, server target.ID, span Range, what parts, visit func(row *sample.Row, within Range) error, more func() (bool, error),
) (Range, error) {
	read := Range{span.To, span.To}
	for span.From.Before(read.From) {
		part := Range{later(span.From, Floor(read.From.Add(-1), readAtOnce)), read.From}
		if err := r.rows(ctx, server, []Range{part}, what, visit); err != nil {
			return read, err
		}
		read.From = part.From
		if goOn, err := more(); err != nil || !goOn {
			return read, err
		}
	}
	return read, nil
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
