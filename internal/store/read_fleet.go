package store

import (
	"context"
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// fleetMinutes is how much of the past says how a server is now.
	fleetMinutes = 10 * time.Minute
	// fleetTick is how old a tick may be to be the last one.
	fleetTick = 24 * time.Hour
)

// Fleet gives what is newest in the history of all servers.
func (s *Store) Fleet(ctx context.Context, now time.Time) (map[target.ID]*history.FleetServer, error) {
	q := fleetQuery{
		now: now.UTC(), servers: make(map[target.ID]*history.FleetServer), minutes: make(map[target.ID][]fleetMinute),
		promised: make(map[target.ID]promise),
	}
	err := s.ask(ctx, q.promises(), q.windows(), q.minutesOf(), q.yesterday(), q.horizons(), q.settings(), q.disks())
	if err == nil {
		err = q.fault
	}
	if err != nil {
		return nil, fmt.Errorf("read fleet: %w", statsdb.Classify(err))
	}
	for id, f := range q.servers {
		q.summarize(f, q.promised[id], q.minutes[id])
	}
	return q.servers, nil
}

// fleetQuery is a question about all servers while it is answered.
type fleetQuery struct {
	now     time.Time
	servers map[target.ID]*history.FleetServer
	minutes map[target.ID][]fleetMinute
	// promised is what is to be seen of each server.
	promised map[target.ID]promise
	fault    error
}

// promise is how often a server is to be looked at, as far as is known, and
// since when.
type promise struct {
	cadence time.Duration
	added   time.Time
}

type fleetMinute struct {
	start   time.Time
	cadence time.Duration
	tally   history.Tally
	classes [sample.NumClasses]int64
}

func (q *fleetQuery) of(v values) *history.FleetServer {
	id := target.ID(v.int8(0))
	f := q.servers[id]
	if f == nil {
		f = new(history.FleetServer)
		q.servers[id] = f
	}
	return f
}

// promises asks what servers have been promised.
func (q *fleetQuery) promises() question {
	return question{
		name: "pgam_fleet_promises",
		sql:  "/* pgam:fleet */ select id, created_at, activity_interval_seconds from pgam.server where deleted_at is null",
		args: func(*params) {},
		row: func(v values) {
			q.promised[target.ID(v.int8(0))] = promise{time.Duration(v.int4(2)) * time.Second, v.time(1)}
		},
	}
}

// fleetServers are the servers that all parts are about.
const fleetServers = `pgam.server s
 cross join lateral (`

// windows asks for the newest window of each server.
func (q *fleetQuery) windows() question {
	return question{
		name: "pgam_fleet_windows",
		sql: `/* pgam:fleet */
select s.id, w.*
  from ` + fleetServers + `
        select ` + windowColumns + `
          from history.activity_window
         where server_id = s.id
           and t0 > $1
         order by t0 desc
         limit 1) w
 where s.deleted_at is null`,
		args: func(p *params) { p.time(q.now.Add(-fleetTick)) },
		row: func(v values) {
			f := q.of(v)
			var w sample.Window
			if err := decodeWindow(v[1:], &w); err != nil {
				q.fault = err
				return
			}
			newestTick(f, &w)
			id := target.ID(v.int8(0))
			q.promised[id] = promise{w.Cadence, q.promised[id].added}
		},
	}
}

