package probe

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// A question is one of the files' first names.
type question string

const (
	askPrivileges    question = "privileges"
	askPulse         question = "pulse"
	askActivity      question = "activity"
	askSparse        question = "activity_sparse"
	askIdentity      question = "identity"
	askIdentityPlain question = "identity_plain"
	askDatabases     question = "databases"
	askInventory     question = "inventory"
	askLocations     question = "locations"
	askSize          question = "size"
	askQueryText     question = "query_text"
	askStatementText question = "statement_text"
	askCrowd         question = "crowd"
	askBlockers      question = "blockers"
	askLockWaits     question = "lock_waits"
	askSessions      question = "blocker_sessions"
	askPrepared      question = "prepared"
	askRelations     question = "relations"
	askRoles         question = "roles"
	askDatabaseNames question = "database_names"
)

// statementFor picks the SQL of a question for a server version: the file
// with the highest minimum version that is not above it. ok is false where
// the question cannot be asked of that version.
func statementFor(q question, version int32) (sql string, ok bool) {
	best := int64(-1)
	entries, _ := sqlFiles.ReadDir("sql") // embedded: cannot fail
	for _, e := range entries {
		name, rest, _ := strings.Cut(e.Name(), ".")
		minimum, err := strconv.ParseInt(strings.TrimSuffix(rest, ".sql"), 10, 32)
		if err != nil || name != string(q) || minimum > int64(version) {
			continue
		}
		best = max(best, minimum)
	}
	if best < 0 {
		return "", false
	}
	text, err := sqlFiles.ReadFile(fmt.Sprintf("sql/%s.%d.sql", q, best))
	return strings.TrimSpace(string(text)), err == nil
}

// Questions lists the SQL files, for tests that try each on real servers.
func Questions() []string {
	entries, _ := sqlFiles.ReadDir("sql") // embedded: cannot fail
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}
