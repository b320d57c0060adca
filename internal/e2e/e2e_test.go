package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
)

// Names as people give them.
const (
	serverName   = "Сервер 1 (prod)"
	databaseName = `odd "shop" %41`
)

// coverage is what every answer about the past says of itself.
type coverage struct {
	Planned   int64            `json:"planned"`
	OK        int64            `json:"ok"`
	Degraded  int64            `json:"degraded"`
	Failed    int64            `json:"failed"`
	Skipped   int64            `json:"skipped"`
	SkippedBy map[string]int64 `json:"skipped_by"`
	Gap       float64          `json:"longest_gap_seconds"`
}

func (c coverage) check(t *testing.T) {
	t.Helper()
	if c.Planned != c.OK+c.Degraded+c.Failed+c.Skipped {
		t.Errorf("coverage does not add up: %+v", c)
	}
}

type series struct {
	Sessions    map[string][]*float64 `json:"average_active_sessions"`
	MaxSessions []*int32              `json:"max_sessions"`
	Coverage    coverage              `json:"coverage"`
}

type instant struct {
	SampledAt *time.Time    `json:"sampled_at"`
	Outcome   *string       `json:"outcome"`
	Sessions  []sessionThen `json:"sessions"`
	Coverage  coverage      `json:"coverage"`
}

type sessionThen struct {
	PID           int32    `json:"pid"`
	Database      *string  `json:"database"`
	User          *string  `json:"user"`
	Application   *string  `json:"application"`
	State         string   `json:"state"`
	WaitEventType string   `json:"wait_event_type"`
	WaitEvent     string   `json:"wait_event"`
	Query         *string  `json:"query"`
	XactAge       *float64 `json:"xact_age_seconds"`
	Blocked       bool     `json:"blocked"`
	BlockedByPID  *int32   `json:"blocked_by_pid"`
}

// TestEverything is the story of an installation: it is started, watches a
// server under load, is stopped and started, killed and started, and tells the
// same about the past every time.
func TestEverything(t *testing.T) {
	t.Parallel()
	target := startTarget(t)
	dir := dataFolder(t)
	e := up(t, dir)
	e.login(t, e.Password)

	added := addServer(t, e, target)
	path := "/api/v1/servers/" + url.PathEscape(serverName)
	scene := target.play(t)
	checkLive(t, e, path, scene)

	awaitDatabase(t, e)
	before := time.Now().UTC()
	bench := target.runBench(t, 11*time.Second) // so that the period below ends with it
	ended := time.Now().UTC().Truncate(time.Second)
	awaitCommits(t, e, before, bench, 1)
	// The collector finds a new server within two seconds; windows begin at
	// multiples of five.
	past := period{server: path, from: added.Add(3 * time.Second).Truncate(5 * time.Second).Add(5 * time.Second), to: ended}
	if past.to.Sub(past.from) < 5*time.Second {
		past.to = past.from.Add(5 * time.Second)
	}
	// The period ends with the bench, before the sample that has all of it: what is
	// counted after that sample is shared out over the time since it.
	awaitStored(t, e, path, past.to)
	checkPast(t, e, past, scene)
	told := past.tell(t, e)

	e.stop(t)
	stopped := time.Now().UTC()
	unseen := target.runBench(t, 3*time.Second)
	again := up(t, dir)
	again.token = e.token // Tokens outlive a restart.
	if again.Password != "" {
		t.Error("a restart shows a password")
	}
	if diff := cmp.Diff(told, past.tell(t, again)); diff != "" {
		t.Errorf("after a restart the past is another:\n%s", diff)
	}
	started := time.Now().UTC()
	awaitStored(t, again, path, started.Add(2*time.Second))
	checkGap(t, again, path, stopped, started)
	awaitCommits(t, again, before, bench+unseen, 2) // The counters went on meanwhile.

	// The seconds that checkKept asks for are of this run: its first tick may be
	// two seconds after the start.
	awaitStored(t, again, path, started.Add(8*time.Second))
	killed := time.Now().UTC().Truncate(time.Second) // it may take a moment
	again.kill(t)
	third := up(t, dir)
	third.token = e.token
	if diff := cmp.Diff(told, past.tell(t, third)); diff != "" {
		t.Errorf("after a kill the past is another:\n%s", diff)
	}
	checkLive(t, third, path, scene)
	awaitStored(t, third, path, killed.Add(time.Second)) // It has found its way to the server again.
	revived := period{server: path, from: time.Now().UTC().Truncate(time.Second).Add(2 * time.Second)}
	revived.to = revived.from.Add(5 * time.Second)
	awaitStored(t, third, path, revived.to)
	checkKept(t, third, path, killed)
	checkPast(t, third, revived, scene)
	third.stop(t)
}