// newestTick takes what the newest ticks of a window say.
func newestTick(f *history.FleetServer, w *sample.Window) {
	n := len(w.TickOffset)
	if n == 0 {
		return
	}
	outcome := func(i int) sample.Outcome {
		if len(w.TickOutcome) == 0 {
			return sample.OK
		}
		return sample.Outcome(w.TickOutcome[i])
	}
	at := w.T0.Add(time.Duration(w.TickOffset[n-1]) * time.Millisecond)
	f.LastTick, f.LastOutcome = &at, outcome(n-1)
	if len(w.TickReason) > 0 {
		f.LastReason = sample.Reason(w.TickReason[n-1])
	}
	last := n - 1
	for last >= 0 && !outcome(last).Answered() {
		last--
	}
	if last < 0 {
		return
	}
	f.Burst = len(w.TickBurst) > 0 && w.TickBurst[last]
	if w.TickBackends[last] != sample.Unset {
		f.Connections = &w.TickBackends[last]
	}
	tick := int16(last + 1)
	blocked := make(map[int32]bool)
	for i, t := range w.EdgeTick {
		if t == tick {
			blocked[w.EdgeBlocked[i]] = true
		}
	}
	if w.EdgeTick == nil && w.Blocker != nil { // from before there were edges
		for i, t := range w.Tick {
			if t == tick && w.Blocker[i] != sample.Unset {
				blocked[w.Session[i]] = true
			}
		}
	}
	count := len(blocked)
	f.Blocked = &count
	for i, t := range w.Tick {
		if t != tick {
			continue
		}
		if w.QueryStart[i] != sample.Unset && w.XactLead[i] != sample.Unset {
			age := time.Duration(int64(w.TickOffset[last])-int64(w.QueryStart[i])+int64(w.XactLead[i])) * time.Millisecond
			if age = max(age, 0); f.OldestXact == nil || *f.OldestXact < age {
				f.OldestXact = &age
			}
		}
		if w.XminAge != nil && w.XminAge[i] != sample.Unset {
			older(f, int64(w.XminAge[i]))
		}
	}
}

// older keeps the greater age of an xmin.
func older(f *history.FleetServer, age int64) {
	if f.OldestXmin == nil || *f.OldestXmin < age {
		f.OldestXmin = &age
	}
}

// minutesOf asks for the newest minutes.
func (q *fleetQuery) minutesOf() question {
	return question{
		name: "pgam_fleet_minutes",
		sql: `/* pgam:fleet */
select s.id, m.minute, m.cadence_ms, m.ticks_ok::int8, m.ticks_degraded::int8, m.ticks_failed::int8, m.ticks_skipped::int8,
       m.cpu::int8, m.lock::int8, m.lwlock::int8, m.io::int8, m.ipc::int8, m.client::int8, m.timeout::int8, m.buffer::int8,
       m.extension::int8, m.other::int8, m.idle_in_transaction::int8
  from pgam.server s
  join history.activity_minute m on m.server_id = s.id
 where s.deleted_at is null
   and m.minute >= $1
   and m.minute <= $2
 order by m.minute`,
		args: func(p *params) {
			p.time(q.now.Add(-fleetMinutes - settling - time.Minute))
			p.time(q.now)
		},
		row: func(v values) {
			q.of(v)
			m := fleetMinute{start: v.time(1), cadence: time.Duration(v.int4(2)) * time.Millisecond}
			m.tally = history.Tally{OK: v.int8(3), Degraded: v.int8(4), Failed: v.int8(5), Skipped: v.int8(6)}
			for c := range m.classes {
				m.classes[c] = v.int8(7 + c)
			}
			id := target.ID(v.int8(0))
			q.minutes[id] = append(q.minutes[id], m)
		},
	}
}

// summarize makes load and coverage of the minutes. The last of them may still
// be filling.
func (q *fleetQuery) summarize(f *history.FleetServer, promised promise, minutes []fleetMinute) {
	until := history.Floor(q.now, time.Minute)
	if n := len(minutes); n > 0 && q.now.Sub(minutes[n-1].start) < settling+time.Minute {
		until = minutes[n-1].start
	}
	r := history.Range{From: until.Add(-fleetMinutes), To: until}
	if promised.added.After(r.From) { // nothing was promised before
		r.From = history.Floor(promised.added, time.Minute)
		r.To = until.Add(max(r.From.Sub(until), 0))
	}
	cadence := promised.cadence
	if len(minutes) > 0 {
		cadence = minutes[0].cadence
	}
	ledger := history.NewLedger(r, cadence)
	for _, m := range minutes {
		ledger.Block(m.start, time.Minute, m.cadence, m.tally)
	}
	f.Coverage = ledger.Coverage()
	// Half a minute says more than none, the one before more than half of it.
	for i := len(minutes) - 1; i >= 0; i-- {
		m := &minutes[i]
		answered := m.tally.OK + m.tally.Degraded
		filling := i == len(minutes)-1 && time.Duration(answered)*m.cadence < time.Minute/2 && i > 0
		if answered == 0 || filling {
			continue
		}
		load := 0.0
		for c, n := range m.classes {
			f.LoadBy[c] = float64(n) / float64(answered)
			load += f.LoadBy[c]
		}
		f.Load, f.LoadAt = &load, &m.start
		return
	}
}

