package remote

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
)

// preparedPassword is SASLprep as PostgreSQL does it: ASCII as it is; else
// spaces and what maps to nothing are mapped, the result is checked against
// RFC 3454's tables of Unicode 3.2, and normalized to NFKC. A password that the
// rules prohibit is used as it is; the driver then still composes what is
// decomposed, so that a password which is both (Hebrew and Latin mixed, with an
// accent as a character of its own) is not accepted. The driver prepares by
// other rules (RFC 8265), which leave alone what was prepared by these. LDAP, PAM
// and MD5 want the password as it is.
func preparedPassword(raw string) string {
	if !utf8.ValidString(raw) || strings.IndexFunc(raw, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return raw
	}
	// The library maps U+200B to nothing, PostgreSQL to a space; and the library
	// checks what it has normalized, PostgreSQL what it will.
	check := stringprep.SASLprep
	check.Normalize = false
	check.Mappings = slices.Clone(check.Mappings)
	slices.Reverse(check.Mappings)
	mapped, err := check.Prepare(raw)
	if err != nil || mapped == "" {
		return raw
	}
	prepared, err := stringprep.Profile{Normalize: true}.Prepare(mapped)
	if err != nil {
		return raw
	}
	return prepared
}
