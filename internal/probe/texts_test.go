package probe_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statement/canary"
	"github.com/pgam/pgam/internal/target"
)

// FuzzTexts: whatever a server shows and wherever it cut it, no literal reaches
// an entry where texts are normalized, and no text where none are kept.
func FuzzTexts(f *testing.F) {
	f.Add("select a, ", "b' $$ \\", uint8(0), uint16(40), false)
	f.Add("update t set a = ", "\xff\x00", uint8(3), uint16(9999), true)
	f.Add("values (1, -", "$", uint8(8), uint16(31), false)
	f.Fuzz(func(t *testing.T, before, inside string, kind uint8, cut uint16, full bool) {
		if strings.ContainsAny(before, "'\"$/-\\") || strings.Contains(inside, "tAg_1") || canary.Survives(before) {
			t.Skip("the text before may open a quote, or the secret close it")
		}
		text := before + " " + canary.Hide(int(kind), inside) + " , c"
		text = text[:min(len(text), int(cut))]
		normalized := probe.Texts([]byte(text), sample.Ask{Full: full})
		if len(normalized.Queries) == 0 || canary.Survives(fmt.Sprintf("%+v", normalized)) {
			t.Fatalf("of %q: %+v", text, normalized)
		}
		for _, q := range probe.Texts([]byte(text), sample.Ask{Full: full, Texts: target.TextsNone}).Queries {
			if q.Text != "" || q.QueryID == 0 {
				t.Fatalf("of %q: %+v", text, q)
			}
		}
	})
}

func TestConformance_texts(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version), pgtest.WithSettings(map[string]string{"track_activity_query_size": "65536"}))
			// One after the other: each looks at all sessions of the server.
			t.Run("canaries", func(t *testing.T) { testCanaries(t, server) })
			t.Run("change", func(t *testing.T) { testTextsChange(t, server) })
			t.Run("length", func(t *testing.T) { testLength(t, server) })
			t.Run("many", func(t *testing.T) { testManyTexts(t, server) })
		})
	}
}

// testCanaries has sessions run statements that hide secrets, valid ones and
// others, and looks for them in what a visit yields, by how texts are kept.
func testCanaries(t *testing.T, server *pgtest.Server) {
	t.Helper()
	const sessions, rounds = 11, 20
	dice := rand.New(rand.NewPCG(1, 2))
	benches := map[target.QueryTexts]*bench{
		target.TextsNormalized: newBench(t, server, pgtest.User), target.TextsFull: newBench(t, server, pgtest.User), target.TextsNone: newBench(t, server, pgtest.User),
	}
	crowd := make([]*pgx.Conn, sessions)
	for i := range crowd {
		crowd[i] = session(t, server, "postgres", "talker")
	}
	prefixes := []string{"select 1, ", "select * from pg_class where relname = ", "insert into nowhere values (", "update x set a = ", "select lower(", "values (2), ("}
	found := make(map[target.QueryTexts]int)
	for round := range rounds {
		for i, c := range crowd {
			exec(t, c, "begin")
			text := prefixes[dice.IntN(len(prefixes))] + canary.Hide(i, []string{"", "'", "\\", "a b", "é"}[dice.IntN(5)])
			if round%2 == 0 {
				text = "select " + canary.Hide(i%4, "") + fmt.Sprintf(" as c%d", round)
			}
			// Most fail, which leaves the transaction and the text.
			_, _ = c.Exec(context.Background(), text, pgx.QueryExecModeSimpleProtocol)
		}
		for keep, b := range benches {
			v := b.must(t, sample.Ask{Texts: keep, Full: round%3 == 0})
			if len(b.byApplication(v, "talker")) < sessions {
				t.Fatalf("sessions %q", b.byApplication(v, "talker"))
			}
			for _, q := range v.Entries.Queries {
				if canary.Survives(q.Text) {
					found[keep]++
				}
				if keep == target.TextsNormalized && canary.Survives(q.Text) || keep == target.TextsNone && q.Text != "" {
					t.Errorf("texts %s: %+v", keep, q)
				}
			}
		}
		for _, c := range crowd {
			exec(t, c, "rollback")
		}
	}
	if found[target.TextsFull] < sessions {
		t.Errorf("%d canaries in full texts: the test shows nothing", found[target.TextsFull])
	}
}

// testTextsChange: the same session, by how texts are kept from visit to visit.
func testTextsChange(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	exec(t, session(t, server, "postgres", "talker"), "begin; select 'cAnArY' as changing")
	for _, step := range []struct {
		keep target.QueryTexts
		text func(string) bool
	}{
		{target.TextsNone, func(s string) bool { return s == "" }},
		{target.TextsNormalized, func(s string) bool { return strings.Contains(s, "as changing") && !canary.Survives(s) }},
		{target.TextsFull, func(s string) bool { return strings.Contains(s, "as changing") && canary.Survives(s) }},
		{target.TextsNormalized, func(s string) bool { return strings.Contains(s, "as changing") && !canary.Survives(s) }},
	} {
		ok := false
		for range 3 {
			v := b.must(t, sample.Ask{Texts: step.keep})
			for _, q := range v.Entries.Queries {
				if !step.text(q.Text) && (strings.Contains(q.Text, "changing") || step.keep == target.TextsNone) {
					t.Errorf("texts %s: %+v", step.keep, q)
				}
				ok = ok || step.text(q.Text) && q.Full == (step.keep == target.TextsFull)
			}
		}
		if !ok {
			t.Errorf("texts %s: no entry is as it should be", step.keep)
		}
	}
}

// testLength: a long text is cut, and comes whole in a burst.
func testLength(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	long := "select " + strings.Repeat("pg_backend_pid() as a_rather_long_name_of_a_column, ", 400) + "pg_sleep(600) as the_end"
	background(t, session(t, server, "postgres", "talker"), long)
	text := func(v sample.Visit) string {
		for _, s := range v.Tick.Sessions {
			if b.seen[s.Session].Application == "talker" {
				return b.texts[s.Query].Text
			}
		}
		return ""
	}
	pgtest.WaitFor(t, func() bool { return text(b.must(t, sample.Ask{})) != "" }, "the long text")
	if got := text(b.must(t, sample.Ask{})); len(got) != sample.MaxText {
		t.Errorf("cut to %d bytes", len(got))
	}
	if v := b.must(t, sample.Ask{}); len(v.Entries.Queries) != 0 {
		t.Error("a text that was cut comes again")
	}
	if got := text(b.must(t, sample.Ask{Full: true})); len(got) < 20_000 || !strings.HasSuffix(got, "as the_end") {
		t.Errorf("in a burst %d bytes", len(got))
	}
	if v := b.must(t, sample.Ask{Full: true}); len(v.Entries.Queries) != 0 {
		t.Error("a whole text comes again")
	}
}

// testManyTexts: in a burst all new texts come at once.
func testManyTexts(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	for i := range 40 {
		exec(t, session(t, server, "postgres", "many"), "begin; select x"+strings.Repeat(", x", i)+" from (values (1)) v (x)")
	}
	count := func(full bool) (n int) {
		for _, q := range b.must(t, sample.Ask{Full: full}).Entries.Queries {
			if q.Text != "" {
				n++
			}
		}
		return n
	}
	if b.conn.Version() >= 140000 {
		if n := count(false); n != 25 {
			t.Errorf("%d texts came outside of a burst", n)
		}
	}
	if n := count(true); n < 15 {
		t.Errorf("%d texts came in a burst", n)
	}
	for _, q := range b.texts {
		if q.Text == "" {
			t.Errorf("a text is missing: %+v", q)
		}
	}
}
