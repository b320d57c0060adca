package store

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// DatabaseRates gives what the databases of a server did over time, templates
// left out.
func (s *Store) DatabaseRates(ctx context.Context, t target.Target, plan history.SeriesPlan) (history.DatabaseRates, error) {
	if err := s.stillKept(ctx, t, seriesTable(plan, "database_stat"), "statistics of databases", plan.Range); err != nil {
		return history.DatabaseRates{}, err
	}
	return s.databaseRates(ctx, t.ID, plan)
}

// databaseRates is DatabaseRates of whatever is kept.
func (s *Store) databaseRates(ctx context.Context, id target.ID, plan history.SeriesPlan) (history.DatabaseRates, error) {
	q := rateQuery{
		answer: history.DatabaseRates{Plan: plan, Times: plan.Times()},
		held:   make(map[uint32]heldSample), entries: make(map[int32]*rateSums),
	}
	read := q.rollups(id)
	if plan.Grain == history.SeriesSample {
		read = q.samples(id)
	}
	if err := s.ask(ctx, inventory(id, nil, &q.list), read); err != nil {
		return q.answer, fmt.Errorf("read databases over time: %w", statsdb.Classify(err))
	}
	q.finish()
	return q.answer, nil
}

// rateQuery is a question about rates while it is answered.
type rateQuery struct {
	answer  history.DatabaseRates
	list    []history.Database
	names   naming
	held    map[uint32]heldSample // of each database, the sample before
	entries map[int32]*rateSums
}

// heldSample is a sample that stands for what follows.
type heldSample struct {
	at          int64 // microseconds since the Unix epoch
	epoch       int64
	connections int32
}

// rateSums is one database while its buckets are summed up.
type rateSums struct {
	history.DatabaseRate

	seconds, backendSeconds []float64 // of connections
}

// of gives the sums of the database that an oid had at an instant, for an
// interval; nil where the inventory has none.
func (q *rateQuery) of(oid uint32, from, to int64) *rateSums {
	if q.names.byOID == nil {
		q.names = newNaming(q.list, nil)
	}
	entry, ok := q.names.byOID[oid].in(from, to)
	if !ok {
		return nil
	}
	sums := q.entries[entry]
	if sums == nil {
		n := len(q.answer.Times)
		sums = &rateSums{
			DatabaseRate: history.NewDatabaseRate(q.list[entry].Name, n), seconds: make([]float64, n), backendSeconds: make([]float64, n),
		}
		q.entries[entry] = sums
	}
	return sums
}

// bucket gives the index of the bucket that holds an instant.
func (q *rateQuery) bucket(at int64) int {
	return int((at - q.answer.Times[0].UnixMicro()) / q.answer.Plan.Step.Microseconds())
}

// samples asks for every stored sample of the range, and those around it that
// say what stood at its ends.
func (q *rateQuery) samples(id target.ID) question {
	return question{
		name: "pgam_rates",
		sql: `/* pgam:database_rates */
select sampled_at, database_oid, numbackends, epoch, interval_seconds, xact_commit, xact_rollback, blks_read, blks_hit, temp_bytes, deadlocks
  from history.database_stat
 where server_id = $1
   and sampled_at >= $2
   and sampled_at < $3
   and numbackends is not null
 order by sampled_at`,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(q.answer.Plan.Range.From.Add(-sample.MaxHeld))
			p.time(q.answer.Plan.Range.To.Add(sample.MaxHeld))
		},
		row: func(v values) { q.sample(v.micros(0), v.oid(1), v) },
	}
}

// sample takes one sample. Its counts are of its interval, and between the
// sample before and that interval nothing happened: both counts and time are
// shared out over the buckets. The connections of the sample before stand for
// the time between, if that is not too long.
func (q *rateQuery) sample(at int64, oid uint32, v values) {
	before, follows := q.held[oid]
	epoch, counted := v.micros(3), at-int64(math.Round(v.float8(4)*1e6))
	q.held[oid] = heldSample{at, epoch, v.int4(2)}
	since := counted
	if follows && before.epoch == epoch {
		since = min(before.at, counted)
	}
	r := q.answer.Plan.Range
	if sums := q.of(oid, since, since+1); sums != nil && counted < at {
		if follows && before.epoch == epoch {
			q.hold(sums, before, min(at, before.at+sample.MaxHeld.Microseconds(), r.To.UnixMicro()))
		}
		q.overlaps(since, at, func(bucket int, from, to int64) { sums.Seconds[bucket] += float64(to-from) / 1e6 })
		q.overlaps(counted, at, func(bucket int, from, to int64) { q.count(sums, bucket, v, 5, from-counted, to-counted, at-counted) })
	}
	if at < r.From.UnixMicro() || at >= r.To.UnixMicro() {
		return
	}
	if sums := q.of(oid, at, at+1); sums != nil {
		b := q.bucket(at)
		sums.Known[b] = true
		sums.MaxConnections[b] = max(sums.MaxConnections[b], v.int4(2))
	}
}

