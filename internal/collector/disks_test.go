package collector

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// hosts are the hosts of all servers, as far as their disks go.
type hosts struct {
	// read, if set, says how the n-th look at a server ends; a look takes a
	// moment otherwise, and finds another amount free each time.
	read func(ctx context.Context, t target.Target, n int) (sample.Disks, sample.Reason, error)

	mu      sync.Mutex
	looks   map[target.ID][]look
	reading map[target.ID]int
	most    int // looks at one server at once
	all     int
	mostAll int // looks at once
	forgot  []target.ID
}

// look is one look at a host.
type look struct {
	at        time.Time
	host      string
	locations []sample.Location
}

func newHosts() *hosts {
	return &hosts{looks: make(map[target.ID][]look), reading: make(map[target.ID]int)}
}

func (h *hosts) Read(ctx context.Context, t target.Target, locations []sample.Location) (sample.Disks, sample.Reason, error) {
	h.mu.Lock()
	n := len(h.looks[t.ID])
	h.looks[t.ID] = append(h.looks[t.ID], look{time.Now(), t.ShellHost(), locations})
	h.reading[t.ID]++
	h.all++
	h.most, h.mostAll = max(h.most, h.reading[t.ID]), max(h.mostAll, h.all)
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.reading[t.ID]--
		h.all--
	}()
	if h.read != nil {
		return h.read(ctx, t, n)
	}
	<-time.After(20 * time.Millisecond)
	return seenDisks(int64(n)), sample.None, nil
}

func (h *hosts) Forget(id target.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgot = append(h.forgot, id)
}

// looksAt gives the looks at a server so far.
func (h *hosts) looksAt(id target.ID) []look {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.looks[id])
}

func (h *hosts) under(id target.ID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reading[id]
}

func (h *hosts) forgotten() []target.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.forgot)
}

func instants(looks []look) (at []time.Time) {
	for _, l := range looks {
		at = append(at, l.at)
	}
	return at
}

func seenDisks(free int64) sample.Disks {
	return sample.Disks{At: time.Now().UTC(), Source: target.DiskSSH, FileSystems: []sample.FileSystem{
		{MountPoint: "/data", Uses: []string{"data", "wal"}, Free: sample.Int{V: free, Known: true}},
	}}
}

// lookKey is what a row of disk usage is known by.
type lookKey struct {
	server target.ID
	at     int64
	mount  string
}

// lookKeys adds a visit's file systems, each of which comes once.
func lookKeys(v *sample.Visit, into map[lookKey]sample.FileSystem) {
	if v.Disks == nil {
		return
	}
	for _, f := range v.Disks.FileSystems {
		into[lookKey{v.Server, v.Disks.At.UnixMicro(), f.MountPoint}] = f
	}
}

// wantDisksStored checks that the history has what the journal was given.
func (w *world) wantDisksStored() {
	w.t.Helper()
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	if diff := cmp.Diff(w.journal.looked, w.history.disks); diff != "" {
		w.t.Errorf("disks stored (-journal +history):\n%s", diff)
	}
}

func places() []sample.Location {
	return []sample.Location{{Use: "data", Path: "/data/main"}, {Use: "wal", Path: "/data/main/pg_wal"}}
}

// withDisks is a server whose disks are looked at.
func withDisks(id target.ID) target.Target {
	t := server(id)
	t.Shell.User = "watcher"
	return t
}

// onHosts gives the world hosts, and all servers up to n a place.
func (w *world) onHosts(n target.ID) *hosts {
	h := newHosts()
	w.change = func(c *Config) { c.Disks, c.Intervals.Disks = h, time.Minute }
	for id := target.ID(1); id <= n; id++ {
		w.fleet.server(id).places = places()
	}
	return h
}

// seldom has all servers visited every five seconds: a test of many hours
// takes less.
func (w *world) seldom() {
	change := w.change
	w.change = func(c *Config) {
		change(c)
		c.Intervals.Activity = 5 * time.Second
	}
}