// yesterday asks for the same hour of the day before.
func (q *fleetQuery) yesterday() question {
	return question{
		name: "pgam_fleet_yesterday",
		sql: `/* pgam:fleet */
select s.id, t.samples::float8 / (t.ticks_ok + t.ticks_degraded)
  from pgam.server s
  join history.activity_total t on t.server_id = s.id
 where s.deleted_at is null
   and t.step_seconds = 3600
   and t.bucket = $1
   and t.ticks_ok + t.ticks_degraded > 0`,
		args: func(p *params) { p.time(history.Floor(q.now.Add(-24*time.Hour), time.Hour)) },
		row: func(v values) {
			load := v.float8(1)
			q.of(v).LoadYesterday = &load
		},
	}
}

// horizons asks what beside sessions keeps rows from being vacuumed.
func (q *fleetQuery) horizons() question {
	return question{
		name: "pgam_fleet_horizons",
		sql: `/* pgam:fleet */
select server_id, max(xmin_age)
  from history.horizon
 where server_id in (select id from pgam.server where deleted_at is null)
   and sampled_at > $1
   and sampled_at <= $2
 group by server_id`,
		args: func(p *params) {
			p.time(q.now.Add(-horizonStands))
			p.time(q.now)
		},
		row: func(v values) { older(q.of(v), v.int8(1)) },
	}
}

// settings asks how many connections each server allows.
func (q *fleetQuery) settings() question {
	return question{
		name: "pgam_fleet_settings",
		sql: `/* pgam:fleet */
select server_id, value::int8
  from history.setting
 where server_id in (select id from pgam.server where deleted_at is null)
   and name = 'max_connections'
   and value ~ '^[0-9]{1,9}$'`,
		args: func(*params) {},
		row: func(v values) {
			most := v.int8(1)
			q.of(v).MaxConnections = &most
		},
	}
}

// disks asks for the newest sample of each file system, and for how it changed
// from hour to hour.
func (q *fleetQuery) disks() question {
	return question{
		name: "pgam_fleet_disks",
		sql: `/* pgam:fleet */
select f.server_id, f.mount_point, u.sampled_at, u.free_bytes, u.total_bytes, t.slope
  from history.file_system f
  join pgam.server s on s.id = f.server_id
 cross join lateral (
        select n.sampled_at, n.free_bytes, n.total_bytes
          from history.disk_usage n
         where n.server_id = f.server_id
           and n.mount_point = f.mount_point
           and n.sampled_at >= f.last_seen_at
           and n.sampled_at > $1
           and n.free_bytes is not null
           and n.total_bytes > 0
         order by n.sampled_at desc
         limit 1) u
 cross join lateral (
        select case when max(r.last_sample_at) - min(r.last_sample_at) >= interval '1 hour'
                    then regr_slope(r.free_bytes, extract(epoch from r.last_sample_at - u.sampled_at)::double precision)
               end as slope
          from history.disk_rollup r
         where r.server_id = f.server_id
           and r.mount_point = f.mount_point
           and r.bucket > $2
           and r.free_bytes is not null) t
 where s.deleted_at is null
   and f.last_seen_at > $1`,
		args: func(p *params) {
			p.time(q.now.Add(-diskStands))
			p.time(q.now.Add(-trendOver))
		},
		row: func(v values) {
			f, d := q.of(v), history.FleetDisk{MountPoint: v.text(1), At: v.time(2), Free: v.int8(3), Total: v.int8(4)}
			if f.LeastFree == nil || d.Part() < f.LeastFree.Part() {
				f.LeastFree = &d
			}
			if v.null(5) {
				return
			}
			if full := fullIn(&d.Free, v.float8(5)); full != nil && (f.FullIn == nil || *full < *f.FullIn) {
				f.FullIn = full
			}
		},
	}
}

