package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// fleet shows the few things that have a series for each server: two always, one
// more while it is not well, 16 of its load while that is known, and two where its
// disks are looked at. A thousand servers make 21 000 series at most.
type fleet struct {
	watched func() []collector.Watched
	now     func() time.Time

	mu   sync.Mutex
	seen map[target.ID]*seen

	up, failing, breaker, free, full                              *prometheus.Desc
	active, blocked, connections, maxConnections, oldest, xminAge *prometheus.Desc
}

// seen is the last that is known of a server.
type seen struct {
	outcome sample.Outcome
	reason  sample.Reason
	load    load
	disks   map[string]*filling // by mount point
}

// load is how busy a server was at a tick. What is negative is not known.
type load struct {
	until                               time.Time // how long it may be told; zero: not at all
	active                              [sample.NumClasses]int
	blocked                             int
	connections, maxConnections         int32
	oldestTransaction, oldestXminBehind float64 // seconds, transactions
}

const (
	// staleTicks and staleAfter are how many ticks, and how long at least, a load is
	// told that no newer one replaced.
	staleTicks = 3
	staleAfter = 15 * time.Second
)

// loadOf gives the load at an answered tick.
func loadOf(v *sample.Visit) load {
	t := v.Tick
	l := load{
		until: t.Started.Add(max(staleTicks*t.Cadence, staleAfter)), connections: t.Backends, maxConnections: v.Load.MaxConnections, oldestXminBehind: -1,
	}
	if t.NextXID > 0 {
		l.oldestXminBehind = 0
	}
	waiting := make(map[int32]bool)
	for _, e := range t.Edges {
		waiting[e.Blocked] = true
	}
	l.blocked = len(waiting)
	for i := range t.Sessions {
		s := &t.Sessions[i]
		if s.Class < sample.NumClasses {
			l.active[s.Class]++
		}
		if s.XactStart != 0 {
			l.oldestTransaction = max(l.oldestTransaction, t.Started.Sub(time.UnixMicro(s.XactStart)).Seconds())
		}
		if s.Xmin != 0 && t.NextXID > 0 {
			behind := int32(uint32(t.NextXID) - s.Xmin)
			l.oldestXminBehind = max(l.oldestXminBehind, float64(behind))
		}
	}
	return l
}

func newFleet() *fleet {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pgam_server_"+name, help, append([]string{"server"}, labels...), nil)
	}
	return &fleet{
		watched: func() []collector.Watched { return nil }, now: time.Now, seen: make(map[target.ID]*seen),
		up:             d("up", "1 if the last planned tick of the server was answered."),
		failing:        d("failing", "1 while the ticks of the server are not ok, by the last one's reason; no series while they are.", "reason"),
		breaker:        d("breaker_open", "1 while the server accepts connections and does not answer them: one attempt waits, or one a minute is made."),
		active:         d("active_sessions", "Sessions of the server's load at the last answered tick, by what they do: on the processor, waiting by class, or idle in transaction; no series while it does not answer.", "wait_class"),
		blocked:        d("blocked_sessions", "Sessions that wait for a lock which another session holds or is to get first; no series while the server does not answer."),
		connections:    d("connections", "Connections to the server, idle ones too; no series while it does not answer."),
		maxConnections: d("max_connections", "The server's setting max_connections; no series while it does not answer."),
		xminAge:        d("oldest_xmin_age_transactions", "How many transactions ago the oldest snapshot was taken that a session of the server holds; 0: none is; no series while it does not answer."),
		oldest:         d("oldest_transaction_seconds", "Age in seconds of the oldest transaction on the server, prepared ones too; 0: there is none; no series while it does not answer."),
		free:           d("disk_free_ratio", "Least free share, from 0 to 1, of the file systems that hold the server's data."),
		full:           d("disk_full_seconds", "Seconds until the first file system of the server is full if it goes on as in the last six hours; no series while none fills."),
	}
}

// of gives what is known of a server. The lock is held.
func (f *fleet) of(server target.ID) *seen {
	s := f.seen[server]
	if s == nil {
		s = &seen{disks: make(map[string]*filling)}
		f.seen[server] = s
	}
	return s
}

// tick notes a tick. One that failed ends what was known of the load; one that was
// skipped, because the visit before it goes on, does not.
func (f *fleet) tick(v *sample.Visit) {
	var now load
	if v.Tick.Outcome.Answered() {
		now = loadOf(v)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.of(v.Server)
	s.outcome, s.reason = v.Tick.Outcome, v.Tick.Reason
	if v.Tick.Outcome != sample.Skipped {
		s.load = now
	}
}

// disks notes a look at file systems.
func (f *fleet) disks(server target.ID, d *sample.Disks) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.of(server)
	there := make(map[string]*filling, len(d.FileSystems))
	for _, fs := range d.FileSystems {
		if !fs.Free.Known || !fs.Total.Known || fs.Total.V <= 0 {
			continue
		}
		disk := s.disks[fs.MountPoint]
		if disk == nil {
			disk = new(filling)
		}
		disk.look(d.At, fs.Free.V, fs.Total.V)
		there[fs.MountPoint] = disk
	}
	s.disks = there
}