// record makes the collector log into what it gives.
func (w *world) record() *lines {
	out, change := &lines{}, w.change
	w.change = func(c *Config) {
		change(c)
		c.Log = slog.New(slog.NewTextHandler(out, nil))
	}
	return out
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// with gives the lines that hold a text.
func (l *lines) with(text string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			out = append(out, line)
		}
	}
	return out
}

func TestDisks(t *testing.T) {
	often := withDisks(3)
	often.Intervals.Disks = 5 * time.Second
	quiet, slow := withDisks(4), withDisks(5)
	slow.Intervals.Disks = 5 * time.Second
	inWorld(t, func(t *testing.T, w *world) {
		h := w.onHosts(5)
		h.read = func(_ context.Context, t target.Target, n int) (sample.Disks, sample.Reason, error) {
			switch t.ID {
			case 1:
				<-time.After(20 * time.Second) // ticks do not wait
			case 4:
				n = 0 // nothing changes
			case 5:
				<-time.After(8 * time.Second) // longer than its interval
			}
			return seenDisks(int64(n)), sample.None, nil
		}
		w.start()
		w.pass(10 * time.Minute)
		w.stop()
		for id, want := range map[target.ID][2]int{1: {10, 11}, 2: {0, 0}, 3: {118, 120}, 4: {10, 11}, 5: {58, 60}} {
			looks := h.looksAt(id)
			if n := len(looks); n < want[0] || n > want[1] {
				t.Errorf("server %d: %d looks in ten minutes, want %d to %d", id, n, want[0], want[1])
			}
			for _, l := range looks {
				if diff := cmp.Diff(places(), l.locations); diff != "" {
					t.Fatalf("server %d: locations (-want +got):\n%s", id, diff)
				}
			}
			ticks := w.wantWhole(id, time.Second)
			if r := reasons(ticks); len(r) != 1 || r[sample.None] == 0 {
				t.Errorf("server %d: reasons %v; disks are no matter of ticks", id, r)
			}
			w.wantStored(id)
		}
		if h.most != 1 {
			t.Errorf("%d looks at one server at once", h.most)
		}
		w.wantDisksStored()
		stored := make(map[target.ID]int)
		for key := range w.history.disks {
			stored[key.server]++
		}
		if stored[1] < 10 || stored[3] < 118 || stored[4] != 2 {
			t.Errorf("samples by server: %v; want every change, and every five minutes where nothing changes", stored)
		}
		if n := w.c.Counts(); int(n.LooksOK) < 195 || n.LooksFailed != 0 {
			t.Errorf("counted: %d looks went well, %d failed", n.LooksOK, n.LooksFailed)
		}
		if len(w.fleet.server(2).did().located) != 0 {
			t.Error("a server was asked for its locations though nobody looks at its disks")
		}
	}, withDisks(1), server(2), often, quiet, slow)
}

// TestDisksOfServerThatIsDown: a server may be down because its disk is full.
func TestDisksOfServerThatIsDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.onHosts(1)
		down := false
		var mu sync.Mutex
		w.fleet.server(1).dial = func(context.Context, int) (sample.Reason, error) {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return sample.Refused, errDial
			}
			return sample.None, nil
		}
		w.start()
		w.pass(90 * time.Second)
		mu.Lock()
		down = true
		mu.Unlock()
		wt := w.c.schedule.watch(1)
		wt.connection.reset()
		before := len(h.looksAt(1))
		w.pass(10 * time.Minute)
		w.stop()
		if n := len(h.looksAt(1)) - before; n < 9 || n > 11 {
			t.Errorf("%d looks in ten minutes at the host of a server that is down", n)
		}
		w.wantDisksStored()
	}, withDisks(1))
}

