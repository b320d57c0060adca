package history

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// FleetServer is what is newest in the history of one server. Nil is unknown.
type FleetServer struct {
	// LastTick is the newest tick of a day, LastOutcome what became of it.
	LastTick    *time.Time
	LastOutcome sample.Outcome
	LastReason  sample.Reason
	// Load is the average number of sessions in the newest minute, LoadBy that by
	// wait class, LoadAt when the minute began; nil: none is newer than ten
	// minutes.
	Load   *float64
	LoadBy [sample.NumClasses]float64
	LoadAt *time.Time
	// LoadYesterday is the average of the same hour of the day before.
	LoadYesterday *float64
	// Those that follow are of the newest answered tick; the first three are known
	// only while that is not compacted, some minutes.
	Blocked        *int // sessions that wait for another
	OldestXact     *time.Duration
	OldestXmin     *int64 // transactions; of sessions, slots, standbys and prepared transactions
	Connections    *int32
	MaxConnections *int64
	Burst          bool
	// LeastFree is the file system with the least part free, FullIn when the one
	// that is full first will be.
	LeastFree *FleetDisk
	FullIn    *time.Duration
	// Version is what the server calls itself, Standby whether it was in recovery,
	// as last seen; empty: that is not known.
	Version string
	Standby bool
	// CPUs are the processors of its host, as last seen.
	CPUs *int
	// LastEvent is the server's newest of seven days.
	LastEvent *Event
	// Coverage is of the newest ten minutes that are stored.
	Coverage Coverage
}

// FleetDisk is one file system of a server.
type FleetDisk struct {
	MountPoint  string
	At          time.Time
	Free, Total int64
}

// Part is the part that is free, from 0 to 1.
func (d *FleetDisk) Part() float64 { return float64(d.Free) / float64(d.Total) }

// FleetActivity is sessions by wait class over time, of all servers together:
// one element a bucket in every series.
type FleetActivity struct {
	Plan  Plan
	Times []time.Time
	// Average are average numbers of sessions by class, added up over the
	// servers.
	Average [sample.NumClasses][]float64
	// Servers counts those of which something is known in the bucket; zero: the
	// bucket is unknown.
	Servers []int64
	// Planned and Answered count ticks.
	Planned, Answered []int64
}

const (
	// fleetMinutes is how much of the past says how a server is now.
	fleetMinutes = 10 * time.Minute
	// fleetTick is how old a tick may be to be the last one.
	fleetTick = 24 * time.Hour
	// fleetEvent is how old an event may be to be the last one.
	fleetEvent = 7 * 24 * time.Hour
)

// Fleet gives what is newest in the history of all servers.
func (r *Reader) Fleet(ctx context.Context, now time.Time) (map[target.ID]*FleetServer, error) {
	q := fleetQuery{now: now.UTC(), servers: make(map[target.ID]*FleetServer), known: make(map[target.ID]*fleetKnown)}
	b := &pgx.Batch{}
	q.queuePromises(b)
	q.queueTicks(b)
	q.queueSums(b)
	q.queueRest(b)
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("read fleet: %w", statsdb.Classify(err))
	}
	for id, f := range q.servers {
		q.summarize(f, q.known[id])
	}
	return q.servers, nil
}

// fleetQuery is a question about all servers while it is answered.
type fleetQuery struct {
	now     time.Time
	servers map[target.ID]*FleetServer
	known   map[target.ID]*fleetKnown
}

// fleetKnown is what a server's summary is made of.
type fleetKnown struct {
	added   time.Time
	cadence time.Duration // of the server's own
	newest  look
	parts   []sample.Summary
}

func (q *fleetQuery) of(id target.ID) *FleetServer {
	f := q.servers[id]
	if f == nil {
		f = new(FleetServer)
		q.servers[id] = f
	}
	return f
}

// queuePromises asks since when, and how often, each server is to be looked at.
func (q *fleetQuery) queuePromises(b *pgx.Batch) {
	var (
		id      target.ID
		added   time.Time
		seconds int32
	)
	const sql = "/* pgam:fleet */ select id, created_at, coalesce(activity_interval_seconds, 1) from pgam.server where deleted_at is null"
	b.Queue(sql).Query(each([]any{&id, &added, &seconds}, func() error {
		q.known[id] = &fleetKnown{added: added.UTC(), cadence: time.Duration(seconds) * time.Second}
		return nil
	}))
}

// queueTicks asks for the newest ticks of each server.
func (q *fleetQuery) queueTicks(b *pgx.Batch) {
	var (
		id     target.ID
		recent bool
		row    sample.Row
	)
	args := pgx.NamedArgs{"from": q.now.Add(-fleetTick), "to": q.now}
	b.Queue(sql("fleet_ticks"), args).Query(each(append([]any{&id, &recent, &row.Bucket}, row.Fields()...), func() error {
		row.Bucket = row.Bucket.UTC()
		if !row.Fits() || len(row.Planned) == 0 {
			return errMalformed
		}
		last := len(row.Planned) - 1
		newest := tickOf(&row, last)
		f, k := q.of(id), q.known[id]
		at := newest.started
		f.LastTick, f.LastOutcome, f.LastReason = &at, newest.outcome, newest.reason
		k.newest = look{newest.planned, time.Duration(row.Cadence[last]) * time.Millisecond}
		for last >= 0 && !newest.outcome.Answered() {
			if last--; last >= 0 {
				newest = tickOf(&row, last)
			}
		}
		if last >= 0 {
			f.newest(&newest, recent)
		}
		return nil
	}))
}

