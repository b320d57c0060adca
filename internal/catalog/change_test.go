package catalog

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// While the synchronous standby of stats_db is away a login waits for nobody, a
// change is answered with what became of it, and sending it again does no harm.
func TestChangesAreAnsweredWithoutTheSynchronousStandby(t *testing.T) {
	t.Parallel()
	server, c := catalogOn(t, pgtest.Local(t).Major)
	eve, err := c.CreateAccount(t.Context(), account.User{Login: "eve", PasswordHash: "x", Role: account.Admin, Active: true})
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "alter system set synchronous_standby_names = 'nobody'")
	server.Exec(t, "select pg_reload_conf()")
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[string](t, server.SuperuserDSN(), "show synchronous_standby_names") == "nobody"
	}, "the standby to be needed")

	attempt := account.NewLoginAttempt(netip.MustParseAddr("192.0.2.1"), "eve")
	_, err = c.CountLogin(t.Context(), attempt, loginLimits(4, 10))
	if err := errors.Join(err, c.NoteLogin(t.Context(), eve.ID, attempt, false)); err != nil {
		t.Errorf("a login: %v", err)
	}
	db1 := target.Target{Name: "db1", Endpoint: target.Endpoint{Host: "db.invalid", User: "mon"}, Enabled: true}
	_, err = c.CreateServer(t.Context(), db1)
	if !errors.Is(err, statsdb.ErrUnconfirmed) || statsdb.MayPass(err) || !strings.Contains(err.Error(), "stored and in force") {
		t.Errorf("a server that is added: %v", err)
	}
	if stored, err := c.Server(t.Context(), "db1"); err != nil || stored.ID == 0 {
		t.Errorf("it is not there: %v", err)
	}
	if _, err := c.CreateServer(t.Context(), db1); !errors.Is(err, target.ErrConflict) {
		t.Errorf("added again: %v", err)
	}
	if err := c.SetPassword(t.Context(), "eve", "y"); !errors.Is(err, statsdb.ErrUnconfirmed) {
		t.Errorf("a password that is changed: %v", err)
	}
	if u, err := c.Account(t.Context(), "eve"); err != nil || u.PasswordHash != "y" || u.LastLoginAt == nil {
		t.Errorf("%+v, %v", u, err)
	}
}