func TestDisksFail(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h, log := w.onHosts(4), w.record()
		w.seldom()
		backAt := time.Now().Add(30 * time.Minute)
		h.read = func(ctx context.Context, t target.Target, _ int) (sample.Disks, sample.Reason, error) {
			switch {
			case time.Now().After(backAt):
				return seenDisks(1), sample.None, nil
			case t.ID == 2:
				return sample.Disks{}, sample.HostKeyUnknown, errors.New("host key of db2 is not known")
			case t.ID == 3:
				<-ctx.Done() // a host that stands still
				return sample.Disks{}, sample.Timeout, context.Cause(ctx)
			case t.ID == 4:
				d := seenDisks(0)
				d.FileSystems = nil
				d.Missing = []sample.MissingLocation{{Location: places()[0], Reason: sample.NoPrivilege}}
				return d, sample.None, nil
			}
			return sample.Disks{}, sample.Refused, errDial
		}
		w.start()
		w.pass(30 * time.Minute)
		for id := target.ID(1); id <= 4; id++ {
			looks := h.looksAt(id)
			if n := len(looks); n < 5 || n > 14 {
				t.Errorf("server %d: %d attempts in half an hour", id, n)
			}
			if gap := longestGap(instants(looks)); gap > maxLookPause+2*time.Minute {
				t.Errorf("server %d: left alone for %s", id, gap)
			}
		}
		if n := within(instants(h.looksAt(2)), 299*time.Second); n != 1 {
			t.Errorf("%d attempts in five minutes at a host whose key nobody confirmed", n)
		}
		if n := w.c.Counts(); n.LooksOK != 0 || n.LooksFailed < 20 {
			t.Errorf("counted: %d looks went well, %d failed", n.LooksOK, n.LooksFailed)
		}
		if n := len(w.history.disks); n != 0 {
			t.Errorf("%d samples of hosts that cannot be seen", n)
		}
		w.pass(maxLookPause + 2*time.Minute)
		w.stop()
		for reason, n := range map[string]int{"reason=refused": 1, "reason=host_key_unknown": 1, "reason=timeout": 1, "reason=no_privilege": 1, "server=db2": 1} {
			if got := log.with(`msg="disks cannot be seen"`); len(got) != 4 || strings.Count(strings.Join(got, ""), reason) != n {
				t.Errorf("%s: %d times in the log of failures:\n%s", reason, strings.Count(strings.Join(got, ""), reason), strings.Join(got, ""))
			}
		}
		if got := log.with(`msg="disks are seen again"`); len(got) != 4 {
			t.Errorf("%d lines say that disks are seen again:\n%s", len(got), strings.Join(got, ""))
		}
		if stall := h.looksAt(3); stall[1].at.Sub(stall[0].at) < maxLook {
			t.Errorf("a look at a host that stands still took %s at most", stall[1].at.Sub(stall[0].at))
		}
		w.wantDisksStored()
		if n := len(w.history.disks); n < 4 || n > 8 {
			t.Errorf("%d samples after the hosts were back, want one of each server in five minutes", n)
		}
	}, withDisks(1), withDisks(2), withDisks(3), withDisks(4))
}

// TestDisksNotTold: where the monitoring user may not see the data directory,
// the log says what to grant, once, and the disks are seen once it is granted.
func TestDisksNotTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h, log := w.onHosts(2), w.record()
		one, two := w.fleet.server(1), w.fleet.server(2)
		one.places = []sample.Location{}
		two.places = []sample.Location{{Use: "tablespace:fast", Path: "/fast"}}
		w.start()
		w.pass(10 * time.Minute)
		if len(h.looksAt(1)) != 0 || len(h.looksAt(2)) < 9 {
			t.Errorf("%d looks for nothing, %d for a tablespace", len(h.looksAt(1)), len(h.looksAt(2)))
		}
		if got := log.with("grant pg_monitor"); len(got) != 1 || !strings.Contains(got[0], "server=db1") {
			t.Errorf("in the log: %q", got)
		}
		if got := log.with("not all disks can be seen"); len(got) != 1 || !strings.Contains(got[0], "server=db2") {
			t.Errorf("in the log: %q", got)
		}
		one.mu.Lock()
		one.places = places()
		one.mu.Unlock()
		w.pass(3 * time.Minute)
		w.stop()
		if len(h.looksAt(1)) < 2 {
			t.Errorf("%d looks in three minutes after the role was granted", len(h.looksAt(1)))
		}
	}, withDisks(1), withDisks(2))
}

