package probe_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// follower follows one server as the collector does, over as many connections
// as it takes.
type follower struct {
	t      *testing.T
	server *pgtest.Server
	conn   *probe.Conn
	series *sample.Series
	memory sample.Memory // what the history would remember
	// settings are the names of a look at them, before anything is left out.
	settings sample.Settings
	horizon  []sample.Horizon
	told     []string
}

func follow(t *testing.T, server *pgtest.Server) *follower {
	t.Helper()
	f := &follower{t: t, server: server, series: new(sample.Resume).Series()}
	t.Cleanup(f.leave)
	return f
}

func (f *follower) leave() {
	if f.conn != nil {
		f.conn.Close()
		f.conn = nil
	}
}

// again is another run of the collector.
func (f *follower) again() {
	f.leave()
	r := sample.Resume{Memory: f.memory}
	f.series = r.Series()
}

// look visits once; false: the server cannot be asked just now.
func (f *follower) look() bool {
	f.t.Helper()
	if f.conn == nil || !f.conn.Alive() {
		tg := target.Target{ID: 1, Name: "followed", Endpoint: target.Endpoint{
			Host: f.server.Host(), Port: f.server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
		}}
		tg.Defaults()
		conn, err := probe.Open(f.t.Context(), tg, limits())
		if err != nil {
			return false
		}
		f.conn = conn
	}
	now := time.Now().UTC()
	v := sample.Visit{Server: 1, Tick: &sample.Tick{Planned: now}}
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
	defer cancel()
	err := f.conn.Visit(ctx, sample.Ask{Databases: true, Inventory: true}, sample.NewDictionary(sample.Hash{}), &v)
	if v.Settings != nil {
		f.settings = *v.Settings
	}
	f.series.Advance(&v)
	f.memory.Learn(&v)
	if v.Horizon != nil {
		f.horizon = v.Horizon
	}
	for _, e := range v.Events {
		if e.At.After(now.Add(time.Minute)) || e.At.Before(now.Add(-time.Minute)) {
			f.t.Errorf("%s at %s, seen at %s", e.Kind, e.At, now)
		}
		text := string(e.Kind)
		if e.Subject != "" {
			text += " " + e.Subject
		}
		if e.Kind == sample.EventSetting || e.Kind == sample.EventDatabaseRenamed {
			text += " " + e.Old + ">" + e.New
		}
		f.told = append(f.told, text)
	}
	return err == nil
}

// expect waits for these events, and that no other comes.
func (f *follower) expect(want ...string) {
	f.t.Helper()
	pgtest.WaitFor(f.t, func() bool { return f.look() && len(f.told) >= len(want) }, fmt.Sprintf("%v", want))
	f.look()
	slices.Sort(want)
	slices.Sort(f.told)
	if diff := cmp.Diff(want, f.told); diff != "" {
		f.t.Errorf("events (-want +got):\n%s", diff)
	}
	f.told = nil
}

// TestConformance_news does to real servers what is to be told, with the collector there
// and with one that is started after it: each once.
func TestConformance_news(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version), pgtest.WithSettings(map[string]string{
				"wal_level": "logical", "archive_mode": "on", "max_prepared_transactions": "5",
			}))
			pgtest.Exec(t, server.SuperuserDSN(), "create database shop", "alter system set archive_command = 'true canary-one'", "select pg_reload_conf()")
			f := follow(t, server)
			f.expect()
			testSettingsAsked(t, f)
			for _, restless := range []bool{false, true} {
				testNews(t, f, restless)
			}
			testHorizon(t, server)
		})
	}
}

func testSettingsAsked(t *testing.T, f *follower) {
	t.Helper()
	all := make(map[string]string)
	for _, s := range f.settings.Set {
		all[s.Name] = s.Value
	}
	if len(all) < 200 || all["work_mem"] != "4MB" || all["max_prepared_transactions"] != "5" || all["checkpoint_timeout"] != "5min" {
		t.Errorf("%d settings, work_mem %q, max_prepared_transactions %q", len(all), all["work_mem"], all["max_prepared_transactions"])
	}
	if !strings.HasPrefix(all["archive_command"], "fingerprint ") {
		t.Errorf("archive_command is kept as %q", all["archive_command"])
	}
	for _, own := range []string{"statement_timeout", "lock_timeout", "search_path", "TimeZone", "default_transaction_read_only"} {
		if v, there := all[own]; there || !slices.Contains(f.settings.Hidden, own) {
			t.Errorf("%s of our own session is taken for the server's: %q", own, v)
		}
	}
	for _, never := range []string{"application_name", "transaction_isolation", "transaction_read_only", "in_hot_standby"} {
		if _, there := all[never]; there || slices.Contains(f.settings.Hidden, never) {
			t.Errorf("%s is asked", never)
		}
	}
}

