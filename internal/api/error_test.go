package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// pastQuestions reach every reader of samples.
func pastQuestions() []string {
	const around = "from=2024-11-22T11:58:00Z&to=2024-11-22T12:03:00Z"
	list := []string{
		"history/blocking?" + around, "history/session?pid=4711&" + around,
		"incident?at=2024-11-22T12:00:10Z", "history/at?at=2024-11-22T12:00:10Z", "history/coverage?" + around, "history/coverage?step=1m&" + around,
		"history/compare?by=user&other_from=2024-11-22T11:00:00Z&" + around, "history/activity?step=1m&" + around, "history/activity?step=5s&" + around,
	}
	for _, by := range []string{"wait_event", "query", "user"} {
		list = append(list, "history/top?by="+by+"&"+around, "history/activity?step=5s&group_by="+by+"&"+around)
	}
	return list
}

// A row that is not as it was written costs its answers, and tells so, but
// never the process, whichever reader meets it and in which goroutine.
func TestAHostileRowCostsNoMoreThanItsAnswer(t *testing.T) {
	t.Parallel()
	a := seedHistory(t)
	if err := a.write.Compact(t.Context(), target.ID(pgtest.Value[int64](t, a.dsn, "select id from pgam.server")), noon); err != nil {
		t.Fatal(err)
	}
	// Only rows of samples tell.
	pgtest.Exec(t, a.dsn, "delete from history.activity_minute", "delete from history.activity_rollup")
	ask := func(what string) (broken int) {
		for _, question := range pastQuestions() {
			r := a.get("/api/v1/servers/gr%C3%B6%C3%9Fe%202/" + question)
			switch r.Status {
			case http.StatusOK:
			case http.StatusInternalServerError:
				broken++
			default:
				t.Errorf("%s: %s: %d %s", what, question, r.Status, r.Body)
			}
		}
		return broken
	}
	if n := ask("as it was written"); n != 0 {
		t.Fatalf("%d answers are broken\n%s", n, a.log)
	}
	pgtest.Exec(t, a.dsn, "create table kept as table history.activity")
	const constraints = " from pg_constraint where conrelid = 'history.activity'::regclass and conname in ('activity_ticks', 'activity_samples', 'activity_edges')"
	names := pgtest.Value[[]string](t, a.dsn, "select array_agg(conname::text order by conname)"+constraints)
	checks := pgtest.Value[[]string](t, a.dsn, "select array_agg(pg_get_constraintdef(oid) order by conname)"+constraints)
	for _, hostile := range []string{
		"tick_outcome = '{0}', tick_reason = '{0}'", "tick_outcome = array_fill(0::smallint, array[600]), tick_reason = '{0}'",
		"sample_tick = array_fill(601::smallint, array[610])", "sample_tick = array_fill(0::smallint, array[610])", "sample_tick = array_fill(-1::smallint, array[610])",
		"sample_wait = '{1}'", "sample_session = '{1}'", "sample_query = '{}'",
		"edge_tick = '{1,2}', edge_blocked = '{1}', edge_blocker = '{2}', edge_lock = '{1}'",
		"edge_tick = '{601}', edge_blocked = '{1}', edge_blocker = '{2}', edge_lock = '{1}'",
		"tick_planned_ms = '{}'", "tick_planned_ms = '{{1,2},{3,4}}'", "tick_planned_ms = array_fill(null::int, array[600])",
	} {
		// stats_db does not take arrays of different lengths; what is in them is
		// not its business.
		conn := must[*pgx.Conn](t)(pgx.Connect(t.Context(), a.dsn))
		lengths := !strings.HasPrefix(hostile, "sample_tick") && !strings.Contains(hostile, "601") && !strings.Contains(hostile, "null")
		if _, err := conn.Exec(t.Context(), "update history.activity set "+hostile); err == nil && lengths {
			t.Errorf("stats_db takes %s", hostile)
		}
		_ = conn.Close(t.Context())
		pgtest.Exec(t, a.dsn, "alter table history.activity drop constraint activity_ticks, drop constraint activity_samples, "+
			"drop constraint activity_edges", "update history.activity set "+hostile)
		if ask(hostile) == 0 && !strings.Contains(hostile, "sample_query") {
			t.Errorf("%s: nobody noticed", hostile)
		}
		pgtest.Exec(t, a.dsn, "delete from history.activity", "insert into history.activity table kept")
		for i, check := range checks {
			pgtest.Exec(t, a.dsn, fmt.Sprintf("alter table history.activity add constraint %s %s", names[i], check))
		}
	}
	if n := ask("as it was written, again"); n != 0 {
		t.Errorf("%d answers are broken in the end\n%s", n, a.log)
	}
}

// hostileDisks panics in the goroutine that reads for all who ask.
type hostileDisks struct{ route.History }

func (hostileDisks) DisksNow(context.Context, target.ID) ([]history.Disk, error) {
	panic("a canary beside a request")
}

func TestAPanicBesideARequestIsAnError(t *testing.T) {
	t.Parallel()
	a := startAPI(t, func(c *api.Config) { c.Services.History = hostileDisks{c.Services.History} })
	a.watched("db1", pgtest.Target(t))
	r := a.want(http.StatusInternalServerError, a.get("/api/v1/servers/db1/disks"))
	if strings.Contains(string(r.Body), "canary") || !strings.Contains(a.log.String(), "a canary beside a request") || !strings.Contains(a.log.String(), "hostileDisks") {
		t.Errorf("answer %s\nlog %s", r.Body, a.log)
	}
	a.want(http.StatusOK, a.get("/api/v1/servers"))
}

