package statement

import "regexp"

// Label returns a text that clients choose, such as application_name, without
// the passwords that some put into it: what stands after password= and its kin,
// and before the @ of an address, is a question mark. Anything else is kept.
func Label(text string) string {
	if !suspicious.MatchString(text) {
		return text
	}
	text = addressed.ReplaceAllString(text, "$1?@")

	return assigned.ReplaceAllString(text, "$1?")
}

const secretName = `(?i:(?:ssl|pg)?pass(?:word|wd|phrase)|pwd|secret|token|api_?key)` //nolint:gosec // names of secrets, none of them

var (
	suspicious = regexp.MustCompile(secretName + `|://`)
	assigned   = regexp.MustCompile(`(` + secretName + `["']?\s*(?:=|:|\bis\b|\s)\s*)(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[^\s;,&'"]+)`)
	addressed  = regexp.MustCompile(`(://[^/\s:@]*:)[^\s]*@`)
)