// newest takes what the newest answered tick says; what it saw is known of a recent
// one.
func (f *FleetServer) newest(t *tick, recent bool) {
	f.Burst, f.Connections = t.burst, t.backends
	if !recent {
		return
	}
	blocked := make(map[sample.Key]bool)
	for _, w := range t.waits {
		blocked[w.Blocked] = true
	}
	count := len(blocked)
	f.Blocked = &count
	for i := range t.sessions {
		s := &t.sessions[i]
		if s.xactStart != nil {
			if age := max(t.started.Sub(*s.xactStart), 0); f.OldestXact == nil || *f.OldestXact < age {
				f.OldestXact = &age
			}
		}
		if s.xminAge != nil {
			f.older(int64(*s.xminAge))
		}
	}
}

// older keeps the greater age of an xmin.
func (f *FleetServer) older(age int64) {
	if f.OldestXmin == nil || *f.OldestXmin < age {
		f.OldestXmin = &age
	}
}

// queueSums asks for the newest minutes.
func (q *fleetQuery) queueSums(b *pgx.Batch) {
	args := pgx.NamedArgs{"from": Floor(q.now.Add(-fleetMinutes-settling-time.Minute), time.Minute), "to": q.now}
	b.Queue(sql("fleet_sums"), args).Query(func(rows pgx.Rows) error {
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (none struct{}, err error) {
			var (
				id     target.ID
				stored sample.StoredSummary
			)
			if err = row.Scan(append([]any{&id}, stored.Fields()...)...); err == nil {
				q.of(id)
				q.known[id].parts = append(q.known[id].parts, stored.Summary())
			}
			return none, err
		})
		return err
	})
}

// queueRest asks for what stands beside ticks.
func (q *fleetQuery) queueRest(b *pgx.Batch) {
	var (
		id    target.ID
		load  float64
		count int64
		disk  FleetDisk
		slope *float64
	)
	args := pgx.NamedArgs{
		"hour": Floor(q.now.Add(-24*time.Hour), time.Hour), "from": q.now.Add(-horizonStands), "to": q.now,
		"stands": q.now.Add(-diskStands), "trend": q.now.Add(-trendOver),
	}
	b.Queue(sql("fleet_yesterday"), args).Query(each([]any{&id, &load}, func() error {
		yesterday := load
		q.of(id).LoadYesterday = &yesterday
		return nil
	}))
	b.Queue(sql("fleet_horizon"), args).Query(each([]any{&id, &count}, func() error {
		q.of(id).older(count)
		return nil
	}))
	var version string
	var standby bool
	var cpus *int
	b.Queue(sql("fleet_identity")).Query(each([]any{&id, &version, &standby, &cpus}, func() error {
		q.of(id).Version, q.of(id).Standby, q.of(id).CPUs = version, standby, cpus
		return nil
	}))
	var e Event
	since := pgx.NamedArgs{"since": q.now.Add(-fleetEvent), "to": q.now}
	b.Queue(sql("fleet_events"), since).Query(each([]any{&id, &e.At, &e.Kind, &e.Subject, &e.Old, &e.New, &e.Detail}, func() error {
		last := e
		q.of(id).LastEvent = &last
		return nil
	}))
	b.Queue(sql("fleet_settings")).Query(each([]any{&id, &count}, func() error {
		most := count
		q.of(id).MaxConnections = &most
		return nil
	}))
	b.Queue(sql("fleet_disks"), args).Query(each([]any{&id, &disk.MountPoint, &disk.At, &disk.Free, &disk.Total, &slope}, func() error {
		f, d := q.of(id), disk
		if d.At = d.At.UTC(); f.LeastFree == nil || d.Part() < f.LeastFree.Part() {
			f.LeastFree = &d
		}
		if slope != nil {
			if full := fullIn(&d.Free, *slope); full != nil && (f.FullIn == nil || *full < *f.FullIn) {
				f.FullIn = full
			}
		}
		return nil
	}))
}

// summarize makes load and coverage of the newest minutes: those that end when the
// next tick is due.
func (q *fleetQuery) summarize(f *FleetServer, k *fleetKnown) {
	until := q.now
	if due := k.newest.planned.Add(k.newest.cadence); q.now.Sub(due) < settling {
		until = earlier(until, due)
	}
	s := sums{parts: k.parts, judged: Range{later(Floor(until.Add(-fleetMinutes), time.Minute), k.added), until}}
	s.judged.To = later(s.judged.To, s.judged.From)
	n := 0
	for n < len(s.parts) && s.parts[n].First.Before(s.judged.From) {
		s.before = look{s.parts[n].Last, s.parts[n].Cadence}
		n++
	}
	s.parts = s.parts[n:]
	switch {
	case n > 0:
	case !k.newest.planned.IsZero() && k.newest.planned.Before(s.judged.From):
		s.before = k.newest
	default:
		s.before = s.virtual(k.added, k.cadence)
	}
	f.Coverage = s.coverage()
	f.load(s.parts)
}

