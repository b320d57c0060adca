package remote

import (
	"strings"
	"unicode"
)

// maxSaidBytes bounds what is shown of a host's own words.
const maxSaidBytes = 300

// Said makes a line that can be shown to anybody of what a host says: its first
// words, without line breaks, escape sequences and what is no text.
func Said(text string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(text[:min(len(text), 10*maxSaidBytes)], func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		for _, r := range word {
			if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
				r = '?'
			}
			if b.Len() >= maxSaidBytes {
				b.WriteString("…")
				return b.String()
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}
