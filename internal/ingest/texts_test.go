package ingest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func keepTexts(t *testing.T, dsn, name string, texts target.QueryTexts) {
	t.Helper()
	pgtest.Exec(t, dsn, fmt.Sprintf("update pgam.server set query_texts = '%s' where name = '%s'", texts, name))
}

func appendTexts(t *testing.T, w *Writer, id target.ID, entries ...sample.QueryEntry) {
	t.Helper()
	for i := range entries {
		entries[i].Day, entries[i].QueryID = 20_000, entries[i].Key
	}
	mustAppend(t, w, id, &sample.Visit{Entries: sample.Entries{Queries: entries}})
}

// storedTexts gives what is kept, as "key text", literals marked with a !.
func storedTexts(t *testing.T, dsn string, id target.ID) []string {
	t.Helper()
	return strings.Split(pgtest.Value[string](t, dsn, fmt.Sprintf(`
select coalesce(string_agg(format('%%s %%s%%s', key, coalesce(text, '-'), case when text_full then '!' end), ',' order by key), '')
  from history.query
 where server_id = %d`, id)), ",")
}

func wantTexts(t *testing.T, dsn string, id target.ID, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, storedTexts(t, dsn, id)); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

func forget(t *testing.T, w *Writer, want int64) {
	t.Helper()
	n, err := w.ForgetTexts(t.Context())
	if err != nil || n != want {
		t.Errorf("took %d texts away, want %d: %v", n, want, err)
	}
}

// TestAppend_texts: what waited in the journal is kept only as the server allows
// it now.
func TestAppend_texts(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "a")
	normal := func(id sample.Key, text string) sample.QueryEntry { return sample.QueryEntry{Key: id, Text: text} }
	full := func(id sample.Key, text string) sample.QueryEntry {
		return sample.QueryEntry{Key: id, Text: text, Full: true}
	}
	appendTexts(t, w, id, normal(1, "select ?"), full(2, "select 2"), normal(3, ""))
	wantTexts(t, dsn, id, "1 select ?", "2 -", "3 -")
	appendTexts(t, w, id, normal(1, ""), normal(2, "late ?"), normal(3, "long ?"), normal(3, "longer ?"), normal(3, "short"))
	wantTexts(t, dsn, id, "1 select ?", "2 late ?", "3 longer ?")
	keepTexts(t, dsn, "a", target.TextsFull)
	appendTexts(t, w, id, full(1, "select 1"), full(4, "select 4"), normal(5, "select ?"))
	wantTexts(t, dsn, id, "1 select 1!", "2 late ?", "3 longer ?", "4 select 4!", "5 select ?")
	keepTexts(t, dsn, "a", target.TextsNormalized)
	appendTexts(t, w, id, full(2, "secret 2"), normal(1, "x ?"))
	wantTexts(t, dsn, id, "1 x ?", "2 late ?", "3 longer ?", "4 select 4!", "5 select ?")
	keepTexts(t, dsn, "a", target.TextsNone)
	appendTexts(t, w, id, normal(6, "select ?"), full(7, "select 7"), normal(1, "something longer ?"))
	wantTexts(t, dsn, id, "1 x ?", "2 late ?", "3 longer ?", "4 select 4!", "5 select ?", "6 -", "7 -")
	if got := pgtest.Value[int64](t, dsn, "select count(*) from history.query where last_seen_on = date '1970-01-01' + 20000"); got != 7 {
		t.Errorf("%d statements are there", got)
	}
}

// TestForgetTexts: exactly what a server's history may not hold any more goes,
// in chunks, and the statements stay.
func TestForgetTexts(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	const n = 2*forgetChunk + 7
	servers := make(map[target.QueryTexts]target.ID)
	for _, texts := range []target.QueryTexts{target.TextsFull, target.TextsNormalized, target.TextsNone} {
		servers[texts] = newServer(t, dsn, string(texts))
		keepTexts(t, dsn, string(texts), target.TextsFull)
		entries := make([]sample.QueryEntry, n)
		for i := range entries {
			entries[i] = sample.QueryEntry{Key: sample.Key(i+1) - n/2, Text: "select 1", Full: i%2 == 0}
		}
		appendTexts(t, w, servers[texts], entries...)
	}
	forget(t, w, 0)
	keepTexts(t, dsn, "normalized", target.TextsNormalized)
	forget(t, w, (n+1)/2)
	forget(t, w, 0)
	keepTexts(t, dsn, "none", target.TextsNone)
	forget(t, w, n)
	for texts, want := range map[target.QueryTexts][2]int64{
		target.TextsFull: {n, (n + 1) / 2}, target.TextsNormalized: {n / 2, 0}, target.TextsNone: {0, 0},
	} {
		for i, where := range []string{"text is not null", "text_full"} {
			sql := fmt.Sprintf("select count(*) from history.query where server_id = %d and %s", servers[texts], where)
			if got := pgtest.Value[int64](t, dsn, sql); got != want[i] {
				t.Errorf("texts %s: %d rows where %s, want %d", texts, got, where, want[i])
			}
		}
	}
	if got := pgtest.Value[int64](t, dsn, "select count(*) from history.query"); got != 3*n {
		t.Errorf("%d statements are left of %d", got, 3*n)
	}
}

// TestForgetTexts_busy: rows that are being written are left for the next call,
// which nobody waits for.
func TestForgetTexts_busy(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "a")
	keepTexts(t, dsn, "a", target.TextsFull)
	appendTexts(t, w, id, sample.QueryEntry{Key: 1, Text: "select 1", Full: true}, sample.QueryEntry{Key: 2, Text: "select 2", Full: true})
	keepTexts(t, dsn, "a", target.TextsNone)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select from history.query where key = 1 for update"); err != nil {
		t.Fatal(err)
	}
	forget(t, w, 1) // without waiting for the row, which is held until it returns
	wantTexts(t, dsn, id, "1 select 1!", "2 -")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	forget(t, w, 1)
	wantTexts(t, dsn, id, "1 -", "2 -")
}
