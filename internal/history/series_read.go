package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// DatabaseRates gives what the databases of a server did over time, templates
// left out. The error wraps ErrGone where the range begins before what is kept.
func (r *Reader) DatabaseRates(ctx context.Context, t target.Target, plan Plan) (DatabaseRates, error) {
	if err := r.stillKept(ctx, t, plan.table("database_stat"), "statistics of databases", plan.Range); err != nil {
		return DatabaseRates{}, statsdb.Classify(err)
	}
	answers, err := r.databaseRates(ctx, t.ID, plan)
	if err != nil {
		return DatabaseRates{}, err
	}
	return answers[0], nil
}

// table is what a plan reads, as stillKept calls it; raw is that of samples.
func (p Plan) table(raw string) string {
	if p.Grain == GrainSample {
		return raw
	}
	return fmt.Sprintf("database_rollup/%d", p.Grain.Step()/time.Second)
}

// databaseRates is DatabaseRates of whatever is kept, as planned once or more, all
// of one state of stats_db.
func (r *Reader) databaseRates(ctx context.Context, server target.ID, plans ...Plan) ([]DatabaseRates, error) {
	var answers []DatabaseRates
	err := r.databases(ctx, server, nil, func(q *databaseQuery) error {
		for _, plan := range plans {
			a := rates{query: q, answer: DatabaseRates{Plan: plan, Times: plan.Times()}, entries: make(map[int]*rateSums)}
			var err error
			if plan.Grain == GrainSample {
				err = q.rows(ctx, plan.Range.From, plan.Range.To, a.rows)
			} else {
				err = q.sums(ctx, plan.Range, plan.Grain.Step(), a.sum)
			}
			if err != nil {
				return err
			}
			a.end()
			answers = append(answers, a.answer)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read databases over time: %w", statsdb.Classify(err))
	}
	return answers, nil
}

// rates is a question about rates while it is answered.
type rates struct {
	query   *databaseQuery
	answer  DatabaseRates
	entries map[int]*rateSums // by entry of the inventory
}

// rateSums is one database while its buckets are summed up.
type rateSums struct {
	DatabaseRate

	seconds, backendSeconds []float64 // of connections
}

// of gives the sums of the database that an oid had in a stretch of time; nil
// where the inventory has none.
func (a *rates) of(oid uint32, span Range) *rateSums {
	entry, ok := a.query.naming.in(oid, span)
	if !ok {
		return nil
	}
	s := a.entries[entry]
	if s == nil {
		n := len(a.answer.Times)
		s = &rateSums{NewDatabaseRate(a.query.list[entry].Name, n), make([]float64, n), make([]float64, n)}
		a.entries[entry] = s
	}
	return s
}

// bucket gives the index of the bucket that holds an instant.
func (a *rates) bucket(at time.Time) int { return int(at.Sub(a.answer.Times[0]) / a.answer.Plan.Step) }

// rows takes the rows of a database. Without connections they are of shared
// objects.
func (a *rates) rows(oid uint32, rows []sample.DatabaseStat, looks []time.Time) {
	span, step := a.answer.Plan.Range, a.answer.Plan.Step
	for s := range sample.Stretches(rows, looks) {
		sums := a.of(oid, Range{s.Row.At, s.Row.At.Add(1)})
		if sums == nil || !s.Row.Backends.Known {
			continue
		}
		connections := s.Row.Backends.V
		if span.Holds(s.Row.At) {
			sums.stood(a.bucket(s.Row.At), 0, float64(connections))
		}
		overlaps := func(from, to time.Time, part func(b int, from, to time.Time)) {
			from, to = later(from, span.From), earlier(to, span.To)
			sample.Overlaps(from, to, a.answer.Times[0], span.To, step, part)
		}
		overlaps(s.Row.At, s.Stands, func(b int, from, to time.Time) { sums.stood(b, to.Sub(from).Seconds(), float64(connections)) })
		overlaps(s.Delta.Since, s.Delta.Until, func(b int, from, to time.Time) {
			sums.Seconds[b] += to.Sub(from).Seconds()
			part := s.Delta.Part(from, to)
			sums.count(b, func(c sample.Counter) float64 { return part * float64(s.Delta.Counters[c].V) })
			within := s.Delta.Within(from, to)
			sums.Deadlocks[b] += within.Counters[sample.Deadlocks].V // they are told one by one, and not cut
		})
	}
}

// sum takes what a database did in ten minutes, an hour or a day.
func (a *rates) sum(s *databaseSum) {
	sums := a.of(s.oid, s.bucket)
	if sums == nil {
		return
	}
	b := a.bucket(s.bucket.From)
	if s.MaxBackends.Known {
		sums.stood(b, 0, float64(s.MaxBackends.V))
	}
	if s.Seconds > 0 {
		sums.stood(b, s.Seconds, s.BackendSeconds/s.Seconds)
	}
	sums.Seconds[b] += s.CountedSeconds
	sums.count(b, func(c sample.Counter) float64 { return float64(s.Counters[c].V) })
	sums.Deadlocks[b] += s.Counters[sample.Deadlocks].V
}

// stood says that so many connections stood for some time of a bucket; zero: there
// was an instant at which they did.
func (s *rateSums) stood(b int, seconds, connections float64) {
	s.Known[b] = true
	s.seconds[b] += seconds
	s.backendSeconds[b] += seconds * connections
	s.MaxConnections[b] = max(s.MaxConnections[b], int32(math.Ceil(connections)))
}

// count adds to the counters of a bucket.
func (s *rateSums) count(b int, added func(sample.Counter) float64) {
	s.Commits[b] += added(sample.XactCommit)
	s.Rollbacks[b] += added(sample.XactRollback)
	s.BlocksRead[b] += added(sample.BlksRead)
	s.BlocksHit[b] += added(sample.BlksHit)
	s.TempBytes[b] += added(sample.TempBytes)
}

// end gives the databases by name; of those that had the same one after the other,
// the first in the inventory first.
func (a *rates) end() {
	for _, entry := range slices.Sorted(maps.Keys(a.entries)) {
		s := a.entries[entry]
		for b, known := range s.Known {
			switch {
			case !known:
			case s.seconds[b] > 0:
				s.Connections[b] = s.backendSeconds[b] / s.seconds[b]
			default:
				s.Connections[b] = float64(s.MaxConnections[b])
			}
		}
		if slices.Contains(s.Known, true) || slices.ContainsFunc(s.Seconds, func(n float64) bool { return n > 0 }) {
			a.answer.Databases = append(a.answer.Databases, s.DatabaseRate)
		}
	}
	slices.SortStableFunc(a.answer.Databases, func(a, b DatabaseRate) int { return strings.Compare(a.Name, b.Name) })
}

// DatabaseSizes gives how large the databases of a server were over time,
// templates left out. The error is as of DatabaseRates.
func (r *Reader) DatabaseSizes(ctx context.Context, t target.Target, plan Plan) (DatabaseSizes, error) {
	answer := DatabaseSizes{Plan: plan, Times: plan.Times()}
	if err := r.stillKept(ctx, t, plan.table("database_size"), "sizes of databases", plan.Range); err != nil {
		return DatabaseSizes{}, statsdb.Classify(err)
	}
	err := r.databases(ctx, t.ID, nil, func(q *databaseQuery) error {
		sizes, err := q.sizesOver(ctx, plan)
		for i, d := range q.list {
			if series, known := sizesOf(i, d, q.naming, sizes[d.OID], answer); known && q.naming.shown[i] {
				answer.Databases = append(answer.Databases, series)
			}
		}
		return err
	})
	if err != nil {
		return answer, fmt.Errorf("read sizes: %w", statsdb.Classify(err))
	}
	slices.SortStableFunc(answer.Databases, func(a, b DatabaseSizeSeries) int { return strings.Compare(a.Name, b.Name) })
	return answer, nil
}

// sizesOver gives the sizes that a plan needs, the newest of each rollup of its
// grain as far as those are right.
func (q *databaseQuery) sizesOver(ctx context.Context, plan Plan) (map[uint32][]sizeAt, error) {
	span := Range{plan.Range.From.Add(-sizeLookback), plan.Range.To}
	if plan.Grain == GrainSample {
		return q.sizes(ctx, span)
	}
	sizes := make(map[uint32][]sizeAt)
	closed := later(span.From, earlier(span.To, Floor(q.closed, plan.Grain.Step())))
	err := q.addSizes(ctx, sizes, "database_rollup_sizes", pgx.NamedArgs{"step_seconds": int(plan.Grain.Step() / time.Second), "from": span.From, "to": closed})
	if err == nil {
		err = q.addSizes(ctx, sizes, "database_sizes", pgx.NamedArgs{"from": closed, "to": span.To})
	}
	return sizes, err
}

// sizesOf gives the sizes of one entry of the inventory: the newest at the end of
// each bucket in which the database had its name.
func sizesOf(entry int, d Database, naming naming, sizes []sizeAt, a DatabaseSizes) (series DatabaseSizeSeries, known bool) {
	series = DatabaseSizeSeries{Name: d.Name, Bytes: make([]*int64, len(a.Times))}
	slices.SortFunc(sizes, func(a, b sizeAt) int { return cmp.Compare(a.at.UnixMicro(), b.at.UnixMicro()) })
	next := 0
	var newest *sizeAt
	for b, start := range a.Times {
		end := start.Add(a.Plan.Step)
		for next < len(sizes) && sizes[next].at.Before(end) {
			newest = &sizes[next]
			next++
		}
		has, ok := naming.in(d.OID, Range{start, end})
		if newest == nil || !ok || has != entry || newest.at.Before(start.Add(-sizeLookback)) {
			continue
		}
		series.Bytes[b], known = &newest.bytes, true
	}
	return series, known
}
