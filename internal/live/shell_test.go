package live

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

// The life of an SSH server: there, killed, back, with another key.
func TestDisksOverSSH(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	shown := sshtest.Start(t)
	c := &catalog{}
	db1 := c.set(overSSH(1, "db1", server, shown.Shell()))
	shells := shellsFor(t)
	l := startLive(t, c, 10*time.Second, func(cfg *Config) {
		cfg.Shells, cfg.Disks, cfg.StatusTTL, cfg.DiskTTL = shells, probe.NewDiskReader(shells), 200*time.Millisecond, 400*time.Millisecond
	})
	seen := l.Disks(t.Context(), db1)
	data, ok := seen.Of("data")
	if seen.Reason != sample.None || seen.Source != target.DiskSSH || !ok || data.Total.V < data.Free.V || data.Free.V <= 0 {
		t.Fatalf("disks %+v", seen)
	}
	shown.Kill(t)
	pgtest.WaitFor(t, func() bool { return l.Disks(t.Context(), db1).Reason != sample.None }, "the killed sshd to be noticed")
	if d := l.Disks(t.Context(), db1); strings.Contains(d.Explanation, "PostgreSQL") || strings.Contains(d.Explanation, "dial") {
		t.Errorf("explanation %q", d.Explanation)
	}
	if s := l.Status(t.Context(), db1); s.Reason != sample.None {
		t.Errorf("PostgreSQL is well, but: %+v", s)
	}
	shown.Start(t)
	pgtest.WaitFor(t, func() bool { return l.Disks(t.Context(), db1).Reason == sample.None }, "the sshd to be found again")

	// Another key than the pinned one: refused, with both fingerprints.
	_, other := sshtest.NewKey(t, "ed25519", "")
	moved := db1
	moved.Shell.HostKey = other
	moved = c.set(moved)
	d := l.Disks(t.Context(), moved)
	was, err1 := l.HostKey(other)
	is, err2 := l.HostKey(shown.HostKeyLine)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if d.Reason != sample.HostKeyChanged || !strings.Contains(d.Explanation, was.Fingerprint) || !strings.Contains(d.Explanation, is.Fingerprint) {
		t.Errorf("a changed key: %+v", d)
	}
	unpinned := db1
	unpinned.Shell.HostKey = ""
	if d := l.Disks(t.Context(), c.set(unpinned)); d.Reason != sample.HostKeyUnknown || !strings.Contains(d.Explanation, is.Fingerprint) {
		t.Errorf("an unknown key: %+v", d)
	}
	c.mu.Lock()
	c.broken = map[target.ID]error{1: &target.SecretsError{Server: "db1", Shell: secret.ErrSealBroken}}
	c.mu.Unlock()
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	sealed := c.set(db1)
	if d := l.Disks(t.Context(), sealed); d.Reason != sample.AuthFailed || !strings.Contains(d.Explanation, "set it again") {
		t.Errorf("a secret that does not open: %+v", d)
	}
	if s := l.Status(t.Context(), sealed); s.Reason != sample.None {
		t.Errorf("its PostgreSQL: %+v", s)
	}
}

// pins is a catalog that keeps host keys.
type pins struct{ *catalog }

func (p pins) PinHostKey(_ context.Context, t target.Target, hostKey string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.servers {
		if p.servers[i].ID == t.ID && p.servers[i].Shell.HostKey == "" {
			p.revision++
			p.servers[i].Shell.HostKey, p.servers[i].Revision = hostKey, p.revision
			return true, nil
		}
	}
	return false, nil
}