// load is that of the newest minute of which something is known. Half a minute says
// more than none, the one before more than less.
func (f *FleetServer) load(parts []sample.Summary) {
	var minutes []sample.Summary
	for i := range parts {
		if n := len(minutes); n == 0 || !Floor(minutes[n-1].First, time.Minute).Equal(Floor(parts[i].First, time.Minute)) {
			minutes = append(minutes, sample.Summary{})
		}
		minutes[len(minutes)-1].Add(&parts[i])
	}
	for i := len(minutes) - 1; i >= 0; i-- {
		m := &minutes[i]
		filling := i == len(minutes)-1 && time.Duration(m.Answered())*m.Cadence < time.Minute/2 && i > 0
		if m.Answered() == 0 || filling {
			continue
		}
		load, at := 0.0, Floor(m.First, time.Minute)
		for class, samples := range m.Classes {
			f.LoadBy[class] = float64(samples) / float64(m.Answered())
			load += f.LoadBy[class]
		}
		f.Load, f.LoadAt = &load, &at
		return
	}
}

// fleetKept refuses a range that begins before the oldest partition of what
// answers, unless all servers were added later.
func (r *Reader) fleetKept(ctx context.Context, plan Plan) error {
	table, what := "activity_total", "sums by hour and day are"
	if plan.Grain == GrainMinute {
		table, what = "activity_minute", "sums by minute (a step of whole hours reaches further back) are"
	}
	since, err := r.keptSince(ctx)
	if err != nil {
		return err
	}
	oldest := since[table]
	if !plan.Range.From.Before(oldest) {
		return nil
	}
	const sql = "/* pgam:fleet_kept */ select exists (select from pgam.server where deleted_at is null and created_at < $1)"
	var lost bool
	if err := r.pool.QueryRow(ctx, sql, oldest).Scan(&lost); err != nil {
		return err
	}
	if lost {
		return fmt.Errorf("%w: %s kept since %s: begin there", ErrGone, what, oldest.Format(time.RFC3339))
	}
	return nil
}

// FleetActivity gives sessions by wait class of all servers together. The step
// is whole minutes; what is not compacted is taken from its slots. The error wraps
// ErrGone where the range begins before what is kept.
func (r *Reader) FleetActivity(ctx context.Context, plan Plan) (FleetActivity, error) {
	n := plan.Buckets()
	a := FleetActivity{Plan: plan, Times: plan.Times(), Servers: make([]int64, n), Planned: make([]int64, n), Answered: make([]int64, n)}
	for class := range a.Average {
		a.Average[class] = make([]float64, n)
	}
	fail := func(err error) (FleetActivity, error) {
		return a, fmt.Errorf("read activity of the fleet: %w", statsdb.Classify(err))
	}
	if err := r.fleetKept(ctx, plan); err != nil {
		return fail(err)
	}
	var (
		start             time.Time
		servers           int64
		planned, answered float64
		average           [sample.NumClasses]float64
		into              = []any{&start, &servers, &planned, &answered}
	)
	for class := range average {
		into = append(into, &average[class])
	}
	b := &pgx.Batch{} // one transaction
	b.Queue("/* pgam:fleet_activity */ select set_config('work_mem', '64MB', true)")
	b.Queue(sql("fleet_activity"), pgx.NamedArgs{
		"from": plan.Range.From, "to": plan.Range.To, "grain_seconds": int32(plan.Grain.Step() / time.Second), "step": plan.Step,
	}).Query(each(into, func() error {
		i := plan.bucket(start)
		a.Servers[i], a.Planned[i], a.Answered[i] = servers, int64(planned), int64(answered)
		for class := range average {
			a.Average[class][i] = average[class]
		}
		return nil
	}))
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	return a, nil
}

// FleetMinutes gives the average number of sessions of each server in the minutes
// of a plan; nil: not known. The error wraps ErrGone where the range begins before
// what is kept.
func (r *Reader) FleetMinutes(ctx context.Context, plan Plan) (map[target.ID][]*float64, error) {
	fail := func(err error) (map[target.ID][]*float64, error) {
		return nil, fmt.Errorf("read minutes of the fleet: %w", statsdb.Classify(err))
	}
	if err := r.fleetKept(ctx, plan); err != nil {
		return fail(err)
	}
	var (
		servers = make(map[target.ID][]*float64)
		id      target.ID
		minute  time.Time
		average float64
		b       pgx.Batch
	)
	b.Queue(sql("fleet_minutes"), pgx.NamedArgs{"from": plan.Range.From, "to": plan.Range.To}).Query(each([]any{&id, &minute, &average}, func() error {
		if servers[id] == nil {
			servers[id] = make([]*float64, plan.Buckets())
		}
		known := average
		servers[id][plan.bucket(minute)] = &known
		return nil
	}))
	if err := r.pool.SendBatch(ctx, &b).Close(); err != nil {
		return fail(err)
	}
	return servers, nil
}
