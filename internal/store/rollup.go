package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// The columns of pg_stat_database, in the order of sample's counters and
// timers.
func counterColumns() []string {
	return []string{
		"xact_commit", "xact_rollback", "blks_read", "blks_hit", "tup_returned", "tup_fetched", "tup_inserted", "tup_updated",
		"tup_deleted", "conflicts", "temp_files", "temp_bytes", "deadlocks", "checksum_failures", "sessions", "sessions_abandoned",
		"sessions_fatal", "sessions_killed", "parallel_workers_to_launch", "parallel_workers_launched",
	}
}

func timerColumns() []string {
	return []string{"blk_read_time_ms", "blk_write_time_ms", "session_time_ms", "active_time_ms", "idle_in_transaction_time_ms"}
}

// summedColumns are those of them that the rollups have.
func summedColumns() []string {
	return append([]string{
		"xact_commit", "xact_rollback", "blks_read", "blks_hit", "tup_returned", "tup_fetched", "tup_inserted", "tup_updated",
		"tup_deleted", "conflicts", "temp_files", "temp_bytes", "deadlocks", "sessions",
	}, timerColumns()...)
}

// maxDatabases bounds the samples of one statement.
const maxDatabases = 1000

// insertDatabaseStats inserts samples of databases of one server and instant,
// and adds to the hours, the four hours and the days what was really inserted,
// each the share that $3 to $8 say. All databases of a visit go in one statement,
// because making one ready costs PostgreSQL more than three rows of it.
func insertDatabaseStats() string {
	columns := []string{"database_oid", "numbackends", "interval_seconds", "epoch", "stats_reset", "checksum_last_failure"}
	types := []string{"oid", "int4", "float8", "timestamptz", "timestamptz", "timestamptz"}
	for _, c := range counterColumns() {
		columns, types = append(columns, c+"_total", c), append(types, "int8", "int8")
	}
	for _, c := range timerColumns() {
		columns, types = append(columns, c+"_total", c), append(types, "float8", "float8")
	}
	stored, summed := strings.Join(columns, ", "), summedColumns()
	columns, types = append(columns, "held", "backend_seconds", "counted"), append(types, "float8", "float8", "float8")
	arrays := make([]string, len(types))
	for i, t := range types {
		arrays[i] = fmt.Sprintf("$%d::%s[]", i+10, t)
	}
	grown, shares := make([]string, len(summed)), make([]string, len(summed))
	for i, c := range summed {
		shares[i] = fmt.Sprintf(",\n       (round(g.%[1]s * w.until) - round(g.%[1]s * w.since))::int8", c)
		if slices.Contains(timerColumns(), c) {
			shares[i] = fmt.Sprintf(",\n       g.%s * (w.until - w.since)", c)
		}
		grown[i] = fmt.Sprintf(",\n       %[1]s = coalesce(r.%[1]s + excluded.%[1]s, r.%[1]s, excluded.%[1]s)", c)
	}
	return `/* pgam:append */
with given as materialized (
    select ` + strings.Join(columns, ", ") + `
      from unnest(` + strings.Join(arrays, ", ") + `) as g (` + strings.Join(columns, ", ") + `)
),
stat as (
    insert into history.database_stat (server_id, sampled_at, ` + stored + `)
    select $1, $2, ` + stored + `
      from given
    on conflict (server_id, sampled_at, database_oid) do nothing
    returning database_oid
)
insert into history.database_rollup as r (server_id, bucket, step_seconds, database_oid, seconds, backend_seconds, counted_seconds, samples,
       backends_min, backends_max, backends_last, last_sample_at, ` + strings.Join(summed, ", ") + `)
select $1, w.bucket, w.step, g.database_oid, g.held * w.held, g.backend_seconds * w.held, g.counted * w.counted, w.own::int,
       case when w.own then g.numbackends end, case when w.own then g.numbackends end, case when w.own then g.numbackends end,
       case when w.own then $2 end` + strings.Join(shares, "") + `
  from given g
  join stat using (database_oid)
 cross join unnest($3::int4[], $4::timestamptz[], $5::float8[], $6::float8[], $7::float8[], $8::float8[], $9::bool[])
            as w (step, bucket, since, until, held, counted, own)
on conflict (server_id, step_seconds, database_oid, bucket) do update
   set seconds = r.seconds + excluded.seconds,
       backend_seconds = r.backend_seconds + excluded.backend_seconds,
       counted_seconds = r.counted_seconds + excluded.counted_seconds,
       samples = r.samples + excluded.samples,
       backends_min = least(r.backends_min, excluded.backends_min),
       backends_max = greatest(r.backends_max, excluded.backends_max),
       backends_last = case when excluded.samples = 0 or r.last_sample_at > excluded.last_sample_at then r.backends_last else excluded.backends_last end,
       last_sample_at = greatest(r.last_sample_at, excluded.last_sample_at)` + strings.Join(grown, "")
}

