package statement_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pgam/pgam/internal/statement"
	"github.com/pgam/pgam/internal/statement/canary"
)

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		"select 'a', -1, $1, $t$x$t$ from t where a in (1, 2, b) and c is null;",
		"values (1, 'a'), (2, 'b'), (c, d", "in (a, b, (select 1 where x in (1, 2", "- - 5 :: int . * ?| ? /* /* */ -- \n 'a'\n'b'",
		`set local a.b = c; alter user u password "x`, "a[1:2] := array[1,2]..3", "U&\"x\" u & E'\\'", "\x00\xff\"\xff\"",
		"values (1)),(2", "in (1,,2) values values (1), a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := statement.Normalize(text)
		if !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
			t.Fatalf("Normalize(%q) = %q: not a text for PostgreSQL", text, got)
		}
		if again := statement.Normalize(got); again != got {
			t.Fatalf("Normalize(%q) = %q, and of that %q", text, got, again)
		}
		sum := statement.Fingerprint(text)
		if sum == 0 || sum != statement.Fingerprint(got) {
			t.Fatalf("Fingerprint(%q) = %#x, of its normal form %q %#x", text, sum, got, statement.Fingerprint(got))
		}
	})
}

// FuzzNormalize_canary puts a secret into every kind of literal, with any text
// before it that leaves no quote open, and any cut after it.
func FuzzNormalize_canary(f *testing.F) {
	f.Add("select a, ", "b' $$ \\", uint8(0), uint16(40))
	f.Add("update t set a = ", "", uint8(3), uint16(9999))
	f.Add("values (1, -", "$", uint8(8), uint16(31))
	f.Fuzz(func(t *testing.T, before, inside string, form uint8, cut uint16) {
		if strings.ContainsAny(before, "'\"$/-\\") || strings.Contains(inside, "tAg_1") {
			t.Skip("the text before may open a quote, or the secret close it")
		}
		text := before + " " + canary.Hide(int(form), inside) + " , c"
		text = text[:min(len(text), int(cut))]
		got := statement.Normalize(text)
		if !canary.Survives(before) && canary.Survives(got) {
			t.Fatalf("Normalize(%q) = %q", text, got)
		}
	})
}