// overlaps cuts what lies in the range of the time from, included, to to, left
// out, into its buckets.
func (q *rateQuery) overlaps(from, to int64, part func(bucket int, from, to int64)) {
	from, to = max(from, q.answer.Plan.Range.From.UnixMicro()), min(to, q.answer.Plan.Range.To.UnixMicro())
	step, origin := q.answer.Plan.Step.Microseconds(), q.answer.Times[0].UnixMicro()
	for from < to {
		b := q.bucket(from)
		end := min(to, origin+int64(b+1)*step)
		part(b, from, end)
		from = end
	}
}

// hold lets the connections of a sample stand until an instant.
func (q *rateQuery) hold(sums *rateSums, before heldSample, until int64) {
	q.overlaps(before.at, until, func(b int, from, to int64) {
		seconds := float64(to-from) / 1e6
		sums.Known[b] = true
		sums.seconds[b] += seconds
		sums.backendSeconds[b] += seconds * float64(before.connections)
		sums.MaxConnections[b] = max(sums.MaxConnections[b], before.connections)
	})
}

// count adds the share that the time from, included, to to, left out, of whole
// has in the counters in the columns from first on. Deadlocks, which are told
// one by one, are not cut.
func (q *rateQuery) count(sums *rateSums, bucket int, v values, first int, from, to, whole int64) {
	part := float64(to-from) / float64(whole)
	for i, sum := range [][]float64{sums.Commits, sums.Rollbacks, sums.BlocksRead, sums.BlocksHit, sums.TempBytes} {
		sum[bucket] += part * float64(v.int8(first+i))
	}
	sums.Deadlocks[bucket] += shareOf(v.int8(first+5), to, whole) - shareOf(v.int8(first+5), from, whole)
}

// shareOf is what had been counted when a part of the time had passed in which
// n were, rounded: the differences over all of the time are n.
func shareOf(n, part, whole int64) int64 {
	return int64(math.Round(float64(n) * float64(part) / float64(whole)))
}

// rollups asks for the rollups of the plan's grain.
func (q *rateQuery) rollups(id target.ID) question {
	return question{
		name: "pgam_rates_rolled",
		sql: `/* pgam:database_rates */
select bucket, database_oid, backends_max, seconds, backend_seconds, counted_seconds, xact_commit, xact_rollback, blks_read, blks_hit, temp_bytes, deadlocks
  from history.database_rollup
 where server_id = $1
   and step_seconds = $2
   and bucket >= $3
   and bucket < $4
   and (backends_max is not null or counted_seconds > 0)`,
		args: func(p *params) {
			p.int8(int64(id))
			p.int4(int32(q.answer.Plan.Width() / time.Second))
			p.time(q.answer.Plan.Range.From)
			p.time(q.answer.Plan.Range.To)
		},
		row: func(v values) {
			at := v.micros(0)
			sums := q.of(v.oid(1), at, at+q.answer.Plan.Width().Microseconds())
			if sums == nil {
				return
			}
			b := q.bucket(at)
			if !v.null(2) {
				sums.Known[b] = true
				sums.MaxConnections[b] = max(sums.MaxConnections[b], v.int4(2))
			}
			sums.seconds[b] += v.float8(3)
			sums.backendSeconds[b] += v.float8(4)
			sums.Seconds[b] += v.float8(5)
			q.count(sums, b, v, 6, 0, 1, 1)
		},
	}
}