// rollupShare is what one bucket gets of a sample, each from 0 to 1: of its
// counts what lies between since and until, of the time that the sample before
// stood, and of the time that the counts are of. The sample itself is in its own
// bucket only.
type rollupShare struct {
	step                        int32 // seconds
	bucket                      time.Time
	since, until, held, counted float64
	own                         bool
}

// rollupShares shares a sample out over the buckets of some steps by time: the
// counts of interval, and the time since the sample before, for the first part
// of which, held, that one stood. The buckets are in the order of their key.
func rollupShares(at time.Time, interval, since, held time.Duration, steps ...time.Duration) []rollupShare {
	passed := func(from time.Time, length time.Duration, end time.Time) float64 {
		return min(1, max(0, float64(end.Sub(from))/float64(max(1, length))))
	}
	began := at.Add(-since)
	shares := make([]rollupShare, 0, len(steps))
	for _, step := range steps {
		var before rollupShare // all that went to the buckets before
		for bucket := history.Floor(began, step); !bucket.After(at); bucket = bucket.Add(step) {
			end := bucket.Add(step)
			sum := rollupShare{own: at.Before(end), until: 1, held: 1, counted: 1}
			if !sum.own {
				sum.until, sum.held, sum.counted = passed(at.Add(-interval), interval, end), passed(began, held, end), passed(began, since, end)
			}
			shares = append(shares, rollupShare{
				step: int32(step / time.Second), bucket: bucket, since: before.until, until: sum.until,
				held: sum.held - before.held, counted: sum.counted - before.counted, own: sum.own,
			})
			before = sum
		}
	}
	return shares
}

// reach is how far back what a sample says goes, where that is into an hour
// before its own.
type reach struct{ interval, since time.Duration }

func reachOf(d *sample.DatabaseStat) reach {
	r := reach{d.Interval, max(d.Interval, d.Held)}
	if r.since < d.At.Sub(history.Floor(d.At, time.Hour)) {
		return reach{}
	}
	return r
}

// databases writes samples. A statement cannot grow a row twice, so those of
// another instant, or of a database that was there already, go in the next; so
// do those that are shared out otherwise.
func (w *writer) databases(server target.ID, all []sample.DatabaseStat) {
	seen := make(map[uint32]bool, min(len(all), maxDatabases))
	start := 0
	for i := range all {
		if i-start == maxDatabases || !all[i].At.Equal(all[start].At) || seen[all[i].OID] || reachOf(&all[i]) != reachOf(&all[start]) {
			w.instant(server, all[start:i])
			start = i
			clear(seen)
		}
		seen[all[i].OID] = true
	}
	if start < len(all) {
		w.instant(server, all[start:])
	}
}

// instant writes samples of different databases at one instant and of one reach.
func (w *writer) instant(server target.ID, all []sample.DatabaseStat) {
	p, at := &w.p, all[0].At
	p.int8(int64(server))
	p.time(at)
	back := reachOf(&all[0])
	shares := rollupShares(at, back.interval, back.since, min(back.since, sample.MaxHeld), time.Hour, 4*time.Hour, 24*time.Hour)
	column(p, oidInt4, shares, func(r *rollupShare) { p.four(uint32(r.step)) })
	column(p, oidTimestamptz, shares, func(r *rollupShare) { p.instant(r.bucket.UnixMicro()) })
	column(p, oidFloat8, shares, func(r *rollupShare) { p.float(r.since) })
	column(p, oidFloat8, shares, func(r *rollupShare) { p.float(r.until) })
	column(p, oidFloat8, shares, func(r *rollupShare) { p.float(r.held) })
	column(p, oidFloat8, shares, func(r *rollupShare) { p.float(r.counted) })
	own := make([]bool, len(shares))
	for i := range shares {
		own[i] = shares[i].own
	}
	p.bools(own)
	column(p, oidOID, all, func(d *sample.DatabaseStat) { p.four(d.OID) })
	column(p, oidInt4, all, func(d *sample.DatabaseStat) {
		if d.Backends.Known {
			p.four(uint32(d.Backends.V))
		} else {
			p.none()
		}
	})
	column(p, oidFloat8, all, func(d *sample.DatabaseStat) {
		p.floatOrNone(sample.Float{V: d.Interval.Seconds(), Known: d.Interval != 0})
	})
	column(p, oidTimestamptz, all, func(d *sample.DatabaseStat) { p.instant(d.Epoch.UnixMicro()) })
	column(p, oidTimestamptz, all, func(d *sample.DatabaseStat) { p.instant(d.StatsReset) })
	column(p, oidTimestamptz, all, func(d *sample.DatabaseStat) { p.instant(d.ChecksumLastFailure) })
	for i := range sample.NumCounters {
		column(p, oidInt8, all, func(d *sample.DatabaseStat) { p.intOrNone(d.Counters[i]) })
		column(p, oidInt8, all, func(d *sample.DatabaseStat) { p.intOrNone(d.CounterDeltas[i]) })
	}
	for i := range sample.NumTimers {
		column(p, oidFloat8, all, func(d *sample.DatabaseStat) { p.floatOrNone(d.Timers[i]) })
		column(p, oidFloat8, all, func(d *sample.DatabaseStat) { p.floatOrNone(d.TimerDeltas[i]) })
	}
	column(p, oidFloat8, all, func(d *sample.DatabaseStat) { p.float(min(d.Held, sample.MaxHeld).Seconds()) })
	column(p, oidFloat8, all, func(d *sample.DatabaseStat) { p.float(d.BackendSeconds) })
	column(p, oidFloat8, all, func(d *sample.DatabaseStat) { p.float(max(d.Interval, d.Held).Seconds()) })
	w.send("pgam_database_stat")
}