// A connection to stats_db behind which nobody answers costs at most the request
// that meets it: none that comes after, no other server's, and not the truth of
// /readyz.
func TestADeadConnectionToStatsDBCostsOneRequest(t *testing.T) {
	t.Parallel()
	a := startAPI(t, func(c *api.Config) { c.Deadline = 8 * time.Second })
	for _, name := range []string{"db1", "db2"} {
		must[target.Target](t)(a.stored.CreateServer(t.Context(), target.Target{
			Name: name, Endpoint: target.Endpoint{Host: "db.invalid", User: "mon"}, Enabled: true,
		}))
	}
	if err := errors.Join(a.write.EnsurePartitions(t.Context(), time.Now(), time.Now()), a.live.Refresh(t.Context())); err != nil {
		t.Fatal(err)
	}
	const list = "select array_agg(pid) from pg_stat_activity where datname = current_database() and application_name = 'pgam-api'"
	ask := func() (r answer) { return a.get("/api/v1/servers/db1/history/activity") }
	a.want(http.StatusOK, ask())
	for round := range 3 {
		frozen := pgtest.Value[[]int32](t, a.dsn, list)
		for _, pid := range frozen {
			if err := syscall.Kill(int(pid), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Kill(int(pid), syscall.SIGCONT) })
		}
		lost := 0
		for r := ask(); r.Status != http.StatusOK; r = ask() {
			if lost++; r.Status != http.StatusGatewayTimeout && r.Status != http.StatusServiceUnavailable || lost > 2*len(frozen) {
				t.Fatalf("round %d, %d connections frozen: %d requests lost, then %d %s\n%s", round, len(frozen), lost, r.Status, r.Body, a.log)
			}
		}
		if lost > len(frozen) {
			t.Errorf("round %d: %d connections frozen, %d requests lost", round, len(frozen), lost)
		}
		for _, path := range []string{"/readyz", "/api/v1/servers/db2/history/top?by=query", "/api/v1/servers/db2/history/events"} {
			a.want(http.StatusOK, a.get(path))
		}
	}
}

// endingFleet ends each question with an error, or with whoever asks where that
// is nil.
type endingFleet struct {
	route.History

	end     error
	waiting chan struct{}
}

func (f *endingFleet) Fleet(ctx context.Context, _ time.Time) (map[target.ID]*history.FleetServer, error) {
	if f.end != nil {
		return nil, fmt.Errorf("read fleet: %w", f.end)
	}
	f.waiting <- struct{}{}
	<-ctx.Done()
	return nil, fmt.Errorf("read fleet: %w: %w", statsdb.ErrUnavailable, ctx.Err()) // whatever it takes itself for
}

// Five ends of a request are five different things, to the client and in the
// log: who asked is gone, it took too long, something is locked, stats_db is
// away, and a bug.
func TestEndsOfARequestAreTold(t *testing.T) {
	t.Parallel()
	fleet := &endingFleet{waiting: make(chan struct{}, 1)}
	a := startAPI(t, func(c *api.Config) { fleet.History, c.Services.History = c.Services.History, fleet })
	told := ""
	since := func() string { return strings.TrimPrefix(a.log.String(), told) }
	for _, c := range []struct {
		end                error
		status             int
		retry, says, level string
	}{
		{statsdb.ErrUnavailable, http.StatusServiceUnavailable, "5", "not available", "WARN"},
		{statsdb.ErrLocked, http.StatusServiceUnavailable, "5", "lock", "WARN"},
		{statsdb.ErrTooSlow, http.StatusGatewayTimeout, "", "shorter range", "WARN"},
		{errors.New("a bug in a scan"), http.StatusInternalServerError, "", "Internal Server Error", "ERROR"},
	} {
		told, fleet.end = a.log.String(), c.end
		r := a.want(c.status, a.get("/api/v1/fleet"))
		if r.Header.Get("Retry-After") != c.retry || !strings.Contains(r.detail(t), c.says) {
			t.Errorf("%v: %v %s", c.end, r.Header, r.Body)
		}
		if !strings.Contains(since(), "level="+c.level+` msg="request failed"`) {
			t.Errorf("%v: log %s", c.end, since())
		}
	}
	told, fleet.end = a.log.String(), nil
	ctx, leave := context.WithCancel(t.Context())
	req := must[*http.Request](t)(http.NewRequestWithContext(ctx, http.MethodGet, a.URL+"/api/v1/fleet", http.NoBody))
	req.Header.Set("Authorization", "Bearer "+a.token)
	go func() {
		<-fleet.waiting
		leave()
	}()
	if _, err := a.Client().Do(req); !errors.Is(err, context.Canceled) { //nolint:bodyclose // there is none
		t.Errorf("who left got %v", err)
	}
	pgtest.WaitFor(t, func() bool { return strings.Contains(since(), "status=499 duration") }, "the end of who left in the log")
	if strings.Contains(since(), "level=ERROR") || strings.Contains(since(), "level=WARN") {
		t.Errorf("who leaves is complained of: %s", since())
	}
}

func TestEveryRequestHasADeadline(t *testing.T) {
	t.Parallel()
	fleet := &endingFleet{waiting: make(chan struct{}, 1)}
	a := startAPI(t, func(c *api.Config) {
		fleet.History, c.Deadline, c.Services.History = c.Services.History, 50*time.Millisecond, fleet
	})
	r := a.want(http.StatusGatewayTimeout, a.get("/api/v1/fleet"))
	if said := r.detail(t); !strings.Contains(said, "within 50ms") || !strings.Contains(said, "shorter range") {
		t.Errorf("it says %q", said)
	}
}
