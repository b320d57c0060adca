package catalog

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/pgtest"
)

func hashOf(n int) (hash [32]byte) {
	copy(hash[:], fmt.Sprintf("%032d", n))
	return hash
}

// The newest sessions of an account are kept, of others all; those that are over
// are forgotten when the next begins.
func TestSessions(t *testing.T) {
	t.Parallel()
	c, dsn := openCatalog(t)
	var users []account.User
	for _, login := range []string{"ann", "bob"} {
		u, err := c.CreateAccount(t.Context(), account.User{Login: login, PasswordHash: "x", Role: account.Viewer, Active: true})
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
	}
	begin := func(n int, u account.User) account.Session {
		t.Helper()
		s, err := c.CreateSession(t.Context(), hashOf(n), u, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	begin(1000, users[1])
	for n := range mostSessions + 5 {
		begin(n, users[0])
	}
	for n, there := range map[int]bool{0: false, 4: false, 5: true, mostSessions + 4: true, 1000: true, 2000: false} {
		s, err := c.Session(t.Context(), hashOf(n))
		if there != (err == nil) || !there && !errors.Is(err, account.ErrNoSession) {
			t.Errorf("session %d: %+v, %v", n, s, err)
		}
		if there && (s.Epoch != users[0].TokenEpoch && n != 1000 || time.Since(s.CreatedAt) > time.Minute) {
			t.Errorf("session %d: %+v", n, s)
		}
	}
	pgtest.Exec(t, dsn, "update pgam.session set used_at = now() - interval '10 minutes', expires_at = case when account_id = 1 then now() - interval '1 second' else expires_at end")
	if _, err := c.Session(t.Context(), hashOf(20)); !errors.Is(err, account.ErrNoSession) {
		t.Errorf("one that is over: %v", err)
	}
	if err := errors.Join(c.TouchSession(t.Context(), hashOf(1000)), c.DeleteSession(t.Context(), hashOf(4))); err != nil {
		t.Fatal(err)
	}
	if s, err := c.Session(t.Context(), hashOf(1000)); err != nil || time.Since(s.UsedAt) > time.Minute {
		t.Errorf("touched: %+v, %v", s, err)
	}
	begin(3000, users[0])
	if n := pgtest.Value[int](t, dsn, "select count(*) from pgam.session"); n != 2 {
		t.Errorf("%d sessions are kept, want 2", n)
	}
	if err := errors.Join(c.DeleteAccount(t.Context(), "bob", true), c.DeleteSession(t.Context(), hashOf(3000))); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from pgam.session"); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// Using a session is noted while the synchronous standby of stats_db is away.
func TestAUsedSessionWaitsForNoStandby(t *testing.T) {
	t.Parallel()
	server, c := catalogOn(t, pgtest.Local(t).Major)
	eve, err := c.CreateAccount(t.Context(), account.User{Login: "eve", PasswordHash: "x", Role: account.Admin, Active: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateSession(t.Context(), hashOf(1), eve, time.Hour); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "alter system set synchronous_standby_names = 'nobody'")
	server.Exec(t, "select pg_reload_conf()")
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[string](t, server.SuperuserDSN(), "show synchronous_standby_names") == "nobody"
	}, "the standby to be needed")
	if err := c.TouchSession(t.Context(), hashOf(1)); err != nil {
		t.Errorf("a session that is used: %v", err)
	}
}
