package ingest

import (
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// counterColumns and timerColumns are those of history.database_stat, in the order
// of sample's counters and timers.
var (
	counterColumns = [sample.NumCounters]string{
		"xact_commit", "xact_rollback", "blks_read", "blks_hit", "tup_returned", "tup_fetched", "tup_inserted", "tup_updated",
		"tup_deleted", "conflicts", "temp_files", "temp_bytes", "deadlocks", "checksum_failures", "sessions", "sessions_abandoned",
		"sessions_fatal", "sessions_killed", "parallel_workers_to_launch", "parallel_workers_launched",
	}
	timerColumns = [sample.NumTimers]string{
		"blk_read_time_ms", "blk_write_time_ms", "session_time_ms", "active_time_ms", "idle_in_transaction_time_ms",
	}
)

// queueDatabases writes a look at databases, and their sizes, and from when on
// rollups are to be made anew for it.
func queueDatabases(b *pgx.Batch, server target.ID, v *sample.Visit) {
	if l := v.Look; l != nil {
		b.Queue(sql("insert_look"), named{
			"server_id": server, "planned_at": l.Planned, "sampled_at": l.At, "databases": l.Databases,
		})
		queueMark(b, server, l.Planned, l.At, nil, true)
	}
	queueStats(b, server, v.Databases)
	queueSizes(b, server, v.Sizes)
}

// queueSizes writes sizes of databases.
func queueSizes(b *pgx.Batch, server target.ID, all []sample.DatabaseSize) {
	if len(all) == 0 {
		return
	}
	n, first := len(all), all[0].At
	at, oids, bytes, durations, reasons := make([]time.Time, n), make([]uint32, n), make([]*int64, n), make([]int32, n), make([]int16, n)
	for i := range all {
		z := &all[i]
		at[i], oids[i], bytes[i], reasons[i] = z.At, z.OID, known(z.Bytes), int16(z.Reason)
		durations[i] = int32(min(z.Duration.Milliseconds(), math.MaxInt32))
		if z.At.Before(first) {
			first = z.At
		}
	}
	b.Queue(sql("insert_sizes"), named{
		"server_id": server, "sampled_at": at, "database_oid": oids, "size_bytes": bytes, "duration_ms": durations, "reason": reasons,
	})
	queueMark(b, server, first, first, nil, false)
}

// queueStats writes rows of databases, which may be of several looks.
func queueStats(b *pgx.Batch, server target.ID, all []sample.DatabaseStat) {
	for len(all) > 0 {
		n, oids, first := 0, []uint32{}, all[0].At
		for ; n < len(all) && all[n].Planned.Equal(all[0].Planned); n++ {
			oids = append(oids, all[n].OID)
			if all[n].At.Before(first) {
				first = all[n].At
			}
		}
		args := statArgs(all[:n])
		args["server_id"] = server
		b.Queue(sql("insert_database_stats"), args)
		queueMark(b, server, all[0].Planned, first, oids, false)
		all = all[n:]
	}
}

// queueMark says that something was written of a planned instant, when it was seen,
// and of which databases.
func queueMark(b *pgx.Batch, server target.ID, planned, at time.Time, oids []uint32, looked bool) {
	b.Queue(sql("mark_databases"), named{
		"server_id": server, "planned_at": planned, "sampled_at": at, "oids": oids, "looked": looked,
	})
}

// statArgs are rows as columns.
func statArgs(all []sample.DatabaseStat) named {
	n := len(all)
	oids, instances, backends := make([]uint32, n), make([]int64, n), make([]*int64, n)
	planned, at := make([]time.Time, n), make([]time.Time, n)
	previous, reset, checksum := make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	for i := range all {
		d := &all[i]
		oids[i], instances[i], backends[i], planned[i], at[i] = d.OID, d.Instance, known(d.Backends), d.Planned, d.At
		previous[i], reset[i], checksum[i] = orNull(d.PreviousAt), instant(d.StatsReset), instant(d.ChecksumLastFailure)
	}
	args := named{
		"database_oid": oids, "planned_at": planned, "sampled_at": at, "previous_at": previous, "instance": instances,
		"numbackends": backends, "stats_reset": reset, "checksum_last_failure": checksum,
	}
	for c, name := range counterColumns {
		column := make([]int64, n)
		for i := range all {
			if column[i] = math.MinInt64; all[i].Counters[c].Known { // null
				column[i] = all[i].Counters[c].V
			}
		}
		args[name] = column
	}
	for t, name := range timerColumns {
		column := make([]*float64, n)
		for i := range all {
			if all[i].Timers[t].Known {
				column[i] = &all[i].Timers[t].V
			}
		}
		args[name] = column
	}
	return args
}

// scanStat reads a row that a statement gives as read_database_stats does.
func scanStat(row pgx.CollectableRow) (d sample.DatabaseStat, err error) {
	var (
		previous, reset, checksum pgtype.Timestamptz
		backends                  pgtype.Int8
		counters                  [sample.NumCounters]pgtype.Int8
		timers                    [sample.NumTimers]pgtype.Float8
	)
	fields := []any{&d.OID, &d.Planned, &d.At, &previous, &d.Instance, &backends, &reset, &checksum}
	for i := range counters {
		fields = append(fields, &counters[i])
	}
	for i := range timers {
		fields = append(fields, &timers[i])
	}
	if err := row.Scan(fields...); err != nil {
		return d, err
	}
	d.Planned, d.At = d.Planned.UTC(), d.At.UTC()
	if previous.Valid {
		d.PreviousAt = previous.Time.UTC()
	}
	if reset.Valid {
		d.StatsReset = reset.Time.UnixMicro()
	}
	if checksum.Valid {
		d.ChecksumLastFailure = checksum.Time.UnixMicro()
	}
	d.Backends = sample.Int{V: backends.Int64, Known: backends.Valid}
	for i, c := range counters {
		d.Counters[i] = sample.Int{V: c.Int64, Known: c.Valid}
	}
	for i, t := range timers {
		d.Timers[i] = sample.Float{V: t.Float64, Known: t.Valid}
	}
	return d, nil
}
