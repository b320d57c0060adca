package catalog

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/pgtest"
)

func loginLimits(source, network float64) account.LoginLimits {
	// Nothing drains while a test runs.
	return account.LoginLimits{
		Source: account.LoginLimit{Capacity: source}, Network: account.LoginLimit{Capacity: network}, Account: account.LoginLimit{Capacity: 30},
	}
}

func TestLoginsAreCountedForAllProcesses(t *testing.T) {
	t.Parallel()
	one, dsn := openCatalog(t)
	two := openCatalogAt(t, dsn, newKeyring(t))
	limits := loginLimits(4, 10)
	count := func(i int, client, login string) account.LoginStanding {
		t.Helper()
		c := one
		if i%2 == 1 {
			c = two
		}
		at, err := c.CountLogin(t.Context(), account.NewLoginAttempt(netip.MustParseAddr(client), login), limits)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for i := range 6 {
		at := count(i, "192.0.2.1", "ann")
		if want := i >= 4; at.SourceFull != want || at.NetworkFull || at.Known {
			t.Errorf("attempt %d: %+v", i+1, at)
		}
		if at.Failures != float64(i+1) {
			t.Errorf("attempt %d: %v failures", i+1, at.Failures)
		}
	}
	// What found no room takes none from its neighbours.
	for i := range 6 {
		if at := count(i, fmt.Sprintf("192.0.2.%d", 10+i), "bob\x00"); at.SourceFull || at.NetworkFull != (i >= 4) {
			t.Errorf("neighbour %d: %+v", i, at)
		}
	}
	if at := count(0, "192.0.3.1", "ann"); at.SourceFull || at.NetworkFull || at.Failures != 7 {
		t.Errorf("another network: %+v", at)
	}
	// They drain, and an account's do too.
	pgtest.Exec(t, dsn, "update pgam.login_bucket set filled_at = filled_at - interval '10 s'")
	limits.Source.Drain, limits.Network.Drain, limits.Account.Drain = 0.1, 1, 0.1
	if at := count(0, "192.0.2.1", "ann"); at.SourceFull || at.NetworkFull || at.Failures < 6.5 || at.Failures > 7.1 {
		t.Errorf("ten seconds later: %+v", at)
	}
	// What is old goes with the next attempt, whoever makes it.
	pgtest.Exec(t, dsn, "update pgam.login_bucket set filled_at = now() - interval '2 h'")
	count(0, "198.51.100.1", "carol")
	if n := pgtest.Value[int64](t, dsn, "select count(*) from pgam.login_bucket"); n != 3 {
		t.Errorf("%d buckets are left, want the three of the last attempt", n)
	}
}

// A network that somebody has logged in from is known, and what is guessed
// elsewhere does not count there.
func TestLoginsKnowWhereTheyCameFrom(t *testing.T) {
	t.Parallel()
	c, dsn := openCatalog(t)
	ann, err := c.CreateAccount(t.Context(), account.User{Login: "ann", PasswordHash: "$2a$hash", Role: account.Viewer, Active: true})
	if err != nil {
		t.Fatal(err)
	}
	at := func(client, login string) account.LoginAttempt {
		return account.NewLoginAttempt(netip.MustParseAddr(client), login)
	}
	count := func(a account.LoginAttempt) account.LoginStanding {
		t.Helper()
		standing, err := c.CountLogin(t.Context(), a, loginLimits(100, 100))
		if err != nil {
			t.Fatal(err)
		}
		return standing
	}
	home := at("192.0.2.1", "ann")
	if got := count(home); got.Known || got.Failures != 1 {
		t.Errorf("at first: %+v", got)
	}
	if err := c.NoteLogin(t.Context(), ann.ID, home, false); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if got := count(at(fmt.Sprintf("198.51.%d.1", i), "ann")); got.Known || got.Failures != float64(i+1) {
			t.Errorf("guess %d from elsewhere: %+v", i, got)
		}
	}
	for range 3 {
		if got := count(home); !got.Known || got.Failures != 1 {
			t.Errorf("once known: %+v", got)
		}
		if err := c.NoteLogin(t.Context(), ann.ID, home, true); err != nil {
			t.Fatal(err)
		}
	}
	// Whether there is such an account makes no difference.
	for i, login := range []string{"ann", "ann", "nobody", "nobody"} {
		if got := count(at("192.0.2.99", login)); !got.Known || got.Failures != float64(i%2+1) {
			t.Errorf("a neighbour as %s: %+v", login, got)
		}
	}
	for i := range 60 {
		if err := c.NoteLogin(t.Context(), ann.ID, at(fmt.Sprintf("10.0.%d.1", i), "ann"), true); err != nil {
			t.Fatal(err)
		}
	}
	if n := pgtest.Value[int64](t, dsn, "select count(*) from pgam.login_origin"); n < 50 || n > 52 {
		t.Errorf("%d places are kept", n)
	}
	if err := c.DeleteAccount(t.Context(), "ann", true); err != nil {
		t.Fatal(err)
	}
	if got := count(home); got.Known {
		t.Errorf("the account is gone: %+v", got)
	}
}
