package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
)

// keepAnswers is where TestIncident leaves the answers that docs/INCIDENT.md
// shows.
var keepAnswers = flag.String("incident-answers", "", "folder to keep the answers of TestIncident, and the picture of it, in")

const (
	incidentServer = "shop-prod"
	// literal is in the statements of the incident, and must be in no answer.
	literal = "canary-4f1c"

	migration   = "deploy-migration" // application of the idle session that all wait for
	inTheWay    = "order 4711"       // the prepared transaction
	lockWaiters = 9                  // sessions of the application web that wait for the migration
	incidentMax = 40                 // max_connections
	stormedTo   = 37
)

// The pile-up: web's sessions and one of billing wait for the migration, two
// more for billing; three of the stock's wait for the prepared transaction.
const (
	behindMigration = lockWaiters + 3
	behindPrepared  = 3
	allWaiting      = behindMigration + behindPrepared
)

// incident is the target with the sessions of its story.
type incident struct {
	*shop

	eye                *pgx.Conn // looks on
	migration, billing int32     // pids
}

// startIncident starts a target that writes to its disk as a real one does.
func startIncident(t *testing.T) *incident {
	t.Helper()
	i := &incident{shop: startTarget(t, pgtest.WithSettings(map[string]string{
		"max_connections": fmt.Sprint(incidentMax), "superuser_reserved_connections": "1", "max_prepared_transactions": "5",
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
	}))}
	i.Exec(t, "create database scratch")
	i.exec(t, "create table orders (id integer primary key, customer text, note text)", "insert into orders select i, 'c' || i from generate_series(1, 100) i",
		"create table stock (id integer primary key, pieces integer)", "insert into stock select i, 9 from generate_series(1, 9) i")

	return i
}

func (i *incident) exec(t *testing.T, statements ...string) {
	t.Helper()
	conn := i.open(t, "psql")
	for _, sql := range statements {
		i.run(t, conn, sql)
	}
	_ = conn.Close(t.Context())
}

func (i *incident) run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// open connects as an application.
func (i *incident) open(t *testing.T, application string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(i.SuperuserDSN())
	if err != nil {
		t.Fatal(err)
	}
	config.Database = databaseName
	config.RuntimeParams["application_name"] = application
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })

	return conn
}

// wait runs a statement that ends with the server's stop, at the latest, and
// returns when it waits for a lock.
func (i *incident) wait(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	}()
	t.Cleanup(func() { cancel(); <-done }) // Before the connection is closed.
	pgtest.WaitFor(t, func() bool {
		var waits bool
		err := i.eye.QueryRow(t.Context(), "select cardinality(pg_blocking_pids($1)) > 0", int32(conn.PgConn().PID())).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}

		return waits
	}, sql)
}

// change is what somebody does to the server before the trouble.
func (i *incident) change(t *testing.T) {
	t.Helper()
	i.Exec(t, "alter system set work_mem = '13MB'", "select pg_reload_conf()", "drop database scratch")
	i.exec(t, "select pg_stat_reset()")
}

// write makes I/O until it is done: short commits, and checkpoints.
func (i *incident) write(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = execOnce(ctx, i.SuperuserDSN(), "checkpoint")
		}
	}()
	defer func() { cancel(); <-ended }()
	for deadline := time.Now().Add(pgtest.Patience); !done(); {
		if time.Now().After(deadline) {
			t.Errorf("%s of writing, and no session was seen to wait for I/O", pgtest.Patience)

			return
		}
		i.bench(t, "-n", "-N", "-c", "4", "-T", "2")
	}
}

func execOnce(ctx context.Context, dsn, sql string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql)

	return err
}

// pileUp locks a table and goes to lunch. It returns when everybody waits.
func (i *incident) pileUp(t *testing.T) {
	t.Helper()
	i.eye = i.open(t, "eye")
	preparer := i.open(t, "order-service")
	i.run(t, preparer, "begin; update stock set pieces = pieces - 1 where id = 1; prepare transaction '"+inTheWay+"'")
	_ = preparer.Close(t.Context())
	billing := i.open(t, "billing")
	i.run(t, billing, "begin; update stock set pieces = pieces - 1 where id = 2")
	root := i.open(t, migration)
	i.run(t, root, "begin; alter table orders add column secret text default '"+literal+"'")
	i.migration, i.billing = int32(root.PgConn().PID()), int32(billing.PgConn().PID())
	for n := range lockWaiters {
		i.wait(t, i.open(t, "web"), fmt.Sprintf("update orders set note = '%s' where id = %d", literal, n))
	}
	i.wait(t, billing, "select id from orders where customer = '"+literal+"'")
	for range behindMigration - lockWaiters - 1 {
		i.wait(t, i.open(t, "stock"), "update stock set pieces = 0 where id = 2")
	}
	for range behindPrepared {
		i.wait(t, i.open(t, "stock"), "update stock set pieces = 7 where id = 1")
	}
}

