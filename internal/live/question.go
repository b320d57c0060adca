package live

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

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
