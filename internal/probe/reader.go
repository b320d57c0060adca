package probe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statement"
	"github.com/pgam/pgam/internal/target"
)

// errShape says that an answer does not look like its question.
var errShape = errors.New("unexpected columns in the answer")

// maxTexts bounds how many texts are fetched in one visit outside of a burst.
const maxTexts = 25

// namesPause is how long names are not asked for after a lock was in the way.
const namesPause = 10 * time.Second

// The lengths of texts that are asked for: one byte more than is kept outside of
// a burst, so that what was cut is known to be; and as long as PostgreSQL keeps
// them. A visit asks for no more than maxTextBytes of them; the others come with
// the next ones.
const (
	shortText    = sample.MaxText + 1
	longText     = 1 << 20
	maxTextBytes = 8 << 20
)

// maxSessions is the limit in the SQL of the activity question.
const maxSessions = 5000

// reader reads the answers of one visit.
type reader struct {
	begun     time.Time // by the monotonic clock
	conn      *Conn
	dict      *sample.Dictionary
	visit     *sample.Visit
	day       int32
	backends  int32
	truncated bool
	ask       sample.Ask
	first     time.Duration  // that the first batch took
	shown     int64          // newest query_start, as the server sends it
	wantText  []uint32       // pids whose statement's text is new
	lacking   map[int32]int  // pids of statements that are not told apart without their text, and their places
	textBytes int            // of texts that were asked for
	wanted    map[int32]bool // those statements
	unnamed   bool           // names of sessions could not be read
	locks     locking
	crowd     []crowd
	key       []byte
	found     found
}

// found holds answers until they are known to be whole.
type found struct {
	identity  *sample.Identity
	databases []sample.DatabaseStat
	inventory *sample.Inventory
	locations []sample.Location
	loaded    time.Time
	settings  *sample.Settings
	horizon   []sample.Horizon
}

func (r *reader) pulse(rr *answer) error {
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 4 {
			return errShape
		}
		r.conn.clock.learn(timeAt(v[3]), r.visit.Tick.Started, time.Since(r.begun))
		r.backends = int32At(v[0])
		r.visit.Tick.Backends = int32At(v[1])
		r.visit.Tick.NextXID = int64At(v[2])
	}
	return nil
}

// The columns of the activity questions.
const (
	colPID = iota
	colDatabase
	colUser
	colLeader
	colBackendStart
	colClientAddr
	colBackendType
	colApplication
	colState
	colWaitType
	colWait
	colXactStart
	colQueryStart
	colStateChange
	colXmin
	colQueryID
	colQuery
	numActivityCols
)

func (r *reader) activity(rr *answer) error {
	c, t := r.conn, r.visit.Tick
	if c.pids == nil {
		c.pids = make(pidSet)
	}
	clear(c.pids)
	newest := int64(math.MinInt64)
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != numActivityCols {
			return errShape
		}
		pid := int32At(v[colPID])
		s := sample.Session{
			QueryStart:  c.clock.at(v[colQueryStart]),
			XactStart:   c.clock.at(v[colXactStart]),
			StateChange: c.clock.at(v[colStateChange]),
			Xmin:        uint32At(v[colXmin]),
			Blocker:     sample.Unset,
		}
		if at := v[colQueryStart]; len(at) == 8 {
			newest = max(newest, int64At(at))
		}
		s.Session = r.session(pid, v)
		s.Wait, s.Class = r.wait(v)
		s.Query = r.query(pid, s, v)
		if string(v[colWaitType]) == "Lock" {
			r.locks.waiters = append(r.locks.waiters, waiter{pid: pid, at: len(t.Sessions)})
		}
		if string(v[colState]) == "active" && s.Class.Load() {
			r.visit.Load.Active++
		}
		c.pids[pid] = s.Session
		t.Sessions = append(t.Sessions, s)
	}
	if newest > math.MinInt64 {
		r.shown = newest
	}
	r.truncated = len(t.Sessions) >= maxSessions
	if len(c.statings) > 4*maxSessions {
		clear(c.statings)
	}
	return nil
}

