package ingest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// historyOf gives the tables of history that have rows of servers, partitions
// left out: parents are counted with what is in them.
func historyOf(t *testing.T, dsn string) []string {
	t.Helper()
	return strings.Split(pgtest.Value[string](t, dsn, `
select string_agg(c.relname, ',' order by c.relname)
  from pg_class c
 where c.relnamespace = 'history'::regnamespace
   and c.relkind in ('r', 'p')
   and not c.relispartition
   and c.relname not in ('reason', 'progress')`), ",")
}

// fill writes rows of a server into every table of history, with a value of the
// right type in every column that needs one.
func fill(t *testing.T, dsn string, server target.ID, rows int) {
	t.Helper()
	for _, table := range historyOf(t, dsn) {
		fillTable(t, dsn, table, server, 1, rows)
	}
}

func fillTable(t *testing.T, dsn, table string, server target.ID, from, to int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	found, err := conn.Query(t.Context(), `
select attname, atttypid::regtype::text
  from pg_attribute
 where attrelid = to_regclass($1) and attnum > 0 and not attisdropped and attnotnull`, "history."+table)
	if err != nil {
		t.Fatal(err)
	}
	var (
		columns, values []string
		column, kind    string
	)
	_, err = pgx.ForEachRow(found, []any{&column, &kind}, func() error {
		value, ok := map[string]string{
			"bigint": "i", "integer": "i", "smallint": "i", "oid": "i::bigint::oid", "double precision": "i", "text": "'x' || i", "boolean": "true",
			"date": "'2026-03-05'::date", "timestamp with time zone": "'2026-03-05 12:00Z'::timestamptz + i * interval '1 second'",
		}[kind]
		switch {
		case column == "server_id":
			value = fmt.Sprint(server)
		case column == "step_seconds":
			value = "3600"
		case column == "slot":
			value = "'2026-03-05 12:00Z'::timestamptz + i * interval '15 seconds'"
		case column == "bucket" && table == "activity_total":
			value = "'2026-03-05 12:00Z'::timestamptz + i * interval '1 hour'"
		case column == "bucket": // the rest of the key differs
			value = "'2026-03-05 12:00Z'::timestamptz"
		case strings.HasPrefix(column, "tick_"):
			value = "'{1}'"
		case strings.HasSuffix(kind, "[]"):
			value = "'{}'"
		case !ok:
			return fmt.Errorf("no value of type %s for %s.%s: teach it to this test", kind, table, column)
		}
		columns, values = append(columns, column), append(values, value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sql := fmt.Sprintf("insert into history.%s (%s) select %s from generate_series(%d, %d) i",
		table, strings.Join(columns, ", "), strings.Join(values, ", "), from, to)
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("fill %s: %v", table, err)
	}
}

// counts gives the rows of a server by table.
func counts(t *testing.T, dsn string, server target.ID) map[string]int {
	t.Helper()
	all := make(map[string]int)
	for _, table := range historyOf(t, dsn) {
		all[table] = pgtest.Value[int](t, dsn, fmt.Sprintf("select count(*) from history.%s where server_id = %d", table, server))
	}
	return all
}

// openHistory gives a writer with partitions of every table for fill.
func openHistory(t *testing.T) (*Writer, string) {
	t.Helper()
	w, dsn := openEmpty(t)
	ensure(t, w, time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC))
	return w, dsn
}

func remove(t *testing.T, dsn, name string, purge bool) {
	t.Helper()
	pgtest.Exec(t, dsn, fmt.Sprintf("update pgam.server set deleted_at = now(), purge = %t where name = '%s' and deleted_at is null", purge, name))
}

func hidden(t *testing.T, dsn string, server target.ID) bool {
	t.Helper()
	return pgtest.Value[bool](t, dsn, fmt.Sprintf("select exists (select from pgam.server where id = %d and deleted_at is not null)", server))
}

// A purge takes all of its server's history and nothing of another's, whatever
// tables there are.
func TestPurgeDeleted(t *testing.T) {
	t.Parallel()
	w, dsn := openHistory(t)
	ctx := t.Context()
	doomed, kept, alive := newServer(t, dsn, "doomed"), newServer(t, dsn, "kept"), newServer(t, dsn, "alive")
	const many = purgeChunk + 7
	pgtest.Exec(t, dsn, "insert into history.progress (server_id) select id from pgam.server")
	fill(t, dsn, doomed, many)
	fill(t, dsn, kept, 10)
	fill(t, dsn, alive, 10)
	want := counts(t, dsn, alive)
	if n, err := w.PurgeDeleted(ctx); n != 0 || err != nil {
		t.Fatalf("purged %d rows of nobody, %v", n, err)
	}
	for name, purge := range map[string]bool{"doomed": true, "kept": false} {
		remove(t, dsn, name, purge)
	}
	// Its name is free at once; the new server has no part in it.
	heir := newServer(t, dsn, "doomed")
	fill(t, dsn, heir, 10)

	n, err := w.PurgeDeleted(ctx)
	if want := int64(many * len(historyOf(t, dsn))); err != nil || n != want {
		t.Errorf("purged %d rows, %v; want %d", n, err, want)
	}
	for table, n := range counts(t, dsn, doomed) {
		if n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	for _, id := range []target.ID{kept, alive, heir} {
		if diff := cmp.Diff(want, counts(t, dsn, id)); diff != "" {
			t.Errorf("server %d (-want +got):\n%s", id, diff)
		}
	}

	// What comes late is found by the row, which therefore stays for a while.
	fillTable(t, dsn, "wait", doomed, 1, 3)
	if n, err := w.PurgeDeleted(ctx); n != 3 || err != nil || !hidden(t, dsn, doomed) {
		t.Errorf("purged %d late rows, %v", n, err)
	}
	const locked = "select count(*) from history.progress"
	if n, err := w.PurgeDeleted(ctx); n != 0 || err != nil || !hidden(t, dsn, doomed) || pgtest.Value[int](t, dsn, locked) != 3 {
		t.Errorf("purged %d rows, %v; the row of the server, and that of its progress, must be there within the hour", n, err)
	}
	pgtest.Exec(t, dsn, "update pgam.server set deleted_at = now() - interval '61 minutes' where deleted_at is not null")
	fillTable(t, dsn, "wait", doomed, 1, 3)
	if n, err := w.PurgeDeleted(ctx); n != 3 || err != nil || !hidden(t, dsn, doomed) {
		t.Errorf("purged %d late rows, %v; more may be on its way", n, err)
	}
	if n, err := w.PurgeDeleted(ctx); n != 0 || err != nil || hidden(t, dsn, doomed) || pgtest.Value[int](t, dsn, locked) != 2 {
		t.Errorf("purged %d rows, %v; the rows of the server must be gone", n, err)
	}
	if !hidden(t, dsn, kept) {
		t.Error("a server whose history stays has lost its row")
	}
	if got := pgtest.Value[target.ID](t, dsn, "select id from pgam.server where name = 'doomed'"); got != heir {
		t.Errorf("the heir is %d", got)
	}
}

// Whatever is added to the schema history later is purged too, and by its key.
func TestPurgeCoversHistory(t *testing.T) {
	t.Parallel()
	w, dsn := openHistory(t)
	pgtest.Exec(t, dsn, "create table history.added_later (n integer, server_id bigint primary key)")
	tables, err := w.historyTables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "set enable_seqscan = off"); err != nil {
		t.Fatal(err)
	}
	covered := make(map[string]bool)
	for _, table := range tables {
		parent := pgtest.Value[string](t, dsn, `
select coalesce((select p.relname from pg_inherits i join pg_class p on p.oid = i.inhparent where i.inhrelid = to_regclass($1)), $2)`, "history."+table, table)
		covered[parent] = true
		found, err := conn.Query(t.Context(), "explain (costs off) select ctid from history."+table+" where server_id = 1 limit 10")
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(found, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(plan, "\n"), "Index Cond: (server_id = ") {
			t.Errorf("%s has no key that begins with server_id: %q", table, plan)
		}
	}
	for _, table := range append(historyOf(t, dsn), "added_later") {
		if !covered[table] {
			t.Errorf("rows of %s would stay for ever: give it a column server_id", table)
		}
	}
}

// A purge that cannot go on ends with its context, keeps nobody else waiting, and
// goes on where it was.
func TestPurgeResumes(t *testing.T) {
	t.Parallel()
	w, dsn := openHistory(t)
	doomed, alive := newServer(t, dsn, "doomed"), newServer(t, dsn, "alive")
	fill(t, dsn, doomed, 10)
	remove(t, dsn, "doomed", true)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	held, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), "select from history.wait where server_id = $1 for update", doomed); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type result struct {
		rows int64
		err  error
	}
	done := make(chan result, 1)
	go func() {
		rows, err := w.PurgeDeleted(ctx)
		done <- result{rows, err}
	}()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[bool](t, dsn, "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '/* pgam:purge */%')")
	}, "the purge to meet the lock")

	// Meanwhile history is written, of the deleted server too, and partitions are
	// made and dropped.
	compacted(t, w, alive, noon, noon.Add(48*time.Hour))
	fillTable(t, dsn, "server_identity", doomed, 11, 12)
	if _, err := w.dropExpired(t.Context(), noon.AddDate(3, 0, 0), Retention{
		Kept: map[statsdb.Kept]time.Duration{statsdb.KeptActivity: time.Hour, statsdb.KeptMinutes: time.Hour, statsdb.KeptDatabases: time.Hour}, DetachConcurrently: true, Confirmed: true,
	}); err != nil {
		t.Errorf("drop beside a purge: %v", err)
	}
	cancel()
	got := <-done
	if got.err == nil || got.rows == 0 {
		t.Errorf("cancelled after %d rows: %v", got.rows, got.err)
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What waited, and the late rows.
	if n, err := w.PurgeDeleted(t.Context()); n != 10+2 || err != nil {
		t.Errorf("the second purge deletes %d rows, %v", n, err)
	}
	for table, n := range counts(t, dsn, doomed) {
		if n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
}