// growDiskRollup is how rows of disk_rollup grow: what is not the least is of
// the newest sample.
const growDiskRollup = `
on conflict (server_id, mount_point, bucket) do update
   set samples = r.samples + excluded.samples,
       last_sample_at = greatest(r.last_sample_at, excluded.last_sample_at),
       total_bytes = case when r.last_sample_at > excluded.last_sample_at then r.total_bytes else excluded.total_bytes end,
       free_bytes = case when r.last_sample_at > excluded.last_sample_at then r.free_bytes else excluded.free_bytes end,
       free_bytes_min = least(r.free_bytes_min, excluded.free_bytes_min),
       inodes_free = case when r.last_sample_at > excluded.last_sample_at then r.inodes_free else excluded.inodes_free end`

// insertSizes inserts sizes and tells the rollups the newest of each bucket.
const insertSizes = `/* pgam:append */
with size as (
    insert into history.database_size (server_id, sampled_at, database_oid, size_bytes, duration_ms, reason)
    select $1, sampled_at, database_oid, size_bytes, duration_ms, reason
      from unnest($2::timestamptz[], $3::oid[], $4::int8[], $5::int4[], $6::int4[])
           as g (sampled_at, database_oid, size_bytes, duration_ms, reason)
    on conflict (server_id, sampled_at, database_oid) do nothing
    returning sampled_at, database_oid, size_bytes
)
insert into history.database_rollup as r (server_id, bucket, step_seconds, database_oid, seconds, backend_seconds, samples, size_bytes, size_at)
select distinct on (w.step, z.database_oid, b.bucket) $1, b.bucket, w.step, z.database_oid, 0, 0, 0, z.size_bytes, z.sampled_at
  from size z
 cross join (values (3600), (14400), (86400)) as w (step)
 cross join lateral (select date_bin(w.step * interval '1 second', z.sampled_at, timestamptz 'epoch') as bucket) b
 where z.size_bytes is not null
 order by w.step, z.database_oid, b.bucket, z.sampled_at desc
on conflict (server_id, step_seconds, database_oid, bucket) do update
   set size_bytes = excluded.size_bytes, size_at = excluded.size_at
 where r.size_at is null or r.size_at < excluded.size_at`

func (w *writer) sizes(server target.ID, all []sample.DatabaseSize) {
	if len(all) == 0 {
		return
	}
	p := &w.p
	p.int8(int64(server))
	column(p, oidTimestamptz, all, func(z *sample.DatabaseSize) { p.instant(z.At.UnixMicro()) })
	column(p, oidOID, all, func(z *sample.DatabaseSize) { p.four(z.OID) })
	column(p, oidInt8, all, func(z *sample.DatabaseSize) { p.intOrNone(z.Bytes) })
	column(p, oidInt4, all, func(z *sample.DatabaseSize) {
		p.four(uint32(min(z.Duration.Milliseconds(), int64(time.Hour/time.Millisecond))))
	})
	column(p, oidInt4, all, func(z *sample.DatabaseSize) { p.four(uint32(z.Reason)) })
	w.send("pgam_size")
}
