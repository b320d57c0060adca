package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// rollupKey is the key of a rollup within its server.
type rollupKey struct {
	step   int32 // seconds
	oid    uint32
	bucket int64 // microseconds
}

// importedRollup is the share of imported rows in one bucket.
type importedRollup struct {
	rollupKey
	samples                 uint32
	seconds, backendSeconds float64
	counted                 float64    // seconds
	least, most, newest     sample.Int // backends
	lastSample, sizeAt      int64      // microseconds; 0 none
	sizeBytes, commitsAdded sample.Int
}

// rollUp sums up samples, and the sizes of samples, by hour, four hours and
// day. It is for rows in the order of time; the rollups are in that of their
// key, so that two writers lock them in the same order.
func rollUp(stats, sized []history.ImportedStat) []importedRollup {
	hours := make(map[rollupKey]*importedRollup)
	in := func(oid uint32, hour time.Time) *importedRollup {
		key := rollupKey{3600, oid, hour.UnixMicro()}
		r := hours[key]
		if r == nil {
			r = &importedRollup{rollupKey: key}
			hours[key] = r
		}
		return r
	}
	for i := range stats {
		s := &stats[i]
		for _, w := range rollupShares(s.At, s.Interval, s.Interval, s.Held, time.Hour) {
			share := importedRollup{seconds: s.Held.Seconds() * w.held, backendSeconds: s.BackendSeconds * w.held, counted: s.Interval.Seconds() * w.counted}
			if s.CommitsDelta.Known {
				n := float64(s.CommitsDelta.V)
				share.commitsAdded = sample.Int{V: int64(math.RoundToEven(n*w.until) - math.RoundToEven(n*w.since)), Known: true}
			}
			if w.own {
				share.samples, share.least, share.most, share.newest, share.lastSample = 1, s.Backends, s.Backends, s.Backends, s.At.UnixMicro()
			}
			in(s.OID, w.bucket).grow(share)
		}
	}
	for i := range sized {
		in(sized[i].OID, history.Floor(sized[i].At, time.Hour)).grow(importedRollup{sizeAt: sized[i].At.UnixMicro(), sizeBytes: sized[i].Size})
	}
	all := make([]importedRollup, 0, len(hours)*3/2)
	for _, r := range hours {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b importedRollup) int {
		return cmp.Or(cmp.Compare(a.oid, b.oid), cmp.Compare(a.bucket, b.bucket))
	})
	return append(all, append(coarser(all, 14400), coarser(all, 86400)...)...)
}

// coarser makes rollups of a longer step of those of hours, which are ordered
// by database and time.
func coarser(hours []importedRollup, step int32) []importedRollup {
	var out []importedRollup
	for i := range hours {
		key := hours[i].rollupKey
		key.step = step
		key.bucket = history.Floor(time.UnixMicro(key.bucket), time.Duration(step)*time.Second).UnixMicro()
		if len(out) == 0 || out[len(out)-1].rollupKey != key {
			out = append(out, importedRollup{rollupKey: key})
		}
		out[len(out)-1].grow(hours[i])
	}
	return out
}

// grow adds what came later.
func (r *importedRollup) grow(o importedRollup) {
	r.samples += o.samples
	r.seconds += o.seconds
	r.backendSeconds += o.backendSeconds
	r.counted += o.counted
	if o.least.Known && (!r.least.Known || o.least.V < r.least.V) {
		r.least = o.least
	}
	if o.most.Known && (!r.most.Known || o.most.V > r.most.V) {
		r.most = o.most
	}
	if o.lastSample > r.lastSample {
		r.lastSample, r.newest = o.lastSample, o.newest
	}
	if o.sizeAt > r.sizeAt {
		r.sizeAt, r.sizeBytes = o.sizeAt, o.sizeBytes
	}
	if o.commitsAdded.Known {
		r.commitsAdded = sample.Int{V: r.commitsAdded.V + o.commitsAdded.V, Known: true}
	}
}