// Describe implements prometheus.Collector.
func (f *fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		f.up, f.failing, f.breaker, f.free, f.full, f.active, f.blocked, f.connections, f.maxConnections, f.oldest, f.xminAge,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. A server that is no longer watched is
// forgotten.
func (f *fleet) Collect(ch chan<- prometheus.Metric) {
	watched, now := f.watched(), f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := make(map[target.ID]*seen, len(watched))
	for _, w := range watched {
		s := f.seen[w.ID]
		if s == nil {
			continue // no tick yet
		}
		kept[w.ID] = s
		f.collect(ch, w, s, now)
	}
	f.seen = kept
}

// collect gives the series of one server. The lock is held.
func (f *fleet) collect(ch chan<- prometheus.Metric, w collector.Watched, s *seen, now time.Time) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{w.Name}, labels...)...)
	}
	gauge(f.up, oneIf(s.outcome.Answered()))
	gauge(f.breaker, oneIf(w.Breaker))
	if s.outcome != sample.OK {
		gauge(f.failing, 1, s.reason.String())
	}
	if l := &s.load; now.Before(l.until) {
		for class := range sample.NumClasses {
			gauge(f.active, float64(l.active[class]), class.String())
		}
		gauge(f.blocked, float64(l.blocked))
		gauge(f.oldest, l.oldestTransaction)
		for _, known := range []struct {
			desc *prometheus.Desc
			v    float64
		}{{f.connections, float64(l.connections)}, {f.maxConnections, float64(l.maxConnections)}, {f.xminAge, l.oldestXminBehind}} {
			if known.v >= 0 {
				gauge(known.desc, known.v)
			}
		}
	}
	least, first, fills := 2.0, 0.0, false
	for _, disk := range s.disks {
		least = min(least, disk.free())
		if in, ok := disk.fullIn(now); ok && (!fills || in < first) {
			first, fills = in, true
		}
	}
	if least <= 1 {
		gauge(f.free, least)
	}
	if fills {
		gauge(f.full, first)
	}
}

const (
	// fillingSpan is what the trend of a file system is taken from, fillingStep
	// how far apart its points are at least, and fillingLeast how long it must be
	// known.
	fillingSpan  = 6 * time.Hour
	fillingStep  = 10 * time.Minute
	fillingLeast = time.Hour
)

// filling follows how one file system fills.
type filling struct {
	points []fillPoint // the oldest first; the last one is the newest look
	total  int64
}

type fillPoint struct {
	at   time.Time
	free int64
}

// look adds a look: the last point moves on until it is a step away from the one
// before.
func (d *filling) look(at time.Time, free, total int64) {
	if d.total != total {
		d.points, d.total = nil, total // it was resized, or is another one
	}
	n := len(d.points)
	if n >= 2 && at.Sub(d.points[n-2].at) < fillingStep {
		d.points[n-1] = fillPoint{at, free}
	} else {
		d.points = append(d.points, fillPoint{at, free})
	}
	for len(d.points) > 1 && at.Sub(d.points[0].at) > fillingSpan {
		d.points = d.points[1:]
	}
}

// free gives the free share at the last look.
func (d *filling) free() float64 {
	return float64(d.points[len(d.points)-1].free) / float64(d.total)
}

// fullIn gives the seconds from now until nothing is free along the line of least
// squares; ok is false if it does not fill, or is not known for long enough.
func (d *filling) fullIn(now time.Time) (seconds float64, ok bool) {
	n := len(d.points)
	last := d.points[n-1]
	if last.at.Sub(d.points[0].at) < fillingLeast {
		return 0, false
	}
	var sumX, sumY, sumXX, sumXY float64
	for _, p := range d.points {
		x, y := p.at.Sub(last.at).Seconds(), float64(p.free-last.free)
		sumX, sumY, sumXX, sumXY = sumX+x, sumY+y, sumXX+x*x, sumXY+x*y
	}
	k := float64(n)
	slope := (k*sumXY - sumX*sumY) / (k*sumXX - sumX*sumX)
	if slope >= 0 {
		return 0, false
	}
	return max(float64(last.free)/-slope-now.Sub(last.at).Seconds(), 0), true
}