// TestLooksEnd: what a server's change, pause or removal means for a look under
// way, and for the next one.
func TestLooksEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.onHosts(5)
		h.read = func(ctx context.Context, _ target.Target, n int) (sample.Disks, sample.Reason, error) {
			if n == 0 {
				<-ctx.Done()
				// What comes too late is of another host, or wanted by nobody.
				return seenDisks(-1), sample.None, nil
			}
			return seenDisks(int64(n)), sample.None, nil
		}
		w.start()
		w.pass(firstLooks + 2*time.Second)
		for id := target.ID(1); id <= 5; id++ {
			if h.under(id) != 1 {
				t.Fatalf("server %d: %d looks are under way", id, h.under(id))
			}
		}
		moved, rekeyed, paused, none := withDisks(1), withDisks(2), withDisks(3), withDisks(4)
		moved.Endpoint.Host = "b"
		rekeyed.Shell.HostKey = "ssh-ed25519 AAAA"
		paused.Enabled = false
		none.DiskSource = target.DiskNone
		w.catalog.set(moved, rekeyed, paused, none) // 5 is removed
		located := len(w.fleet.server(1).did().located)
		w.pass(3 * time.Second)
		for id := target.ID(1); id <= 5; id++ {
			if h.under(id) != 0 {
				t.Errorf("server %d: a look goes on", id)
			}
		}
		forgotten := h.forgotten()
		slices.Sort(forgotten)
		if !slices.Equal(forgotten, []target.ID{3, 5}) {
			t.Errorf("forgotten: %v", forgotten)
		}
		if n := len(w.fleet.server(1).did().located); n <= located {
			t.Error("a server that moved was not asked again where its data are")
		}
		w.pass(2 * time.Minute)
		for id, want := range map[target.ID]bool{1: true, 2: true, 3: false, 4: false, 5: false} {
			looks := h.looksAt(id)
			if got := len(looks) > 1; got != want {
				t.Errorf("server %d: %d looks after the change", id, len(looks))
			}
		}
		if looks := h.looksAt(1); looks[0].host != "a" || looks[1].host != "b" {
			t.Errorf("looks at a server that moved: %+v", looks)
		}
		again := withDisks(3)
		w.catalog.set(moved, rekeyed, again, none)
		w.pass(20 * time.Second)
		w.stop()
		if len(h.looksAt(3)) != 2 {
			t.Errorf("%d looks at a server that is no longer paused", len(h.looksAt(3))-1)
		}
		for key, f := range w.history.disks {
			if f.Free.V == -1 {
				t.Errorf("a look that was ended is stored: %+v", key)
			}
		}
		w.wantDisksStored()
	}, withDisks(1), withDisks(2), withDisks(3), withDisks(4), withDisks(5))
}

// TestManyLooks has many hosts that stand still: few are waited for at once,
// looks are spread, and no tick suffers.
func TestManyLooks(t *testing.T) {
	const n = 100
	var targets []target.Target
	for id := target.ID(1); id <= n; id++ {
		targets = append(targets, withDisks(id))
	}
	inWorld(t, func(t *testing.T, w *world) {
		h := w.onHosts(n)
		w.seldom()
		h.read = func(ctx context.Context, t target.Target, _ int) (sample.Disks, sample.Reason, error) {
			if t.ID%3 == 0 {
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Second):
				}
				return sample.Disks{}, sample.Timeout, errDial
			}
			<-time.After(50 * time.Millisecond)
			return seenDisks(1), sample.None, nil
		}
		w.start()
		w.pass(5 * time.Minute)
		w.stop()
		seconds := make(map[time.Time]int)
		for id := target.ID(1); id <= n; id++ {
			looks := h.looksAt(id)
			if len(looks) == 0 {
				t.Fatalf("server %d was never looked at", id)
			}
			seconds[looks[0].at.Truncate(time.Second)]++
			if id%3 != 0 && len(looks) < 4 {
				t.Errorf("server %d, which is well, was looked at %d times in five minutes", id, len(looks))
			}
			if r := reasons(w.wantWhole(id, 5*time.Second)); len(r) != 1 {
				t.Errorf("server %d: reasons %v", id, r)
			}
		}
		if h.mostAll > maxLooks || h.mostAll < maxLooks/2 || h.most != 1 {
			t.Errorf("%d looks at once, %d at one server", h.mostAll, h.most)
		}
		if len(seconds) < 9 {
			t.Errorf("first looks by second: %v", seconds)
		}
	}, targets...)
}