// storm opens connections that do nothing, as clients do that try again.
func (i *incident) storm(t *testing.T) {
	t.Helper()
	var n int
	if err := i.eye.QueryRow(t.Context(), "select count(*)::int from pg_stat_activity where backend_type = 'client backend'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	for ; n < stormedTo; n++ {
		i.open(t, "web")
	}
}

// listener reads a stream of live ticks.
type listener struct {
	ticks chan liveTick // the newest that nobody has taken
	ended chan string   // the reason that came with the end; "": it just ended
}

type liveTick struct {
	At       time.Time `json:"at"`
	Problem  *string   `json:"problem"`
	Sessions struct {
		Lock int `json:"lock"`
	} `json:"sessions"`
	Waiting int       `json:"waiting"`
	Roots   []rootRow `json:"roots"`
}

// listen opens a stream. It does not end before the program does.
func (e *everything) listen(t *testing.T, path string) *listener {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.APIURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+e.token)
	response, err := http.DefaultClient.Do(request) //nolint:bodyclose // By who reads it.
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("GET %s: %s %s", path, response.Status, response.Header.Get("Content-Type"))
	}
	l := &listener{ticks: make(chan liveTick, 1), ended: make(chan string, 1)}
	go func() {
		defer func() { _ = response.Body.Close() }()
		reason, kind := "", ""
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "event":
				kind = value
			case name == "data" && kind == "end":
				reason = value
			case name == "data":
				var tick liveTick
				if json.Unmarshal([]byte(value), &tick) == nil {
					select {
					case <-l.ticks:
					default:
					}
					l.ticks <- tick
				}
			}
		}
		l.ended <- reason
	}()

	return l
}

// await takes ticks until one is good.
func (l *listener) await(t *testing.T, what string, good func(liveTick) bool) {
	t.Helper()
	deadline := time.After(pgtest.Patience)
	for {
		select {
		case tick := <-l.ticks:
			if good(tick) {
				return
			}
		case reason := <-l.ended:
			t.Fatalf("the stream ended (%s) before %s", reason, what)
		case <-deadline:
			t.Fatalf("the stream does not tell of %s", what)
		}
	}
}

// reader asks about the past and remembers the answers.
type reader struct {
	*everything

	answers map[string]string
}

// hear is get, remembered under a name.
func hear[T any](t *testing.T, r *reader, name, format string, args ...any) T {
	t.Helper()
	path := fmt.Sprintf(format, args...)
	text := r.call(t, http.StatusOK, http.MethodGet, path, nil)
	r.answers[name] = string(text)
	r.keep(t, name+".json", text)
	var answer T
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("GET %s: %v: %s", path, err, text)
	}

	return answer
}

// keep writes a file where -incident-answers says.
func (r *reader) keep(t *testing.T, name string, content []byte) {
	t.Helper()
	if *keepAnswers == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(*keepAnswers, name), content, 0o600); err != nil {
		t.Error(err)
	}
}

// expectNoLiterals looks for the literals of the incident in what was answered
// and in what is stored.
func (r *reader) expectNoLiterals(t *testing.T) {
	t.Helper()
	for name, text := range r.answers {
		if strings.Contains(text, literal) {
			t.Errorf("%s holds a literal: %s", name, text)
		}
	}
	if n := pgtest.Value[int](t, r.StatsDSN, "select count(*)::int from report.query where query like '%' || $1 || '%'", literal); n != 0 {
		t.Errorf("%d texts with a literal are stored", n)
	}
	if !strings.Contains(r.answers["top"], "update orders set note = ") {
		t.Errorf("no answer holds the shape of the statement: %s", r.answers["top"])
	}
}
