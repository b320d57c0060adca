package report

import (
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// names are what the keys of sampletest stand for; sessions and statements whose
// key is divisible by seven are not known.
func names(day time.Time) *sample.Entries {
	e := &sample.Entries{}
	on := sample.Day(day)
	for k := sample.Key(1); k < 50; k++ {
		if k%7 == 0 {
			continue
		}
		e.Sessions = append(e.Sessions, session(k, on))
		e.Queries = append(e.Queries, sample.QueryEntry{Key: k, Day: on, QueryID: 1000 + k, Text: queryText(k)})
	}
	for k := sample.Key(1); k <= 20; k++ {
		n := wait(k)
		n.Day = on
		e.Waits = append(e.Waits, n)
	}
	for k := sample.Key(1); k < 4; k++ {
		n := lock(k)
		n.Day = on
		e.Locks = append(e.Locks, n)
	}
	return e
}

func session(k sample.Key, day int32) sample.SessionEntry {
	n := sample.SessionEntry{
		Key: k, Day: day, PID: int32(100 + k), BackendStart: midnight.UnixMicro() - k*1e6, DatabaseOID: uint32(5 + k%2), UserOID: 10,
		Database: fmt.Sprintf("shop%d", k%2), User: "app", Application: fmt.Sprintf("worker %d", k%3), ClientAddr: "10.0.0.1", BackendType: "client backend",
	}
	if k%5 == 0 { // a prepared transaction
		n.PID, n.BackendType, n.Application, n.ClientAddr, n.Database, n.User = 0, sample.PreparedType, "tx", "", "", ""
	}
	return n
}

func wait(k sample.Key) sample.WaitEntry {
	class := sample.WaitClass(k) % (sample.NumClasses + 1)
	n := sample.WaitEntry{Key: k, Class: class, State: "active", Type: class.String(), Event: fmt.Sprintf("Event%d", k)}
	if class == sample.ClassCPU {
		n.Type, n.Event = sample.CPU, ""
	}
	return n
}

func waitLabel(k sample.Key) string {
	n := wait(k)
	if n.Event == "" {
		return n.State + " " + n.Type
	}
	return n.State + " " + n.Type + ":" + n.Event
}

// queryText is empty for statements that have a number only.
func queryText(k sample.Key) string {
	if k%3 == 0 {
		return ""
	}
	return fmt.Sprintf("select %d", k)
}

func lock(k sample.Key) sample.LockEntry {
	n := sample.LockEntry{Key: k, Type: "transactionid", Mode: "ShareLock"}
	if k == 1 {
		n = sample.LockEntry{Key: k, Type: "relation", Mode: "AccessExclusiveLock", DatabaseOID: 5, RelationOID: 77, Relation: "public.t"}
	}
	return n
}

// label gives what a session is counted under.
func label(k sample.Key, dimension string) string {
	n := sample.SessionEntry{}
	if k%7 != 0 {
		n = session(k, 0)
	}
	s := map[string]string{
		"database": n.Database, "user": n.User, "application": n.Application, "client": n.ClientAddr, "backend_type": n.BackendType,
	}[dimension]
	if s == "" {
		return none
	}
	return s
}

const none = "(none)"

func queryLabel(k sample.Key) string {
	switch {
	case k%7 == 0: // none, too
		return none
	case queryText(k) == "":
		return fmt.Sprint(1000 + k)
	}
	return queryText(k)
}
