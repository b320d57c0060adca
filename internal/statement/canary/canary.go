// Package canary owns statements that hide a secret, for tests of those who must
// not keep it: one in every kind of literal and in the unquoted values of
// utility statements. It keeps nothing and knows nothing of how they are read.
package canary

import "strings"

// Secret is what every statement hides, in some mixture of cases.
const Secret = "cAnArY"

// tag is that of the dollar quotes; a text that has it ends them.
const tag = "$tAg_1$"

// Hide puts what is inside, between two secrets, into the literal of this
// number, modulo how many kinds there are. Inside must not hold "tAg_1".
func Hide(number int, inside string) string {
	s := Secret + inside + Secret
	doubled, plain := strings.ReplaceAll(s, "'", "''"), strings.Map(letter, s)
	switch number % Kinds {
	case 0:
		return "'" + doubled + "'"
	case 1:
		return "E'" + strings.NewReplacer("'", `\'`, `\`, `\\`).Replace(s) + "'"
	case 2:
		return "U&'" + doubled + "'"
	case 3:
		return "N'" + doubled + "'"
	case 4:
		return tag + s + tag
	case 5:
		return "/* " + strings.NewReplacer("*", "", "/", "").Replace(s) + " */"
	case 6:
		return "-- " + strings.NewReplacer("\n", "", "\r", "").Replace(s) + "\n"
	case 7:
		return "424242" + Secret
	case 8:
		return "$1" + Secret
	case 9:
		return "; set x to " + plain
	case 10:
		return "; alter role bob password " + plain
	case 11: // standard_conforming_strings = off
		return `'a\'` + plain + `' || 'b'`
	case 12: // the same, and a quote that is doubled
		return `'a\'' ` + plain + `'`
	case 13:
		return `where mail = "` + strings.ReplaceAll(s, `"`, `""`) + `"`
	case 14:
		return `where mail in ("` + plain + `", "x") or mail like "` + plain + `"`
	case 15:
		return "; create or replace function f() returns int language sql set k.pw to " + plain
	case 16:
		return "; explain (analyze, costs off) alter role bob password " + plain
	case 17:
		return "; explain analyze create user bob password " + plain
	case 18:
		return "; create user bob identified by " + plain
	case 19:
		return "; grant all on t to bob identified by " + plain
	case 20:
		return "; \ufeffset k.pw to " + plain
	case 21:
		return "; set\u00a0k.pw\u3000= " + plain
	case 22:
		return "; \u200balter\u2003role bob password " + plain
	case 23:
		return "; host=db user=bob password=" + plain
	case 24:
		return "; postgresql://bob:" + plain + "@db/shop"
	case 25:
		return "; psql -h db password=" + plain
	default:
		return "; import foreign schema s from server f into t options (password " + plain + ")"
	}
}

// Kinds is how many kinds of literals there are.
const Kinds = 27

// Survives reports whether a text tells the secret.
func Survives(text string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(Secret))
}

func letter(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == ' ' {
		return r
	}
	return -1
}