// With accept-new the key of the first contact is pinned, and no other is
// accepted afterwards.
func TestAcceptNew(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	shown := sshtest.InProcess(t)
	shell := shown.Shell()
	shell.HostKey = ""
	for name, first := range map[string]func(*Live, target.Target) error{
		"disks": func(l *Live, s target.Target) error {
			if d := l.Disks(t.Context(), s); d.Reason != sample.None {
				return errors.New(d.Explanation)
			}
			return nil
		},
		"tunnel": func(l *Live, s target.Target) error { _, err := l.Activity(t.Context(), s, true); return err },
		"test": func(l *Live, s target.Target) error {
			if r := l.Test(t.Context(), s); !r.OK {
				return errors.New(r.Findings[len(r.Findings)-1].Detail)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &catalog{}
			db1 := overSSH(1, "db1", server, shell)
			db1.Shell.Tunnel = name == "tunnel"
			db1 = c.set(db1)
			shells := shellsFor(t)
			l := startLive(t, c, 10*time.Second, func(cfg *Config) { cfg.Pins, cfg.Shells, cfg.Disks = pins{c}, shells, probe.NewDiskReader(shells) })
			if err := first(l, db1); err != nil {
				t.Fatal(err)
			}
			now, err := l.Server("db1")
			if err != nil || now.Shell.HostKey != shown.HostKeyLine {
				t.Fatalf("pinned %q, %v", now.Shell.HostKey, err)
			}
			_, other := sshtest.NewKey(t, "ed25519", "")
			now.Shell.HostKey = other
			if d := l.Disks(t.Context(), c.set(now)); d.Reason != sample.HostKeyChanged {
				t.Errorf("another key: %+v", d)
			}
		})
	}
}

// PostgreSQL through SSH: questions, and a tunnel that breaks under the pool.
func TestTunnel(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	shown := sshtest.InProcess(t)
	db1 := overSSH(1, "db1", server, shown.Shell())
	db1.Shell.Tunnel = true
	shells := shellsFor(t)
	l := startLive(t, &catalog{servers: []target.Target{db1}}, 10*time.Second, func(cfg *Config) { cfg.Shells, cfg.Disks = shells, probe.NewDiskReader(shells) })
	if s := l.Status(t.Context(), db1); s.Reason != sample.None {
		t.Fatalf("status %+v", s)
	}
	if shown.Accepted() == 0 {
		t.Fatal("it did not go through SSH")
	}
	shown.Cut()
	for range 6 {
		if _, err := l.Activity(t.Context(), db1, true); err != nil {
			t.Errorf("after the tunnel was cut: %v", err)
		}
	}
	if r := l.Test(t.Context(), db1); !r.OK {
		t.Errorf("test %+v", r)
	}
	shown.Stop(t)
	var failed *Error
	if _, err := l.Activity(t.Context(), db1, true); !errors.As(err, &failed) || strings.Contains(failed.Explain(), "PostgreSQL running") {
		t.Errorf("without sshd: %v", err)
	}
}

func TestFindingsOverSSH(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	shown := sshtest.InProcess(t)
	db1 := overSSH(1, "db1", server, shown.Shell())
	unpinned, wrong, changed, gone := db1, db1, db1, db1
	unpinned.Shell.HostKey = ""
	wrong.Shell.Password = secret.New("wrong-canary")
	_, changed.Shell.HostKey = sshtest.NewKey(t, "rsa", "")
	gone.Shell.Port = faultnet.FreePort(t)
	shells := shellsFor(t)
	l := startLive(t, &catalog{servers: []target.Target{db1}}, 10*time.Second, func(cfg *Config) { cfg.Shells, cfg.Disks = shells, probe.NewDiskReader(shells) })
	for name, tt := range map[string]struct {
		server  target.Target
		missing string
		says    []string
	}{
		"well":     {db1, "", nil},
		"unpinned": {unpinned, "host_key", []string{shown.HostKeyLine, "SHA256:", "ssh-keygen -lf"}},
		"wrong":    {wrong, "ssh", []string{"authentication"}},
		"changed":  {changed, "host_key", []string{"SHA256:"}},
		"gone":     {gone, "host_key", []string{"refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := l.Test(t.Context(), tt.server)
			found := map[string]string{}
			for _, f := range report.Findings {
				if !f.OK {
					found[f.Name] = f.Detail
				}
				if strings.Contains(f.Detail, "canary") || strings.Contains(f.Detail, "127.0.0.1") {
					t.Errorf("%s says %q", f.Name, f.Detail)
				}
			}
			if report.OK != (tt.missing == "") || len(found) > 1 || tt.missing != "" && found[tt.missing] == "" {
				t.Errorf("findings %+v", report.Findings)
			}
			for _, text := range tt.says {
				if !strings.Contains(found[tt.missing], text) {
					t.Errorf("%q does not say %q", found[tt.missing], text)
				}
			}
			if tt.missing == "" && (len(report.Findings) != 9 || !strings.Contains(report.Findings[8].Detail, "GiB free")) {
				t.Errorf("findings %+v", report.Findings)
			}
			if (report.HostKey == nil) != (name == "gone") {
				t.Errorf("host key %+v", report.HostKey)
			}
		})
	}
}
