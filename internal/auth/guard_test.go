package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
)

// ledger answers as it is told.
type ledger struct {
	mu       sync.Mutex
	asked    int
	standing account.LoginStanding
	err      error
}

func (l *ledger) CountLogin(context.Context, account.LoginAttempt, account.LoginLimits) (account.LoginStanding, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.standing, l.err
}

// door is a Guard on a clock of its own, which notes how long it would wait.
type door struct {
	*auth.Guard
	ledger *ledger
	now    time.Time
	waits  []time.Duration
	log    bytes.Buffer
}

func newDoor(t *testing.T, perMinute int) *door {
	t.Helper()
	d := &door{ledger: &ledger{}, now: noon}
	guard, err := auth.NewGuard(auth.GuardConfig{
		Ledger: d.ledger, PerMinute: perMinute, Log: slog.New(slog.NewTextHandler(&d.log, nil)), Now: func() time.Time { return d.now },
		Wait: func(_ context.Context, wait time.Duration) error { d.waits = append(d.waits, wait); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Guard = guard
	return d
}

func from(client, login string) account.LoginAttempt {
	return account.NewLoginAttempt(netip.MustParseAddr(client), login)
}

func (d *door) admit(t *testing.T, client, login string) error {
	t.Helper()
	_, err := d.Admit(t.Context(), from(client, login))
	return err
}

// Without the ledger a process keeps the limits alone, and does not ask it at
// each login.
func TestGuardCountsAloneWhileTheLedgerIsAway(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 4)
	d.ledger.err = errors.New("stats_db is slow")
	for i := range 4 {
		if err := d.admit(t, "192.0.2.1", fmt.Sprint(i)); err != nil {
			t.Errorf("login %d: %v", i+1, err)
		}
	}
	if err := d.admit(t, "192.0.2.1", "x"); !errors.Is(err, auth.ErrTooManyAttempts) {
		t.Errorf("the fifth: %v", err)
	}
	if d.ledger.asked != 1 || strings.Count(d.log.String(), "by this process alone") != 1 {
		t.Errorf("asked %d times; log: %s", d.ledger.asked, d.log.String())
	}
	if err := d.admit(t, "192.0.2.2", "x"); err != nil {
		t.Errorf("a neighbour: %v", err)
	}
	d.now = d.now.Add(15 * time.Second)
	if err := d.admit(t, "192.0.2.1", "x"); err != nil {
		t.Errorf("a quarter of a minute later: %v", err)
	}
	if d.ledger.asked != 2 {
		t.Errorf("asked %d times", d.ledger.asked)
	}
	// The sixty-four networks of a site are one network, and share four addresses' worth.
	admitted := 0
	for i := range 64 {
		if d.admit(t, fmt.Sprintf("2001:db8:1:%x::1", i), "x") == nil {
			admitted++
		}
	}
	if admitted != 16 {
		t.Errorf("%d logins from a /48, want 16", admitted)
	}
}

// What the ledger refuses is refused without asking it again.
func TestGuardKeepsToTheLedger(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 4)
	d.ledger.standing.SourceFull = true
	for range 10 {
		if err := d.admit(t, "192.0.2.1", "ann"); !errors.Is(err, auth.ErrTooManyAttempts) {
			t.Errorf("refused by the ledger: %v", err)
		}
	}
	if d.ledger.asked != 1 {
		t.Errorf("asked %d times", d.ledger.asked)
	}
	d.ledger.standing = account.LoginStanding{Known: true, Failures: 1}
	origin, err := d.Admit(t.Context(), from("198.51.100.9", "ann"))
	if want := (auth.Origin{Network: "198.51.100.0/24", Known: true}); err != nil || origin != want || len(d.waits) != 0 {
		t.Errorf("%+v after %v, %v", origin, d.waits, err)
	}
}

// Guesses at an account answer later and later, whether it exists or not, and
// never not at all.
func TestAnAccountThatIsGuessedAtIsDelayedNotLocked(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	want := []time.Duration{250 * ms, 500 * ms, 1000 * ms}
	for range 7 {
		want = append(want, 2000*ms)
	}
	for name, shared := range map[string]bool{"with the ledger": true, "alone": false} {
		d := newDoor(t, 0)
		if !shared {
			d.ledger.err = errors.New("away")
		}
		for i := range 15 {
			d.ledger.standing.Failures = float64(i + 1)
			if err := d.admit(t, fmt.Sprintf("10.0.%d.1", i), "ann"); err != nil {
				t.Errorf("%s, attempt %d: %v", name, i+1, err)
			}
		}
		if !slices.Equal(d.waits, want) {
			t.Errorf("%s: waited %v, want %v", name, d.waits, want)
		}
		d.ledger.standing.Failures = 1
		if err := d.admit(t, "10.0.99.1", "bob"); err != nil || len(d.waits) != len(want) {
			t.Errorf("%s, another account: %v, %v", name, d.waits, err)
		}
	}
}

// Refusals are logged with the login, a line a network and minute.
func TestRefusalsAreLoggedInBounds(t *testing.T) {
	t.Parallel()
	d := newDoor(t, 30)
	for i := range 500 {
		client := netip.AddrFrom4([4]byte{10, 0, byte(i % 50), 1})
		d.Refused(t.Context(), client, account.NewLoginAttempt(client, "ann"), "too many at once")
	}
	if n := strings.Count(d.log.String(), "\n"); n != 30 || strings.Count(d.log.String(), "login=ann") != 30 || strings.Contains(d.log.String(), "ERROR") {
		t.Errorf("%d lines: %s", n, d.log.String())
	}
	d.log.Reset()
	d.now = d.now.Add(time.Minute)
	client := netip.MustParseAddr("10.0.0.9")
	d.Refused(t.Context(), client, account.NewLoginAttempt(client, "x\n\x1b[31mERROR forged"), "too many at once")
	if got := d.log.String(); !strings.Contains(got, `login="(not a login)" client=10.0.0.9`) || !strings.Contains(got, "not_logged=470") || strings.Contains(got, "forged") {
		t.Errorf("log: %s", got)
	}
}

func TestNewLoginAttempt(t *testing.T) {
	t.Parallel()
	for client, want := range map[string][2]string{
		"192.0.2.7": {"192.0.2.7", "192.0.2.0/24"}, "::ffff:192.0.2.7": {"192.0.2.7", "192.0.2.0/24"},
		"2001:db8:1:2:3::4": {"2001:db8:1:2::/64", "2001:db8:1::/48"}, "fe80::1%eth0": {"fe80::/64", "fe80::/48"},
	} {
		got := from(client, "ann")
		if got.Source != want[0] || got.Network != want[1] || got.Login != "ann" {
			t.Errorf("%s: %+v", client, got)
		}
	}
	if got := account.NewLoginAttempt(netip.Addr{}, "ann"); got.Source == "" || got.Network == "" {
		t.Errorf("no address: %+v", got)
	}
}
