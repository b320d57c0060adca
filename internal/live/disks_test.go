package live

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// stepTimeout bounds a step over SSH in tests.
const stepTimeout = 10 * time.Second

// shellsFor makes SSH connections that end with the test.
func shellsFor(t *testing.T) *remote.Shells {
	t.Helper()
	shells, err := remote.NewShells(remote.ShellsConfig{Timeout: stepTimeout, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shells.Close)
	return shells
}

// reader is a DiskReader that counts and can be told what to do.
type reader struct {
	mu    sync.Mutex
	asked int
	read  func(ctx context.Context, t target.Target, locations []sample.Location) (sample.Disks, error)
}

func (r *reader) Read(ctx context.Context, t target.Target, locations []sample.Location) (sample.Disks, error) {
	r.mu.Lock()
	r.asked++
	read := r.read
	r.mu.Unlock()
	return read(ctx, t, locations)
}

func (r *reader) does(read func(ctx context.Context, t target.Target, locations []sample.Location) (sample.Disks, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = read
}

func (r *reader) times() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func well(context.Context, target.Target, []sample.Location) (sample.Disks, error) {
	return sample.Disks{At: time.Now(), Source: target.DiskLocal, FileSystems: []sample.FileSystem{
		{MountPoint: "/", Uses: []string{"data", "wal"}, Total: sample.Int{V: 10, Known: true}, Free: sample.Int{V: 4, Known: true}},
	}}, nil
}

func refused(context.Context, target.Target, []sample.Location) (sample.Disks, error) {
	return sample.Disks{}, errors.New("canary of a library")
}

// local is a server whose host's file systems are looked at.
func local(id target.ID, name string, s *pgtest.Server) target.Target {
	t := serverOf(id, name, s)
	t.DiskSource = target.DiskLocal
	return t
}

func overSSH(id target.ID, name string, s *pgtest.Server, shell target.Shell) target.Target {
	t := serverOf(id, name, s)
	t.Shell, t.DiskSource = shell, target.DiskSSH
	return t
}

func TestLocations(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	got := locationsIn([]locationRow{
		{"data", text("/srv/pg data")},
		{"wal", text("/srv/pg data/pg_wal")},
		{"tablespace:in place", text("pg_tblspc/16400")},
		{"tablespace:größe", text("/mnt/größe")},
		{"tablespace:windows", text(`C:\data`)},
		{"tablespace:bad", text("/mnt/\xff")},
		{"tablespace:nul", text("/mnt/\x00")},
		{"tablespace:long", text("/" + strings.Repeat("x", maxPathBytes))},
		{"tablespace:unknown", nil},
	})
	want := []sample.Location{
		{Use: "data", Path: "/srv/pg data"},
		{Use: "wal", Path: "/srv/pg data/pg_wal"},
		{Use: "tablespace:in place", Path: "/srv/pg data/pg_tblspc/16400"},
		{Use: "tablespace:größe", Path: "/mnt/größe"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := locationsIn([]locationRow{{"tablespace:in place", text("pg_tblspc/1")}, {"data", nil}}); got != nil {
		t.Errorf("without a data directory: %v", got)
	}
}

// Locations come with the status, on every version, and only where the role may
// know them.
func TestConformance_locations(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version))
			server.Exec(t, "create role blind login password '"+pgtest.Password+"'")
			db1, blind, unlooked := local(1, "db1", server), local(2, "blind", server), serverOf(3, "unlooked", server)
			blind.Endpoint.User = "blind"
			l := startLive(t, &catalog{servers: []target.Target{db1, blind, unlooked}}, 10*time.Second)
			dir := *l.Status(t.Context(), db1).DataDir
			wal := "/pg_wal"
			if version == "9.6" {
				wal = "/pg_xlog"
			}
			want := []sample.Location{{Use: "data", Path: dir}, {Use: "wal", Path: dir + wal}}
			if diff := cmp.Diff(want, l.Status(t.Context(), db1).Locations); diff != "" {
				t.Error(diff)
			}
			if s := l.Status(t.Context(), blind); s.Locations != nil || s.Version == nil {
				t.Errorf("without privileges: %+v", s)
			}
			if s := l.Status(t.Context(), unlooked); s.Locations != nil || s.Reason != sample.None {
				t.Errorf("where nothing is looked at: %+v", s)
			}
			if d := l.Disks(t.Context(), blind); d.Reason != sample.NoPrivilege || !strings.Contains(d.Explanation, "pg_read_all_settings") {
				t.Errorf("disks without privileges: %+v", d)
			}
			if d := l.Disks(t.Context(), unlooked); d.Source != target.DiskNone || d.Reason != sample.None || d.FileSystems != nil {
				t.Errorf("disks where nothing is looked at: %+v", d)
			}
		})
	}
}