const growRollupsSQL = `/* pgam:import */
with grown as (
    insert into history.database_rollup as r (server_id, step_seconds, database_oid, bucket, samples, seconds, backend_seconds, counted_seconds,
           backends_min, backends_max, backends_last, last_sample_at, xact_commit, size_bytes, size_at)
    select $1, g.step_seconds, g.database_oid, g.bucket, g.samples, g.seconds, g.backend_seconds, g.counted_seconds,
           g.backends_min, g.backends_max, g.backends_last, g.last_sample_at, g.xact_commit, g.size_bytes, g.size_at
      from unnest($2::int4[], $3::oid[], $4::timestamptz[], $5::int4[], $6::float8[], $7::float8[], $8::float8[], $9::int4[], $10::int4[], $11::int4[],
                  $12::timestamptz[], $13::int8[], $14::int8[], $15::timestamptz[])
           as g (step_seconds, database_oid, bucket, samples, seconds, backend_seconds, counted_seconds, backends_min, backends_max, backends_last,
                 last_sample_at, xact_commit, size_bytes, size_at)
    on conflict (server_id, step_seconds, database_oid, bucket) do update
       set samples = r.samples + excluded.samples,
           seconds = r.seconds + excluded.seconds,
           backend_seconds = r.backend_seconds + excluded.backend_seconds,
           counted_seconds = r.counted_seconds + excluded.counted_seconds,
           backends_min = least(r.backends_min, excluded.backends_min),
           backends_max = greatest(r.backends_max, excluded.backends_max),
           backends_last = case when r.last_sample_at >= excluded.last_sample_at or excluded.last_sample_at is null then r.backends_last
                                else excluded.backends_last end,
           last_sample_at = greatest(r.last_sample_at, excluded.last_sample_at),
           xact_commit = coalesce(r.xact_commit + excluded.xact_commit, r.xact_commit, excluded.xact_commit),
           size_bytes = case when r.size_at >= excluded.size_at or excluded.size_at is null then r.size_bytes else excluded.size_bytes end,
           size_at = greatest(r.size_at, excluded.size_at)
    returning 1
)
select count(*) from grown`

// growRollups adds to the rollups of a server.
func growRollups(ctx context.Context, tx pgx.Tx, id target.ID, rollups []importedRollup) error {
	n := len(rollups)
	if n == 0 {
		return nil
	}
	step, oid, bucket, samples := newArray(oidInt4, n), newArray(oidOID, n), newArray(oidTimestamptz, n), newArray(oidInt4, n)
	seconds, backendSeconds, counted := newArray(oidFloat8, n), newArray(oidFloat8, n), newArray(oidFloat8, n)
	least, most, newest := newArray(oidInt4, n), newArray(oidInt4, n), newArray(oidInt4, n)
	lastSample, commits := newArray(oidTimestamptz, n), newArray(oidInt8, n)
	sizeBytes, sizeAt := newArray(oidInt8, n), newArray(oidTimestamptz, n)
	for i := range rollups {
		r := &rollups[i]
		step.four(uint32(r.step))
		oid.four(r.oid)
		bucket.micros(r.bucket)
		samples.four(r.samples)
		seconds.float(r.seconds)
		backendSeconds.float(r.backendSeconds)
		counted.float(r.counted)
		least.known4(r.least)
		most.known4(r.most)
		newest.known4(r.newest)
		lastSample.microsOrNull(r.lastSample)
		commits.known(r.commitsAdded)
		sizeBytes.known(r.sizeBytes)
		sizeAt.microsOrNull(r.sizeAt)
	}
	return importArrays(ctx, tx, "pgam_import_rollups", growRollupsSQL, id,
		step, oid, bucket, samples, seconds, backendSeconds, counted, least, most, newest, lastSample, commits, sizeBytes, sizeAt)
}
