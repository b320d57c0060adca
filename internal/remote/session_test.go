package remote_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// direct gives a target that is reached without SSH.
func direct(server *pgtest.Server) target.Target {
	w := through(target.Shell{}, server)
	w.Shell.Tunnel = false
	return w
}

// Whatever the server, the database or the role is set to, a session of ours is
// bounded, read-only, and not ended for being idle. The settings of the role are
// those that cut off monitors in the field.
func TestSessionsKeepOurLimits(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version), pgtest.WithSettings(map[string]string{
				"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on",
			}))
			want := map[string]string{
				"statement_timeout": "1min", "lock_timeout": "1s", "idle_in_transaction_session_timeout": "10s",
				"default_transaction_read_only": "on", "transaction_read_only": "on", "transaction_isolation": "read committed",
				"transaction_deferrable": "off",
				"tcp_keepalives_idle":    "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
			}
			major, _ := strconv.Atoi(version)
			for name, value := range map[string]string{"tcp_user_timeout": "30000", "client_connection_check_interval": "5s"} {
				if since := map[string]int{"tcp_user_timeout": 12, "client_connection_check_interval": 14}[name]; major >= since {
					want[name] = value
				}
			}
			for name, since := range map[string]int{"idle_session_timeout": 14, "transaction_timeout": 17} {
				if major >= since {
					want[name] = "0"
					server.Exec(t, "alter role "+pgtest.User+" set "+name+" = '20s'")
				}
			}
			for _, setting := range []string{
				"statement_timeout = '7s'", "lock_timeout = 0", "default_transaction_read_only = on", "default_transaction_isolation = serializable",
			} {
				server.Exec(t, "alter role "+pgtest.User+" set "+setting)
			}
			conn := mustConnect(t, direct(server), limits(nil))
			for name, value := range want {
				var got string
				if err := conn.QueryRow(t.Context(), "select current_setting($1)", name).Scan(&got); err != nil || got != value {
					t.Errorf("%s is %q, want %q (%v)", name, got, value, err)
				}
			}
			s := remote.SessionOf(conn.PgConn())
			if int(s.Version)/10000 != major || s.Proxy || s.PID != conn.PgConn().PID() {
				t.Errorf("learnt of the session: %+v", s)
			}
		})
	}
}

// A statement ends soon after its client has gone without a word, so that it keeps
// neither its locks nor its place.
func TestSessionsEndWithTheirClient(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		if major, _ := strconv.Atoi(version); major < 14 {
			continue // notices when the statement is over
		}
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version))
			lim := limits(nil)
			lim.Statement = time.Hour
			pg, err := remote.Dial(t.Context(), direct(server), lim)
			if err != nil {
				t.Fatal(err)
			}
			sessions := func(wait string) int64 {
				return pgtest.Value[int64](t, server.SuperuserDSN(), "select count(*) from pg_stat_activity where pid = $1 and wait_event like $2", pg.PID(), wait)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = pg.Exec(context.Background(), "select pg_sleep(3600)").ReadAll()
			}()
			pgtest.WaitFor(t, func() bool { return sessions("PgSleep") == 1 }, "the statement to run")
			_ = pg.Conn().Close()
			<-ended
			pgtest.WaitFor(t, func() bool { return sessions("%") == 0 }, "the session to end")
		})
	}
}

// A login event trigger may write, as the manual's example does: PostgreSQL lets
// it only before the session is read-only.
func TestLoginTriggersMayWrite(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		if major, _ := strconv.Atoi(version); major < 17 {
			continue // has no such triggers
		}
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version))
			server.Exec(t, "create table logins (u text, at timestamptz default now())", "grant insert on logins to public",
				`create function on_login() returns event_trigger language plpgsql as
				 $$ begin if not pg_is_in_recovery() then insert into public.logins (u) values (session_user); end if; end $$`,
				"create event trigger audit_login on login execute function on_login()", "alter event trigger audit_login enable always",
				"alter role "+pgtest.User+" set default_transaction_read_only = on")
			conn := mustConnect(t, direct(server), limits(nil))
			var readOnly string
			if err := conn.QueryRow(t.Context(), "show transaction_read_only").Scan(&readOnly); err != nil || readOnly != "on" {
				t.Errorf("transaction_read_only is %q, %v", readOnly, err)
			}
			if n := pgtest.Value[int64](t, server.SuperuserDSN(), "select count(*) from logins where u = '"+pgtest.User+"'"); n != 1 {
				t.Errorf("the trigger saw %d logins", n)
			}
		})
	}
}

// A pooler is told from PostgreSQL by what it does: it refuses our limits, or
// drops them. Nothing is set in a session that it gives to others next.
func TestPoolersAreNamed(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	for name, lines := range map[string][]string{
		"refuses": nil,
		"drops": {"ignore_startup_parameters = extra_float_digits,statement_timeout,lock_timeout,idle_in_transaction_session_timeout,search_path," +
			"default_transaction_read_only,default_transaction_isolation,default_transaction_deferrable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := direct(server)
			w.Endpoint.Port = server.Pooler(t, append(lines, "default_pool_size = 1")...)
			for range 3 {
				_, err := connect(t, w, limits(nil))
				if got := remote.Classify(err); got != sample.Pooler {
					t.Fatalf("%s: %v", got, err)
				}
				if text := remote.Describe(err); !strings.Contains(text, "pooler") || !strings.Contains(text, "address of PostgreSQL itself") {
					t.Errorf("said: %q", text)
				}
			}
			other, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=x dbname=postgres sslmode=disable", w.Endpoint.Port))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Close(t.Context()) }()
			var settings string
			err = other.QueryRow(t.Context(),
				"select concat_ws(' ', current_setting('default_transaction_read_only'), current_setting('lock_timeout'))").Scan(&settings)
			if err != nil || settings != "off 0" {
				t.Errorf("the pooler's next session has %q, %v", settings, err)
			}
		})
	}
}

// PostgreSQL prepares passwords by SASLprep, and where that prohibits a password
// uses it as it is.
func TestPasswordsAreThoseOfPostgreSQL(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	passwords := []string{
		"pass²", "µ", "№5", "ﬁsh", "Ⅸ", "ａｂｃ", "½", "™", "ü", "é", "e\u0301", "ё", "пароль", "a b", "a\u00a0b", "soft\u00adhyphen", "\u00ad",
		"日本語", "ｶﾞ", "Å", "\u212b", "ß", "İ", "ﷺ", "שלום", "שלום1", "שa²", "emoji 😀", "é😀", "e\u0301😀", "a\u00a0😀", "🄰²",
		"\ufffd", "\ue000²", "a\u0007b", "a\u0085²", "\u200b²", "\u3000", "²\u2028", "😀²", "x\u180e²", "ǅ", "ₐ", "ⅷ", "㍿", "가",
	}
	for i, password := range passwords {
		role := fmt.Sprintf("r%d", i)
		quoted := strings.ReplaceAll(password, "'", "''")
		server.Exec(t, "create role "+role+" login password '"+quoted+"'")
		w := direct(server)
		w.Endpoint.User, w.Endpoint.Password = role, secret.New(password)
		if _, err := connect(t, w, limits(nil)); err != nil {
			t.Errorf("%q (%+q): %v", password, password, err)
		}
		pg, err := remote.Dial(t.Context(), w, limits(nil))
		if err != nil {
			t.Errorf("%q (%+q): %v", password, password, err)
			continue
		}
		_ = pg.Close(t.Context())
	}
}