// fleetClasses are the columns of wait classes, in the order of sample's.
func fleetClasses() []string {
	return []string{"cpu", "lock", "lwlock", "io", "ipc", "client", "timeout", "buffer", "extension", "other", "idle_in_transaction"}
}

// fleetKept refuses a range that begins before the oldest partition of what
// answers, unless all servers were added later.
func (s *Store) fleetKept(ctx context.Context, plan history.ActivityPlan) error {
	table, what := "activity_total", "sums by hour and day are"
	if plan.Grain == history.GrainMinute {
		table, what = "activity_minute", "sums by minute (a step of whole hours reaches further back) are"
	}
	since, err := s.keptSince(ctx)
	if err != nil {
		return err
	}
	oldest, there := since[table]
	if !there || !plan.Range.From.Before(oldest) {
		return nil
	}
	const sql = "/* pgam:fleet_kept */ select exists (select from pgam.server where deleted_at is null and created_at < $1)"
	var lost bool
	if err := s.pool.QueryRow(ctx, sql, oldest).Scan(&lost); err != nil {
		return err
	}
	if lost {
		return fmt.Errorf("%w: %s kept since %s: begin there", history.ErrGone, what, oldest.UTC().Format(time.RFC3339))
	}
	return nil
}

// FleetActivity gives sessions by wait class of all servers together. The step
// is whole minutes; buckets that are not summed up yet are taken from finer
// sums. The error wraps history.ErrGone where the range begins before what is
// kept.
func (s *Store) FleetActivity(ctx context.Context, plan history.ActivityPlan) (history.FleetActivity, error) {
	a := history.FleetActivity{Plan: plan}
	if err := s.fleetKept(ctx, plan); err != nil {
		return a, fmt.Errorf("read activity of the fleet: %w", statsdb.Classify(err))
	}
	shape := history.NewActivity(plan)
	a.Times = shape.Times
	n := len(a.Times)
	a.Servers, a.Planned, a.Answered = make([]int64, n), make([]int64, n), make([]int64, n)
	for c := range a.Average {
		a.Average[c] = make([]float64, n)
	}
	err := s.ask(ctx, planOnce(), hashed(), question{
		name: fmt.Sprintf("pgam_fleet_activity_%s_%t", plan.Grain, plan.Step == plan.Grain.Step()),
		sql:  fleetActivitySQL(plan.Grain, plan.Step == plan.Grain.Step()),
		args: func(p *params) {
			p.time(plan.Range.From)
			p.time(plan.Range.To)
			p.interval(plan.Step)
		},
		row: func(v values) {
			i := int(v.time(0).Sub(a.Times[0]) / plan.Step)
			if i < 0 || i >= n {
				return
			}
			a.Servers[i], a.Planned[i], a.Answered[i] = v.int8(1), int64(v.float8(2)), int64(v.float8(3))
			for c := range a.Average {
				a.Average[c][i] = v.float8(4 + c)
			}
		},
	})
	if err != nil {
		return a, fmt.Errorf("read activity of the fleet: %w", statsdb.Classify(err))
	}
	return a, nil
}

// hashed keeps the rest of a transaction from sorting what it adds up: tens of
// thousands of rows, of which the planner expects so few that it takes a sort,
// which goes to disk, for as good as a hash table.
func hashed() question {
	return question{
		name: "pgam_hashed",
		sql:  "/* pgam:fleet_activity */ select set_config('enable_sort', 'off', true)",
		args: func(*params) {},
		row:  func(values) {},
	}
}

