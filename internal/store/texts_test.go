package store

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

func keepTexts(t *testing.T, s *Store, name string, texts target.QueryTexts) {
	t.Helper()
	if _, err := catalogOf(t, s).UpdateServer(t.Context(), name, func(t *target.Target) error { t.QueryTexts = texts; return nil }); err != nil {
		t.Fatal(err)
	}
}

func appendTexts(t *testing.T, s *Store, server target.ID, entries ...sample.QueryEntry) {
	t.Helper()
	for i := range entries {
		entries[i].Day, entries[i].QueryID = 20_000, int64(entries[i].ID)
	}
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: server, Entries: sample.Entries{Queries: entries}}}})
}

// storedTexts gives what is kept, as "id text", literals marked with a !.
func storedTexts(t *testing.T, dsn string, server target.ID) []string {
	t.Helper()
	return strings.Split(pgtest.Value[string](t, dsn, fmt.Sprintf(`
select coalesce(string_agg(format('%%s %%s%%s', id, coalesce(text, '-'), case when text_full then '!' end), ',' order by id), '')
  from history.query
 where server_id = %d`, server)), ",")
}

func wantTexts(t *testing.T, dsn string, server target.ID, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, storedTexts(t, dsn, server)); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}

func forget(t *testing.T, s *Store, want int64) {
	t.Helper()
	n, err := s.ForgetTexts(t.Context())
	if err != nil || n != want {
		t.Errorf("took %d texts away, want %d: %v", n, want, err)
	}
}

// TestAppend_texts: what waited in the journal is kept only as the server allows
// it now.
func TestAppend_texts(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	id := newServer(t, s, "a")
	normal := func(id int32, text string) sample.QueryEntry { return sample.QueryEntry{ID: id, Text: text} }
	full := func(id int32, text string) sample.QueryEntry {
		return sample.QueryEntry{ID: id, Text: text, Full: true}
	}
	appendTexts(t, s, id, normal(1, "select ?"), full(2, "select 2"), normal(3, ""))
	wantTexts(t, dsn, id, "1 select ?", "2 -", "3 -")
	appendTexts(t, s, id, normal(1, ""), normal(2, "late ?"), normal(3, "long ?"), normal(3, "longer ?"), normal(3, "short"))
	wantTexts(t, dsn, id, "1 select ?", "2 late ?", "3 longer ?")
	keepTexts(t, s, "a", target.TextsFull)
	appendTexts(t, s, id, full(1, "select 1"), full(4, "select 4"), normal(5, "select ?"))
	wantTexts(t, dsn, id, "1 select 1!", "2 late ?", "3 longer ?", "4 select 4!", "5 select ?")
	keepTexts(t, s, "a", target.TextsNormalized)
	appendTexts(t, s, id, full(2, "secret 2"), normal(1, "x ?"))
	wantTexts(t, dsn, id, "1 x ?", "2 late ?", "3 longer ?", "4 select 4!", "5 select ?")
	keepTexts(t, s, "a", target.TextsNone)
	appendTexts(t, s, id, normal(6, "select ?"), full(7, "select 7"), normal(1, "something longer ?"))
	wantTexts(t, dsn, id, "1 x ?", "2 late ?", "3 longer ?", "4 select 4!", "5 select ?", "6 -", "7 -")
	if got := pgtest.Value[int64](t, dsn, "select count(*) from history.query where last_seen_on = date '1970-01-01' + 20000"); got != 7 {
		t.Errorf("%d statements are there", got)
	}
}

// TestForgetTexts: exactly what a server's history may not hold any more goes,
// in chunks, and the statements stay.
func TestForgetTexts(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	const n = 2*forgetChunk + 7
	servers := make(map[target.QueryTexts]target.ID)
	for _, texts := range []target.QueryTexts{target.TextsFull, target.TextsNormalized, target.TextsNone} {
		servers[texts] = newServer(t, s, string(texts))
		keepTexts(t, s, string(texts), target.TextsFull)
		entries := make([]sample.QueryEntry, n)
		for i := range entries {
			entries[i] = sample.QueryEntry{ID: int32(i + 1), Text: "select 1", Full: i%2 == 0}
		}
		appendTexts(t, s, servers[texts], entries...)
	}
	forget(t, s, 0)
	keepTexts(t, s, "normalized", target.TextsNormalized)
	forget(t, s, (n+1)/2)
	forget(t, s, 0)
	keepTexts(t, s, "none", target.TextsNone)
	forget(t, s, n)
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
	s, dsn := openStore(t)
	id := newServer(t, s, "a")
	keepTexts(t, s, "a", target.TextsFull)
	appendTexts(t, s, id, sample.QueryEntry{ID: 1, Text: "select 1", Full: true}, sample.QueryEntry{ID: 2, Text: "select 2", Full: true})
	keepTexts(t, s, "a", target.TextsNone)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select from history.query where id = 1 for update"); err != nil {
		t.Fatal(err)
	}
	forget(t, s, 1) // without waiting for the row, which is held until it returns
	wantTexts(t, dsn, id, "1 select 1!", "2 -")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	forget(t, s, 1)
	wantTexts(t, dsn, id, "1 -", "2 -")
}