// Many who ask cost one look; what went wrong is remembered too, and tried
// again behind who asks.
func TestDisksAreRemembered(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	c := &catalog{}
	db1 := c.set(local(1, "db1", server))
	r := &reader{read: refused}
	l := startLive(t, c, 10*time.Second, func(cfg *Config) { cfg.Disks, cfg.StatusTTL = r, 300*time.Millisecond })
	ask := func() Disks {
		var (
			asking sync.WaitGroup
			last   atomic.Value
		)
		for range 50 {
			asking.Go(func() { last.Store(l.Disks(t.Context(), db1)) })
		}
		asking.Wait()
		return last.Load().(Disks)
	}
	if d := ask(); d.Reason != sample.Other || strings.Contains(d.Explanation, "canary") || d.Source != target.DiskLocal {
		t.Errorf("a failure: %+v", d)
	}
	if n := r.times(); n != 1 {
		t.Errorf("%d looks for 50 who ask", n)
	}
	// Nobody waits for the next attempt.
	hold := make(chan struct{})
	r.does(func(ctx context.Context, t target.Target, l []sample.Location) (sample.Disks, error) {
		<-hold
		return well(ctx, t, l)
	})
	pgtest.WaitFor(t, func() bool {
		if d := ask(); d.Reason != sample.Other {
			t.Fatalf("while it is tried again: %+v", d)
		}
		return r.times() == 2
	}, "a second attempt")
	close(hold)
	pgtest.WaitFor(t, func() bool { return l.Disks(t.Context(), db1).Reason == sample.None }, "the second attempt to succeed")
	if d := ask(); r.times() != 2 || d.FileSystems[0].Free.V != 4 || d.Explanation != "ok" {
		t.Errorf("after %d looks: %+v", r.times(), d)
	}
	// A change of the server asks anew.
	changed := db1
	changed.Name = "renamed"
	changed = c.set(changed)
	if d := l.Disks(t.Context(), changed); d.Reason != sample.None || r.times() != 3 {
		t.Errorf("after a change: %d looks, %+v", r.times(), d)
	}
}

// Who leaves does not end the look, which fills the cache; Stop does.
func TestLookGoesOn(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	db1, db2 := local(1, "db1", server), local(2, "db2", server)
	hold, ended := make(chan struct{}, 1), make(chan struct{}) // hold: a look may begin late
	r := &reader{read: func(ctx context.Context, t target.Target, l []sample.Location) (sample.Disks, error) {
		select {
		case <-hold:
		case <-ctx.Done():
			close(ended)
			return sample.Disks{}, ctx.Err()
		}
		return well(ctx, t, l)
	}}
	l := startLive(t, &catalog{servers: []target.Target{db1, db2}}, 2*time.Second, func(cfg *Config) { cfg.Disks = r })
	if d := l.Disks(t.Context(), db1); d.Reason != sample.Timeout || d.Explanation != "timeout" {
		t.Errorf("at the deadline: %+v", d)
	}
	hold <- struct{}{}
	pgtest.WaitFor(t, func() bool { return l.Disks(t.Context(), db1).Reason == sample.None }, "the look to end well")
	if n := r.times(); n != 1 {
		t.Errorf("%d looks", n)
	}
	_ = l.Disks(t.Context(), db2)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := l.Stop(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Stop did not end the look")
	}
	if d := l.Disks(t.Context(), db2); d.Reason == sample.None {
		t.Errorf("after Stop: %+v", d)
	}
}