// TestDisksKept: what was looked at while the history was away is in it at
// last, once, also over a kill.
func TestDisksKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.onHosts(2)
		total := 0
		for run := range 6 {
			if run%2 == 1 {
				w.history.fail(func(batch) error { return errAway }, nil)
			} else {
				w.history.fail(nil, func(batch) error { return errAway }) // the reply is lost
			}
			w.start()
			w.pass(3*time.Minute + time.Duration(run)*370*time.Millisecond)
			total += int(w.c.Counts().LooksOK)
			w.kill()
		}
		w.start()
		w.pass(20 * time.Second)
		w.stop()
		w.wantDisksStored()
		if n := len(h.looksAt(1)) + len(h.looksAt(2)); len(w.history.disks) < total-6 || n < total || total < 30 {
			t.Errorf("%d looks went well, %d samples are stored", total, len(w.history.disks))
		}
	}, withDisks(1), withDisks(2))
}

// TestPanics: a fault in a round costs that round, in an attempt that attempt,
// and nobody else anything.
func TestPanics(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h, log := w.onHosts(4), w.record()
		change := w.change
		w.change = func(c *Config) { change(c); c.Intervals.Sizes = time.Minute }
		h.read = func(_ context.Context, t target.Target, n int) (sample.Disks, sample.Reason, error) {
			if t.ID == 1 && n == 0 {
				panic("a mount point nobody thought of")
			}
			return seenDisks(int64(n)), sample.None, nil
		}
		var mu sync.Mutex
		rounds := 0
		w.fleet.server(2).size = func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if rounds++; rounds == 1 {
				panic("a size nobody thought of")
			}
			return nil
		}
		w.fleet.server(3).dial = func(_ context.Context, n int) (sample.Reason, error) {
			if n < 2 {
				panic("a greeting nobody thought of")
			}
			return sample.None, nil
		}
		w.start()
		w.pass(3 * time.Minute)
		w.stop()
		if got := log.with("panicked; please report this"); len(got) != 4 {
			t.Errorf("%d panics in the log:\n%s", len(got), strings.Join(got, ""))
		}
		for id, want := range map[target.ID]string{1: "doing=disks server_id=1", 2: "doing=sizes server_id=2", 3: "doing=connect server_id=3"} {
			if len(log.with(want)) == 0 {
				t.Errorf("the log says nothing of %s", want)
			}
			w.wantWhole(id, time.Second)
			w.wantStored(id)
		}
		if r := reasons(w.journal.ticksOf(3)); r[sample.Malformed] == 0 || r[sample.None] < 170 {
			t.Errorf("reasons at a server whose greeting is odd: %v", r)
		}
		if r := reasons(w.journal.ticksOf(4)); len(r) != 1 {
			t.Errorf("reasons at another server: %v", r)
		}
		if len(h.looksAt(1)) < 3 || rounds < 4 {
			t.Errorf("%d looks, %d sizes: rounds do not go on", len(h.looksAt(1)), rounds)
		}
		if n := w.c.Counts(); n.LooksFailed != 1 {
			t.Errorf("%d looks failed", n.LooksFailed)
		}
		for id := target.ID(1); id <= 4; id++ {
			if d := w.fleet.server(id).did(); d.open != 0 {
				t.Errorf("server %d: %d connections are left open", id, d.open)
			}
		}
	}, withDisks(1), server(2), server(3), server(4))
}