// fleetActivitySQL adds up what is coarsest and up to date: days, the hours of
// days that are not, and the minutes of hours that are not. Each server is looked
// up by itself, and what is late by its bucket: the sums of all together are
// many times what is wanted of them. Where a bucket of the grain is one of the
// answer, only what is finer is added up by server first.
func fleetActivitySQL(grain history.Grain, same bool) string {
	columns, sums, averages := "", "", ""
	for _, c := range fleetClasses() {
		columns += ", " + c
		sums += ", sum(" + c + "::float8) as " + c
		averages += ", sum(" + c + "::float8 / answered)"
	}
	const late = `
late_hour as materialized (
select distinct d.server_id, date_bin('1 hour', d.bucket, timestamptz 'epoch') as bucket
  from history.rollup_due d
  join pgam.server s on s.id = d.server_id
 where s.deleted_at is null
   and d.step_seconds <= 3600
   and d.bucket < $2),
late_day as materialized (
select server_id, date_bin('1 day', bucket, timestamptz 'epoch') as bucket from late_hour
 union
select d.server_id, d.bucket
  from history.rollup_due d
  join pgam.server s on s.id = d.server_id
 where s.deleted_at is null
   and d.step_seconds = 86400),`
	// offset 0 keeps the planner from reading the sums of all servers at once.
	sumsOf := func(of, id, table, at, where string) string {
		return `
select t.server_id, t.bucket, t.ticks_planned, t.answered` + columns + `
  from ` + of + `
 cross join lateral (
        select server_id, ` + at + ` as bucket, ticks_planned, ticks_ok + ticks_degraded as answered` + columns + `
          from history.` + table + `
         where server_id = ` + id + `
           and ` + at + ` >= $1
           and ` + at + ` < $2` + where + `
        offset 0) t`
	}
	const (
		servers = "(select id from pgam.server where deleted_at is null) s"
		total   = "activity_total"
		minute  = "activity_minute"
		hourly  = `
           and step_seconds = 3600`
		daily = `
           and step_seconds = 86400`
		notLateDay = `
 where not exists (select from late_day l where l.server_id = t.server_id and l.bucket = t.bucket)`
		notLateHour = `
 where not exists (select from late_hour l where l.server_id = t.server_id and l.bucket = t.bucket)`
	)
	within := func(at, length string) string {
		return `
           and ` + at + ` >= l.bucket
           and ` + at + ` < l.bucket + interval '` + length + "'"
	}
	minutesOfLate := sumsOf("late_hour l", "l.server_id", minute, "minute", within("minute", "1 hour"))
	with, coarse, fine := "", sumsOf(servers, "s.id", minute, "minute", ""), ""
	const and = "\n union all"
	switch grain {
	case history.GrainDay:
		with, coarse = late, sumsOf(servers, "s.id", total, "bucket", daily)+notLateDay
		fine = sumsOf("late_day l", "l.server_id", total, "bucket", hourly+within("bucket", "1 day")) + notLateHour + and + minutesOfLate
	case history.GrainHour:
		with, coarse, fine = late, sumsOf(servers, "s.id", total, "bucket", hourly)+notLateHour, minutesOfLate
	default:
	}
	group := func(part string) string {
		return `
select server_id, date_bin($3, bucket, timestamptz 'epoch') as bucket, sum(ticks_planned::float8) as planned, sum(answered::float8) as answered` + sums + `
  from (` + part + `) part
 group by 1, 2`
	}
	perServer := ""
	switch {
	case !same && fine == "":
		perServer = group(coarse)
	case !same:
		perServer = group(coarse + and + fine)
	default:
		perServer = `
select server_id, bucket, ticks_planned::float8 as planned, answered::float8` + columns + `
  from (` + coarse + `) part
 where $3::interval is not null`
		if fine != "" {
			perServer += and + group(fine)
		}
	}
	return `/* pgam:fleet_activity */
with` + with + `
per_server as (` + perServer + `)
select bucket, count(*), sum(planned), sum(answered)` + averages + `
  from per_server
 where answered > 0
 group by bucket`
}