// testNews changes everything there and back; restless, with the collector away
// meanwhile.
func testNews(t *testing.T, f *follower, restless bool) {
	t.Helper()
	do := func(sql ...string) {
		t.Helper()
		if restless {
			f.again()
		}
		pgtest.Exec(t, f.server.SuperuserDSN(), sql...)
	}
	// Twice the same role: what is set for it alone is not the server's.
	do("alter role "+pgtest.User+" set work_mem = '77MB'", "alter system set work_mem = '8MB'", "alter system set archive_command = 'true canary-two'", "select pg_reload_conf()")
	f.leave()
	pgtest.Exec(t, f.server.SuperuserDSN(), "alter role "+pgtest.User+" reset work_mem")
	print1, print2 := f.memory.Settings["archive_command"], ""
	pgtest.WaitFor(t, func() bool { return f.look() && len(f.told) == 2 }, "changed settings")
	print2 = f.memory.Settings["archive_command"]
	if print1 == print2 || strings.Contains(strings.Join(f.told, " "), "canary") {
		t.Errorf("fingerprints %q and %q, told %q", print1, print2, f.told)
	}
	f.expect("setting archive_command "+print1+">"+print2, "setting work_mem 4MB>8MB")
	do("alter system reset work_mem", "alter system set archive_command = 'true canary-one'", "select pg_reload_conf()")
	f.expect("setting archive_command "+print2+">"+print1, "setting work_mem 8MB>4MB")

	do("create database came")
	f.expect("database_created came")
	do("alter database came rename to went", "alter database shop rename to shops")
	f.expect("database_renamed shops shop>shops", "database_renamed went came>went")
	do("drop database went", "alter database shops rename to shop")
	f.expect("database_dropped went", "database_renamed shop shops>shop")

	do("create table if not exists counted as select 1", "select count(*) from pg_class")
	pgtest.WaitFor(t, func() bool {
		f.look()
		return pgtest.Value[bool](t, f.server.SuperuserDSN(), "select sum(xact_commit) > 0 from pg_stat_database where datname = 'postgres'")
	}, "something counted")
	f.told = nil
	do("select pg_stat_reset()")
	f.expect("statistics_reset postgres")

	do("checkpoint") // commits are not waited for on these servers
	killBackend(t, f.server)
	f.expect("crash")
	do("select 1")
	f.server.Restart(t)
	f.expect("restart")
	testPromotion(t, f, do)
}

// killBackend makes a server crash, as the kernel does when memory is short.
func killBackend(t *testing.T, server *pgtest.Server) {
	t.Helper()
	conn := session(t, server, "postgres", "victim")
	if err := syscall.Kill(int(conn.PgConn().PID()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	pgtest.WaitFor(t, func() bool {
		_, err := conn.Exec(t.Context(), "select 1")
		return err != nil
	}, "the victim's end")
}

// testPromotion makes a standby of a server, and a primary again.
func testPromotion(t *testing.T, f *follower, do func(sql ...string)) {
	t.Helper()
	data := pgtest.Value[string](t, f.server.SuperuserDSN(), "show data_directory")
	f.server.Stop(t)
	name, content := "standby.signal", ""
	trigger := filepath.Join(data, "promote.now")
	if old(f.server) {
		name, content = "recovery.conf", "standby_mode = on\ntrigger_file = '"+trigger+"'\nrecovery_target_timeline = 'latest'\n"
	}
	path := filepath.Join(data, name)
	info, err := os.Stat(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(path, content)
	f.server.Start(t)
	f.expect("demotion", "restart")
	if old(f.server) {
		do("select 1")
		put(trigger, "")
	} else {
		do("select pg_promote()")
	}
	f.expect("promotion")
}

// old says that a server is from before standby.signal and pg_promote.
func old(server *pgtest.Server) bool {
	major, err := strconv.Atoi(server.Version())
	return err == nil && major < 12
}

// testHorizon finds what holds back vacuum, and how much.
func testHorizon(t *testing.T, server *pgtest.Server) {
	t.Helper()
	held := func() []string {
		f := follow(t, server)
		defer f.leave()
		pgtest.WaitFor(t, f.look, "a visit")
		var out []string
		for _, h := range f.horizon {
			out = append(out, fmt.Sprintf("%s %s %d", h.Holder, h.Name, h.Age))
		}
		return out
	}
	if got := held(); got != nil {
		t.Errorf("nothing holds anything, but: %v", got)
	}
	// The slot comes first: making one waits for transactions that are open.
	pgtest.Exec(t, server.SuperuserDSN(), "create table if not exists held (id int)", "select pg_create_logical_replication_slot('slot_one', 'pgoutput')")
	for _, sql := range []string{"begin; insert into held values (1); prepare transaction 'first one'", "begin; insert into held values (1); prepare transaction 'second'"} {
		exec(t, session(t, server, "postgres", "preparer"), sql)
	}
	pgtest.Exec(t, server.SuperuserDSN(), "select txid_current()", "select txid_current()")
	if diff := cmp.Diff([]string{"prepared_transaction first one 4", "replication_slot slot_one 4"}, held()); diff != "" {
		t.Errorf("horizons (-want +got):\n%s", diff)
	}
	pgtest.Exec(t, server.SuperuserDSN(), "rollback prepared 'first one'", "rollback prepared 'second'", "select pg_drop_replication_slot('slot_one')")
}
