package statement_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pgam/pgam/internal/statement"
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
	forms := []func(s string) string{
		func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" },
		func(s string) string { return "E'" + strings.NewReplacer("'", `\'`, `\`, `\\`).Replace(s) + "'" },
		func(s string) string { return "U&'" + strings.ReplaceAll(s, "'", "''") + "'" },
		func(s string) string { return "N'" + strings.ReplaceAll(s, "'", "''") + "'" },
		func(s string) string { return "$tAg_1$" + s + "$tAg_1$" },
		func(s string) string { return "/* " + strings.NewReplacer("*", "", "/", "").Replace(s) + " */" },
		func(s string) string { return "-- " + strings.NewReplacer("\n", "", "\r", "").Replace(s) + "\n" },
		func(string) string { return "424242cAnArY" },
		func(string) string { return "$1cAnArY" },
		func(s string) string { return "; set x to " + strings.Map(wordOnly, s) },
		func(s string) string { return "; alter role bob password " + strings.Map(wordOnly, s) },
	}
	f.Fuzz(func(t *testing.T, before, inside string, form uint8, cut uint16) {
		if strings.ContainsAny(before, "'\"$/-\\") || strings.Contains(inside, "tAg_1") {
			t.Skip("the text before may open a quote, or the secret close it")
		}
		text := before + " " + forms[int(form)%len(forms)]("cAnArY"+inside+"cAnArY") + " , c"
		text = text[:min(len(text), int(cut))]
		got := statement.Normalize(text)
		if !strings.Contains(strings.ToLower(before), "canary") && strings.Contains(strings.ToLower(got), "canary") {
			t.Fatalf("Normalize(%q) = %q", text, got)
		}
	})
}

func wordOnly(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == ' ' {
		return r
	}

	return -1
}