// wait gives what a session waits for.
func (r *reader) wait(v [][]byte) (int16, sample.WaitClass) {
	waitType := v[colWaitType]
	if len(waitType) == 0 {
		waitType = []byte(sample.WaitTypeOf(r.conn.version, string(v[colBackendType]), string(v[colState]), ""))
	}
	return r.dict.Wait(short(v[colState]), short(waitType), short(v[colWait]))
}

func (r *reader) session(pid int32, v [][]byte) int32 {
	k := r.key[:0]
	for _, col := range v[:colApplication] {
		col = short(col)
		k = append(append(k, byte(len(col))), col...)
	}
	k = append(k, short(v[colApplication])...)
	r.key = k
	return r.dict.Session(k, r.day, func(e *sample.SessionEntry) {
		e.PID = pid
		e.BackendStart = microsAt(v[colBackendStart])
		e.DatabaseOID, e.UserOID = uint32At(v[colDatabase]), uint32At(v[colUser])
		e.LeaderPID = int32At(v[colLeader])
		e.Database, e.User = r.conn.names.database(e.DatabaseOID), r.conn.names.role(e.UserOID)
		e.Application = statement.Label(cleanName(v[colApplication]))
		e.ClientAddr = addrAt(v[colClientAddr])
		e.BackendType = cleanName(v[colBackendType])
	})
}

// query gives the statement's dictionary id: by the server's query_id or,
// where it has none, by the fingerprint of the text.
func (r *reader) query(pid int32, s sample.Session, v [][]byte) int32 {
	if id := v[colQueryID]; id != nil && int64At(id) != 0 {
		ref, wants := r.dict.Query(int64At(id), false, r.day)
		if wants && !r.wanted[ref] && (len(r.wantText) < maxTexts || r.ask.Full) {
			r.want(ref)
			r.wantText = append(r.wantText, uint32(pid))
		}
		return ref
	}
	text := v[colQuery]
	before, known := r.conn.statings[s.Session]
	known = known && before.start == s.QueryStart && before.start != 0
	if !known {
		if text == nil && s.QueryStart != 0 {
			// It began before what was seen last and was not seen: a parallel worker,
			// or a session that the last answer left out.
			r.lack(pid)
			return 0
		}
		before = r.state(s, text)
	}
	if before.queryID == 0 {
		return 0
	}
	ref, wants := r.dict.Query(before.queryID, true, r.day)
	switch {
	case !wants:
	case text != nil && !r.ask.Full, len(text) > 0 && len(text) < shortText:
		r.keepText(before.queryID, true, text)
	case !r.wanted[ref] && (len(r.lacking) < maxTexts || r.ask.Full):
		r.want(ref)
		r.lack(pid)
	}
	return ref
}

// state remembers what a session's statement is, by the fingerprint of as much
// of it as is kept outside of a burst; 0 for none.
func (r *reader) state(s sample.Session, text []byte) stating {
	now := stating{start: s.QueryStart}
	if text = text[:min(len(text), shortText)]; len(text) > 0 {
		// The text is only read, and only until the next row.
		view := unsafe.String(&text[0], len(text)) //nolint:gosec // see above
		now.queryID = int64(statement.Fingerprint(view))
	}
	r.conn.statings[s.Session] = now
	return now
}

// lack has a session's text asked for.
func (r *reader) lack(pid int32) {
	if r.lacking == nil {
		r.lacking = make(map[int32]int)
	}
	r.lacking[pid] = len(r.visit.Tick.Sessions)
}

func (r *reader) want(ref int32) {
	if r.wanted == nil {
		r.wanted = make(map[int32]bool)
	}
	r.wanted[ref] = true
}

