package live

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// minVersion is the oldest server_version_num that is understood.
const minVersion = 90600

// statementFor picks the SQL of a question for a server version: the file with
// the highest minimum version that is not above it. ok is false where the
// question cannot be asked of that version.
func statementFor(question string, version int32) (sql string, ok bool) {
	best := int64(-1)
	entries, _ := sqlFiles.ReadDir("sql") // embedded: cannot fail
	for _, e := range entries {
		name, rest, _ := strings.Cut(e.Name(), ".")
		minimum, err := strconv.ParseInt(strings.TrimSuffix(rest, ".sql"), 10, 32)
		if err == nil && name == question && minimum <= int64(version) {
			best = max(best, minimum)
		}
	}
	if best < 0 {
		return "", false
	}
	text, err := sqlFiles.ReadFile(fmt.Sprintf("sql/%s.%d.sql", question, best))
	return strings.TrimSpace(string(text)), err == nil
}

// parseVersion turns what a server reports as server_version ("15.4 (Debian
// …)", "9.6.24", "18beta1") into server_version_num; zero if it cannot.
func parseVersion(text string) int32 {
	var parts [3]int32
	n := 0
	for ; n < len(parts); n++ {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		v, err := strconv.ParseInt(text[:digits], 10, 16)
		if err != nil {
			break
		}
		parts[n] = int32(v)
		text = text[digits:]
		if !strings.HasPrefix(text, ".") {
			n++
			break
		}
		text = text[1:]
	}
	switch {
	case n == 0 || parts[1] > 99 || parts[2] > 99:
		return 0
	case parts[0] >= 10:
		return parts[0]*10000 + parts[1]
	}
	return parts[0]*10000 + parts[1]*100 + parts[2]
}
