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
	doubled := strings.ReplaceAll(s, "'", "''")
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
		return "; set x to " + strings.Map(letter, s)
	default:
		return "; alter role bob password " + strings.Map(letter, s)
	}
}

// Kinds is how many kinds of literals there are.
const Kinds = 11

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