// statementText tells statements apart that could not be without their text.
func (r *reader) statementText(rr *answer) error {
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 3 {
			return errShape
		}
		at, ok := r.lacking[int32At(v[0])]
		if !ok || at >= len(r.visit.Tick.Sessions) {
			continue
		}
		s := &r.visit.Tick.Sessions[at]
		if s.QueryStart != r.conn.clock.at(v[1]) {
			continue // the next visit is shown what it runs now
		}
		now := r.state(*s, v[2])
		if now.queryID == 0 {
			continue
		}
		ref, wants := r.dict.Query(now.queryID, true, r.day)
		s.Query = ref
		if wants {
			r.keepText(now.queryID, true, v[2])
		}
	}
	return nil
}

// keepText gives the dictionary a text, cut as it is asked for.
func (r *reader) keepText(queryID int64, own bool, shown []byte) {
	if r.textBytes += len(shown); r.textBytes > maxTextBytes {
		return
	}
	shown = shown[:min(len(shown), r.textLength())]
	if len(shown) == shortText {
		r.dict.QueryPart(queryID, own, r.text(shown))
		return
	}
	r.dict.QueryText(queryID, own, r.text(shown))
}

// textLength is how long the texts are that are asked for.
func (r *reader) textLength() int {
	if r.ask.Full {
		return longText
	}
	return shortText
}

// text gives a statement's text as it is kept.
func (r *reader) text(shown []byte) string {
	text := cleanText(shown)
	if r.ask.Texts == target.TextsFull {
		return text
	}
	return statement.Normalize(text)
}

func (r *reader) identity(rr *answer) error {
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 8 {
			return errShape
		}
		r.found.loaded = timeAt(v[7])
		r.found.identity = &sample.Identity{
			At: r.visit.Tick.Started, VersionNum: int32At(v[0]), Version: cleanName(v[1]), SystemIdentifier: int64At(v[2]),
			TimelineID: int32At(v[3]), PostmasterStart: timeAt(v[4]), InRecovery: boolAt(v[5]),
		}
		if v[6] != nil {
			r.found.identity.CheckpointerStart = timeAt(v[6])
		}
	}
	return nil
}

func (r *reader) databases(rr *answer) error {
	const lead = 4
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != lead+int(sample.NumCounters)+int(sample.NumTimers) {
			return errShape
		}
		d := sample.DatabaseStat{
			At: r.visit.Tick.Started, OID: uint32At(v[0]),
			Backends:   sample.Int{V: int64At(v[1]), Known: v[1] != nil},
			StatsReset: microsAt(v[2]), ChecksumLastFailure: microsAt(v[3]),
		}
		for i := range d.Counters {
			col := v[lead+i]
			d.Counters[i] = sample.Int{V: int64At(col), Known: col != nil}
		}
		for i := range d.Timers {
			col := v[lead+int(sample.NumCounters)+i]
			d.Timers[i] = sample.Float{V: float64At(col), Known: col != nil}
		}
		r.found.databases = append(r.found.databases, d)
	}
	return nil
}

func (r *reader) inventory(rr *answer) error {
	inv := &sample.Inventory{At: r.visit.Tick.Started}
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 5 {
			return errShape
		}
		d := sample.Database{
			OID: uint32At(v[0]), Name: cleanName(v[1]), IsTemplate: boolAt(v[2]), AllowConnect: boolAt(v[3]), Encoding: cleanName(v[4]),
		}
		learnName(r.conn.names.databases, d.OID, d.Name)
		inv.Databases = append(inv.Databases, d)
	}
	r.found.inventory = inv
	return nil
}