// addServer registers the target and returns when that was.
func addServer(t *testing.T, e *everything, target *shop) time.Time {
	t.Helper()
	answer := e.call(t, http.StatusCreated, http.MethodPost, "/api/v1/servers", map[string]any{
		"name": serverName, "host": target.Host(), "port": target.Port(), "user": pgtest.User, "password": pgtest.Password,
	})
	if strings.Contains(string(answer), "secret/") {
		t.Errorf("the answer holds the password: %s", answer)
	}

	return time.Now().UTC()
}

// checkLive looks for the scene in what happens now.
func checkLive(t *testing.T, e *everything, path string, s scene) {
	t.Helper()
	type session struct {
		PID           int32   `json:"pid"`
		Database      *string `json:"database"`
		Application   *string `json:"application"`
		State         *string `json:"state"`
		WaitEventType *string `json:"wait_event_type"`
		WaitEvent     *string `json:"wait_event"`
		BlockedBy     []int32 `json:"blocked_by"`
	}
	now := get[struct {
		Sessions []session `json:"sessions"`
	}](t, e, "%s/activity", path)
	got := map[string]seen{}
	for _, session := range now.Sessions {
		if session.Application == nil || s[*session.Application].pid == 0 {
			continue
		}
		one := seen{pid: session.PID, state: *session.State}
		if session.WaitEventType != nil && one.state == "active" {
			one.wait = *session.WaitEventType + " " + *session.WaitEvent
		}
		if len(session.BlockedBy) > 0 {
			one.blockedBy = session.BlockedBy[0]
		}
		got[*session.Application] = one
	}
	if diff := cmp.Diff(map[string]seen(s), got, cmp.AllowUnexported(seen{})); diff != "" {
		t.Errorf("live activity:\n%s", diff)
	}
}

// awaitDatabase waits until the database was sampled for the first time.
func awaitDatabase(t *testing.T, e *everything) {
	t.Helper()
	type row struct {
		Databases []struct {
			Name   string `json:"name"`
			Exists bool   `json:"exists"`
		} `json:"databases"`
		Timeline []struct {
			Database string `json:"datname"`
		} `json:"connection_timeline"`
	}
	pgtest.WaitFor(t, func() bool {
		stats := get[row](t, e, "/server/%s/stats", url.PathEscape(serverName))
		for _, point := range stats.Timeline {
			if point.Database == databaseName {
				for _, database := range stats.Databases {
					if database.Name == databaseName && database.Exists {
						return true
					}
				}
			}
		}

		return false
	}, "the database in the history")
}

// preparing is how many commits pgbench makes beside the transactions that it
// counts: one for each of five connections (four clients, and one that looks at
// the tables first), and two for that look.
const preparing = 7

// awaitCommits waits until the commits since an instant are those of so many
// runs of the bench.
func awaitCommits(t *testing.T, e *everything, since time.Time, bench int64, runs int64) {
	t.Helper()
	if bench < 100 {
		t.Fatalf("the bench made %d transactions: too few to tell anything", bench)
	}
	// A count is shared out over the time it was counted in, so the range begins
	// two samples before the bench; what else was committed then is little.
	since = since.Add(-4 * time.Second)
	const beside = 50
	var got int64
	t.Cleanup(func() { t.Logf("commits: %d by pgbench, %d in the history", bench, got) })
	pgtest.WaitFor(t, func() bool {
		got = get[struct {
			Commits int64 `json:"total_commits"`
		}](t, e, "/server/%s/db/%s/stats?start_date=%s", url.PathEscape(serverName), url.PathEscape(databaseName),
			url.QueryEscape(since.Format(time.RFC3339Nano))).Commits

		return got >= bench
	}, "the commits of the bench in the history")
	if most := bench + preparing*runs + beside; got > most {
		t.Errorf("%d commits in the history, want %d to %d", got, bench, most)
	}
}

// awaitStored waits until windows up to an instant are in stats_db.
func awaitStored(t *testing.T, e *everything, path string, instant time.Time) {
	t.Helper()
	pgtest.WaitFor(t, func() bool {
		at := get[instantOnly](t, e, "%s/history/at?at=%s", path, url.QueryEscape(time.Now().UTC().Format(time.RFC3339Nano)))

		return at.SampledAt != nil && !at.SampledAt.Before(instant)
	}, "windows in stats_db")
}

type instantOnly struct {
	SampledAt *time.Time `json:"sampled_at"`
}

// period is a stretch of the past.
type period struct {
	server   string
	from, to time.Time
}

var newest = regexp.MustCompile(`"last_stat_update":"[^"]*",`)