// A host is looked at while its PostgreSQL is down: a full disk may be why.
func TestDisksWhilePostgresIsDown(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	db1, never := local(1, "db1", server), local(2, "never", server)
	r := &reader{read: refused}
	l := startLive(t, &catalog{servers: []target.Target{db1, never}}, 10*time.Second, func(cfg *Config) {
		cfg.Disks, cfg.StatusTTL, cfg.DiskTTL = r, 100*time.Millisecond, 100*time.Millisecond
	})
	_ = l.Disks(t.Context(), db1)
	server.Stop(t)
	r.does(well)
	pgtest.WaitFor(t, func() bool { return l.Disks(t.Context(), db1).Reason == sample.None }, "disks of a host whose PostgreSQL is down")
	if d := l.Disks(t.Context(), never); d.Reason != sample.Refused || !strings.Contains(d.Explanation, "PostgreSQL does not answer") {
		t.Errorf("one that never answered: %+v", d)
	}
	v := l.Views(t.Context(), []target.Target{db1}, func(context.Context, int) { t.Error("what is down is not looked up in history") })
	if v[0].Reason != sample.Refused {
		t.Errorf("view %+v", v[0])
	}
}

// Everything at once, and within the deadline whatever hangs.
func TestViews(t *testing.T) {
	t.Parallel()
	const deadline = 6 * time.Second // what is well answers within it on a busy machine
	hung, sound := pgtest.Target(t), pgtest.Target(t)
	mute := faultnet.Listen(t, nil).Port()
	c := &catalog{servers: []target.Target{
		local(1, "hung", hung), local(2, "well", sound),
		overSSH(3, "mute", sound, target.Shell{Host: "127.0.0.1", Port: mute, User: "x", Password: secret.New("x")}),
		serverOf(4, "unlooked", sound), local(5, "stuck", sound),
	}}
	stuck := make(chan struct{})
	defer close(stuck)
	shells := shellsFor(t)
	real := probe.NewDiskReader(shells)
	r := &reader{read: func(ctx context.Context, t target.Target, l []sample.Location) (sample.Disks, error) {
		switch t.Name {
		case "stuck": // whatever the deadline
			<-stuck
			return sample.Disks{}, errors.New("late")
		case "mute":
			return real.Read(ctx, t, l)
		}
		return well(ctx, t, l)
	}}
	l := startLive(t, c, deadline, func(cfg *Config) { cfg.Disks, cfg.Shells = r, shells })
	hung.Pause(t)
	defer hung.Resume(t)
	for range 2 {
		var (
			mu     sync.Mutex
			unseen []int
		)
		views := l.Views(t.Context(), c.servers, func(ctx context.Context, i int) {
			mu.Lock()
			defer mu.Unlock()
			unseen = append(unseen, i)
			if ctx.Err() != nil {
				t.Errorf("no time is left for %s", c.servers[i].Name)
			}
		})
		slices.Sort(unseen)
		if !slices.Equal(unseen, []int{2, 4}) {
			t.Errorf("unseen %v", unseen)
		}
		for i, want := range []struct{ status, disks sample.Reason }{
			{sample.Timeout, sample.Timeout}, {}, {disks: sample.Timeout}, {}, {disks: sample.Timeout},
		} {
			if v := views[i]; v.Reason != want.status || v.Disks.Reason != want.disks {
				t.Errorf("%s: %s, disks %s; want %s, %s", c.servers[i].Name, v.Reason, v.Disks.Reason, want.status, want.disks)
			}
		}
	}
}

// A look is never shown for longer than its time, nor a failure.
func TestLooksExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks, err := newLooks(30*time.Second, 5*time.Second, new(use))
		if err != nil {
			t.Fatal(err)
		}
		defer looks.StopAllGoroutines()
		looks.Set(statusKey{1, 1}, Disks{})
		looks.Set(statusKey{2, 1}, Disks{Reason: sample.Timeout})
		time.Sleep(29 * time.Second) //nolint:forbidigo // the clock is synctest's
		for id := range 2 {
			if _, ok := looks.GetIfPresent(statusKey{target.ID(id + 1), 1}); !ok {
				t.Errorf("%d is gone", id+1)
			}
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // the clock is synctest's
		for id := range 2 {
			if _, ok := looks.GetIfPresent(statusKey{target.ID(id + 1), 1}); ok {
				t.Errorf("%d is still there", id+1)
			}
		}
	})
}