// finish lets the newest samples stand in their own buckets, and gives the
// databases by name; of those that had the same one after the other, the first
// in the inventory first.
func (q *rateQuery) finish() {
	end := q.answer.Plan.Range.To.UnixMicro()
	for oid, last := range q.held {
		if sums := q.of(oid, last.at, last.at+1); sums != nil && q.answer.Plan.Grain == history.SeriesSample {
			q.stand(sums, last, end)
		}
	}
	for _, entry := range slices.Sorted(maps.Keys(q.entries)) {
		sums := q.entries[entry]
		for b, known := range sums.Known {
			switch {
			case !known:
			case sums.seconds[b] > 0:
				sums.Connections[b] = sums.backendSeconds[b] / sums.seconds[b]
			default:
				sums.Connections[b] = float64(sums.MaxConnections[b])
			}
		}
		if slices.Contains(sums.Known, true) || slices.ContainsFunc(sums.Seconds, func(s float64) bool { return s > 0 }) {
			q.answer.Databases = append(q.answer.Databases, sums.DatabaseRate)
		}
	}
	slices.SortStableFunc(q.answer.Databases, func(a, b history.DatabaseRate) int { return strings.Compare(a.Name, b.Name) })
}

// stand lets the newest sample stand in its own bucket: whether it goes on
// after that is not known yet.
func (q *rateQuery) stand(sums *rateSums, last heldSample, end int64) {
	if last.at < q.answer.Plan.Range.From.UnixMicro() || last.at >= end {
		return
	}
	until := q.answer.Times[q.bucket(last.at)].Add(q.answer.Plan.Step).UnixMicro()
	q.hold(sums, last, min(until, end))
}

// DatabaseSizes gives how large the databases of a server were over time,
// templates left out.
func (s *Store) DatabaseSizes(ctx context.Context, t target.Target, plan history.SeriesPlan) (history.DatabaseSizes, error) {
	if err := s.stillKept(ctx, t, seriesTable(plan, "database_size"), "sizes of databases", plan.Range); err != nil {
		return history.DatabaseSizes{}, err
	}
	id := t.ID
	answer := history.DatabaseSizes{Plan: plan, Times: plan.Times()}
	var (
		list  []history.Database
		sizes = make(map[uint32][]sizeAt)
	)
	take := func(v values) {
		oid := v.oid(1)
		sizes[oid] = append(sizes[oid], sizeAt{v.micros(0), v.int8(2)})
	}
	read := question{
		name: "pgam_sizes",
		sql: `/* pgam:sizes */
select sampled_at, database_oid, size_bytes
  from history.database_size
 where server_id = $1
   and sampled_at >= $2
   and sampled_at < $3
   and size_bytes is not null
 order by sampled_at`,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(plan.Range.From.Add(-sizeLookback))
			p.time(plan.Range.To)
		},
		row: take,
	}
	if plan.Grain != history.SeriesSample {
		read.name, read.sql = "pgam_sizes_rolled", `/* pgam:sizes */
select bucket, database_oid, size_bytes
  from history.database_rollup
 where server_id = $1
   and bucket >= $2
   and bucket < $3
   and step_seconds = $4
   and size_bytes is not null
 order by bucket`
		bounds := read.args
		read.args = func(p *params) {
			bounds(p)
			p.int4(int32(plan.Width() / time.Second))
		}
	}
	if err := s.ask(ctx, inventory(id, nil, &list), read); err != nil {
		return answer, fmt.Errorf("read sizes: %w", statsdb.Classify(err))
	}
	names := newNaming(list, nil)
	for i, d := range list {
		if !names.shown[i] {
			continue
		}
		if series, any := sizesOf(d, int32(i), names, sizes[d.OID], answer); any {
			answer.Databases = append(answer.Databases, series)
		}
	}
	slices.SortStableFunc(answer.Databases, func(a, b history.DatabaseSizeSeries) int { return strings.Compare(a.Name, b.Name) })
	return answer, nil
}

// sizesOf gives the sizes of one entry of the inventory: the newest at the end
// of each bucket in which the database had its name.
func sizesOf(d history.Database, entry int32, names naming, sizes []sizeAt, a history.DatabaseSizes) (series history.DatabaseSizeSeries, any bool) {
	series = history.DatabaseSizeSeries{Name: d.Name, Bytes: make([]*int64, len(a.Times))}
	next := 0
	var newest *sizeAt
	for b, start := range a.Times {
		from, to := start.UnixMicro(), start.Add(a.Plan.Step).UnixMicro()
		for next < len(sizes) && sizes[next].at < to {
			newest = &sizes[next]
			next++
		}
		has, ok := names.byOID[d.OID].in(from, to)
		if newest == nil || !ok || has != entry || newest.at < from-sizeLookback.Microseconds() {
			continue
		}
		series.Bytes[b], any = &newest.bytes, true
	}
	return series, any
}