// tell returns everything that is known of the period: answers that must not
// change any more.
func (p period) tell(t *testing.T, e *everything) map[string]string {
	t.Helper()
	from, to := p.from.Format(time.RFC3339), p.to.Format(time.RFC3339)
	told := map[string]string{}
	for _, path := range []string{
		p.server + "/history/activity?step=1s&from=" + from + "&to=" + to,
		p.server + "/history/activity?step=5s&from=" + from + "&to=" + to,
		p.server + "/history/at?at=" + to,
		"/server/" + url.PathEscape(serverName) + "/db/" + url.PathEscape(databaseName) + "/stats?start_date=" + from + "&end_date=" + to,
	} {
		// The newest sample of all is not of the period.
		told[path] = newest.ReplaceAllString(string(e.call(t, http.StatusOK, http.MethodGet, path, nil)), "")
	}
	if len(told) != 4 {
		t.Fatal("two questions are one")
	}

	return told
}

// checkPast looks for the scene in a period in which it was there all the time.
func checkPast(t *testing.T, e *everything, p period, s scene) {
	t.Helper()
	activity := get[series](t, e, "%s/history/activity?step=1s&from=%s&to=%s", p.server, p.from.Format(time.RFC3339), p.to.Format(time.RFC3339))
	activity.Coverage.check(t)
	if c := activity.Coverage; c.Planned < int64(p.to.Sub(p.from)/time.Second)-1 || c.OK+c.Degraded == 0 {
		t.Errorf("coverage of %s is %+v, want every second, and answers", p.to.Sub(p.from), c)
	}
	for class, least := range map[string]float64{"lock": 2, "timeout": 1, "idle_in_transaction": 2} {
		known := 0
		for i, value := range activity.Sessions[class] {
			if value == nil {
				continue
			}
			known++
			if *value < least {
				t.Errorf("%s: %v sessions in second %d, want at least %v", class, *value, i, least)
			}
		}
		if known == 0 {
			t.Errorf("%s: nothing known", class)
		}
	}

	// The last second of the period that was answered in full.
	var at instant
	for when := p.to; when.After(p.from) && (at.Outcome == nil || *at.Outcome != "ok"); when = when.Add(-time.Second) {
		at = get[instant](t, e, "%s/history/at?at=%s", p.server, when.Format(time.RFC3339))
		at.Coverage.check(t)
	}
	got := map[string]seen{}
	for _, session := range at.Sessions {
		if session.Application == nil || s[*session.Application].pid == 0 {
			continue
		}
		one := seen{pid: session.PID, state: session.State}
		if one.state == "active" {
			one.wait = session.WaitEventType + " " + session.WaitEvent
		}
		if session.BlockedByPID != nil {
			one.blockedBy = *session.BlockedByPID
		}
		got[*session.Application] = one
		if *session.Database != databaseName || *session.User != pgtest.Superuser || session.XactAge == nil || *session.XactAge <= 0 {
			t.Errorf("session of %s: %+v", *session.Application, session)
		}
	}
	if diff := cmp.Diff(map[string]seen(s), got, cmp.AllowUnexported(seen{})); diff != "" {
		t.Errorf("sessions at %s:\n%s", p.to, diff)
	}
}

// checkKept looks for what was sampled just before a kill: at most the last
// second may be gone, and on a busy machine a second begins late.
func checkKept(t *testing.T, e *everything, path string, killed time.Time) {
	t.Helper()
	c := get[series](t, e, "%s/history/activity?step=1s&from=%s&to=%s", path,
		killed.Add(-5*time.Second).Format(time.RFC3339), killed.Add(-2*time.Second).Format(time.RFC3339)).Coverage
	c.check(t)
	// A tick that began late may have moved in or out.
	if c.Planned < 2 || c.Planned > 4 || c.SkippedBy["not_running"] != 0 {
		t.Errorf("coverage of three seconds before a kill at %s is %+v, want all of them; ticks: %v", killed, c,
			pgtest.Value[string](t, e.StatsDSN, `select string_agg(format('%s %s %s %s', server, time, outcome, reason), E'\n' order by server, time)
  from report.tick where time between $1 and $1 + interval '16 seconds'`, killed.Add(-8*time.Second)))
	}
}

// checkGap looks for the time in which nothing ran.
func checkGap(t *testing.T, e *everything, path string, stopped, started time.Time) {
	t.Helper()
	c := get[series](t, e, "%s/history/activity?step=1s&from=%s&to=%s", path,
		stopped.Add(-5*time.Second).Format(time.RFC3339), started.Add(2*time.Second).Format(time.RFC3339)).Coverage
	c.check(t)
	// The collector is up somewhat before everything is; how long stopping and
	// starting take is the machine's.
	if n := c.SkippedBy["not_running"]; n < 1 || c.Gap < 1 {
		t.Errorf("coverage around a restart of %s is %+v, want its gap in it", started.Sub(stopped), c)
	}
}