// resolve asks, where something is new or somebody waits for a lock, what the
// answers referred to. Catalogs come last: a lock in the way of them costs
// nothing else.
func (r *reader) resolve(ctx context.Context) error {
	const rounds = 3
	for round := range rounds {
		var steps []step
		waits := false
		switch round {
		case 0:
			steps = r.lockSteps()
			waits = len(steps) > 0
			steps = r.texts(r.texts(steps, askQueryText, r.wantText, r.queryText), askStatementText, r.lackingPIDs(), r.statementText)
			if from := r.ask.CrowdFrom; from > 0 && r.visit.Tick.Backends >= from {
				steps = append(steps, step{q: askCrowd, read: r.readCrowd})
			}
		case 1:
			steps = r.blockerSteps()
		}
		var err error
		if waits {
			err = r.runLocks(ctx, steps)
		} else {
			err = r.runNamed(ctx, steps)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ints adds a question about some oids or pids, if there are any.
func (r *reader) ints(steps []step, q question, element uint32, values []uint32, read func(*answer) error) []step {
	if len(values) == 0 {
		return steps
	}
	return append(steps, step{q: q, params: [][]byte{arrayBytes(element, values)}, read: read})
}

// texts is ints for a question about texts.
func (r *reader) texts(steps []step, q question, pids []uint32, read func(*answer) error) []step {
	n := len(steps)
	steps = r.ints(steps, q, oidInt4, pids, read)
	if len(steps) > n {
		steps[n].params = append(steps[n].params, uint32Bytes(uint32(r.textLength())))
	}
	return steps
}

func (r *reader) lackingPIDs() []uint32 {
	pids := make([]uint32, 0, len(r.lacking))
	for pid := range r.lacking {
		pids = append(pids, uint32(pid))
	}
	return pids
}

// short bounds what stands in keys.
func short(b []byte) []byte { return b[:min(len(b), 127)] }

// runNamed asks the steps and, with them, for the names that are missing by now.
func (r *reader) runNamed(ctx context.Context, steps []step) error {
	c := r.conn
	if !time.Now().Before(c.noNames) {
		roles, databases := c.names.take()
		first := len(steps)
		steps = r.ints(steps, askRoles, oidOID, roles, func(rr *answer) error { return readNames(rr, c.names.roles) })
		steps = r.ints(steps, askDatabaseNames, oidOID, databases, func(rr *answer) error { return readNames(rr, c.names.databases) })
		steps = r.ints(steps, askRelations, oidOID, r.locks.relations(c.database), r.readRelations)
		if len(steps) > first {
			_, err := c.run(ctx, steps)
			r.name()
			if err != nil {
				// What was not found does not exist any more; this may.
				r.unnamed = r.unnamed || len(roles)+len(databases) > 0
				c.noNames = time.Now().Add(namesPause)
			}
			return err
		}
	}
	if len(steps) == 0 {
		return nil
	}
	_, err := c.run(ctx, steps)
	return err
}

// name fills in the names that were read meanwhile.
func (r *reader) name() {
	n := &r.conn.names
	fresh := r.dict.FreshSessions()
	for i := range fresh {
		e := &fresh[i]
		e.Database, e.User = n.databases[e.DatabaseOID], n.roles[e.UserOID]
	}
}

// unresolved gives up on names for now: they are asked for when the sessions
// are seen again.
func (r *reader) unresolved() {
	roles, databases := r.conn.names.take()
	if r.unnamed || len(roles)+len(databases) > 0 {
		r.dict.Reoffer()
	}
}

func readNames(rr *answer, into map[uint32]string) error {
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 2 {
			return errShape
		}
		learnName(into, uint32At(v[0]), cleanName(v[1]))
	}
	return nil
}

func (r *reader) queryText(rr *answer) error {
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 2 {
			return errShape
		}
		r.keepText(int64At(v[0]), false, v[1])
	}
	return nil
}

// Deadline gives how long a visit may take: less than its interval, and never
// more than a few seconds. The server's own limit is shorter still, so that
// the connection outlives a statement that is stopped.
func Deadline(interval time.Duration) (client, server time.Duration) {
	client = min(interval*8/10, maxVisit)
	return client, client * 3 / 4
}

// maxVisit bounds a visit whatever its interval.
const maxVisit = 5 * time.Second

// String describes the connection for logs.
func (c *Conn) String() string { return fmt.Sprintf("%s (version %d)", c.server, c.version) }
