package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// format is that of records. It grows with every change of what is written: of the
// types in this file, and of those of package sample that they hold as they are.
// TestFormat fails where that was forgotten.
const format byte = 5

// errGarbled says that a record cannot be read back.
var errGarbled = errors.New("journal record is garbled")

// visit is a sample.Visit in a record: all but what is of no use later.
type visit struct {
	Server    target.ID             `cbor:"0,keyasint"`
	Tick      *tick                 `cbor:"1,keyasint,omitempty"`
	Sessions  []sessionEntry        `cbor:"2,keyasint,omitempty"`
	Waits     []sample.WaitEntry    `cbor:"3,keyasint,omitempty"`
	Queries   []queryEntry          `cbor:"4,keyasint,omitempty"`
	Locks     []sample.LockEntry    `cbor:"5,keyasint,omitempty"`
	Identity  *sample.Identity      `cbor:"6,keyasint,omitempty"`
	Databases []database            `cbor:"7,keyasint,omitempty"`
	Inventory *sample.Inventory     `cbor:"8,keyasint,omitempty"`
	Sizes     []sample.DatabaseSize `cbor:"9,keyasint,omitempty"`
	Disks     *sample.Disks         `cbor:"10,keyasint,omitempty"`
	Events    []sample.Event        `cbor:"11,keyasint,omitempty"`
	Settings  *sample.Settings      `cbor:"12,keyasint,omitempty"`
	Horizon   []sample.Horizon      `cbor:"13,keyasint,omitempty"`
	Look      *sample.Look          `cbor:"14,keyasint,omitempty"`
}

// sessionEntry and queryEntry are many where clients come and go: their fields
// have numbers. They convert as long as they have the same fields.
type sessionEntry struct {
	Key          sample.Key `cbor:"0,keyasint"`
	Day          int32      `cbor:"1,keyasint"`
	PID          int32      `cbor:"2,keyasint"`
	BackendStart int64      `cbor:"3,keyasint"`
	DatabaseOID  uint32     `cbor:"4,keyasint,omitempty"`
	UserOID      uint32     `cbor:"5,keyasint,omitempty"`
	LeaderPID    int32      `cbor:"6,keyasint,omitempty"`
	Database     string     `cbor:"7,keyasint,omitempty"`
	User         string     `cbor:"8,keyasint,omitempty"`
	Application  string     `cbor:"9,keyasint,omitempty"`
	ClientAddr   string     `cbor:"10,keyasint,omitempty"`
	BackendType  string     `cbor:"11,keyasint,omitempty"`
}

type queryEntry struct {
	Key     sample.Key `cbor:"0,keyasint"`
	Day     int32      `cbor:"1,keyasint"`
	QueryID int64      `cbor:"2,keyasint"`
	Own     bool       `cbor:"3,keyasint,omitempty"`
	Text    string     `cbor:"4,keyasint,omitempty"`
	Full    bool       `cbor:"5,keyasint,omitempty"`
}

// tick is a sample.Tick. What there is thousands of a second, its sessions, is
// packed: an array of CBOR takes four times as long to read.
type tick struct {
	_        struct{} `cbor:",toarray"`
	Planned  int64    // microseconds since the Unix epoch
	Delay    int64    // microseconds from then to the start
	Cadence  time.Duration
	Outcome  sample.Outcome
	Reason   sample.Reason
	Duration time.Duration
	Backends int32
	NextXID  int64
	Burst    bool
	Waits    []wait // what its sessions do
	Sessions []byte
	Edges    []byte
}

// wait is what a session does.
type wait struct {
	_     struct{} `cbor:",toarray"`
	Key   sample.Key
	Class sample.WaitClass
}

// What is known of a session.
const (
	hasQuery = 1 << iota
	hasQueryStart
	hasXactStart
	hasStateChange
	hasXmin
	hasBlocker
	isBlocked
)

func bit(there bool, b byte) byte {
	if there {
		return b
	}
	return 0
}

func appendKey(b []byte, k sample.Key) []byte { return binary.LittleEndian.AppendUint64(b, uint64(k)) }

// encoder has the memory that visits are packed in, so that a busy fleet leaves
// little to collect. It is for one goroutine at a time.
type encoder struct {
	buf             bytes.Buffer
	waits           []wait
	sessions, edges []byte
}

// pack adds sessions: instants against each other and against planned, of which
// most are near.
func (e *encoder) pack(t *tick, sessions []sample.Session) {
	b := e.sessions[:0]
	e.waits = e.waits[:0]
	for i := range sessions {
		s := &sessions[i]
		b = append(b, bit(s.Query != 0, hasQuery)|bit(s.QueryStart != 0, hasQueryStart)|bit(s.XactStart != 0, hasXactStart)|
			bit(s.StateChange != 0, hasStateChange)|bit(s.Xmin != 0, hasXmin)|bit(s.Blocker != 0, hasBlocker)|bit(s.Blocked, isBlocked))
		b = appendKey(b, s.Session)
		b = binary.AppendUvarint(b, e.wait(s.Wait, s.Class))
		if s.Query != 0 {
			b = appendKey(b, s.Query)
		}
		base := t.Planned
		for _, at := range [...]int64{s.QueryStart, s.XactStart, s.StateChange} {
			if at != 0 {
				b, base = binary.AppendVarint(b, at-base), at
			}
		}
		if s.Xmin != 0 {
			b = binary.AppendVarint(b, int64(s.Xmin)-t.NextXID)
		}
		if s.Blocker != 0 {
			b = appendKey(b, s.Blocker)
		}
	}
	e.sessions = b
	t.Waits, t.Sessions = e.waits, b
}

// wait gives the number of a wait, which is listed if it is new.
func (e *encoder) wait(k sample.Key, class sample.WaitClass) uint64 {
	for i := range e.waits {
		if w := &e.waits[i]; w.Key == k && w.Class == class {
			return uint64(i)
		}
	}
	e.waits = append(e.waits, wait{Key: k, Class: class})
	return uint64(len(e.waits) - 1)
}

// leastSession is less than a session takes.
const leastSession = 10

// unpack reads what pack wrote.
func (t *tick) unpack() (sessions []sample.Session, err error) {
	p := packed{b: t.Sessions}
	sessions = make([]sample.Session, 0, len(p.b)/(2*leastSession))
	for len(p.b) > 0 {
		has := p.byte()
		s := sample.Session{Session: p.key(), Blocked: has&isBlocked != 0}
		n := p.uvarint()
		if p.bad || n >= uint64(len(t.Waits)) {
			return nil, errGarbled
		}
		s.Wait, s.Class = t.Waits[n].Key, t.Waits[n].Class
		if has&hasQuery != 0 {
			s.Query = p.key()
		}
		base := t.Planned
		for i, at := range [...]*int64{&s.QueryStart, &s.XactStart, &s.StateChange} {
			if has&(hasQueryStart<<i) != 0 {
				base += p.varint()
				*at = base
			}
		}
		if has&hasXmin != 0 {
			s.Xmin = uint32(t.NextXID + p.varint())
		}
		if has&hasBlocker != 0 {
			s.Blocker = p.key()
		}
		sessions = append(sessions, s)
	}
	if p.bad {
		return nil, errGarbled
	}
	return sessions, nil
}

// packed reads packed numbers; after the first fault it gives zeros.
type packed struct {
	b   []byte
	bad bool
}

func (p *packed) take(n int) []byte {
	if n <= 0 || n > len(p.b) {
		p.bad, p.b = true, nil
		return make([]byte, 8)
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *packed) byte() byte      { return p.take(1)[0] }
func (p *packed) key() sample.Key { return sample.Key(binary.LittleEndian.Uint64(p.take(8))) }

func (p *packed) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	p.take(n)
	return v
}

func (p *packed) varint() int64 {
	v, n := binary.Varint(p.b)
	p.take(n)
	return v
}

// each converts a list.
func each[A, B any](list []A, convert func(A) B) []B {
	if list == nil {
		return nil
	}
	out := make([]B, len(list))
	for i := range list {
		out[i] = convert(list[i])
	}
	return out
}

// coding writes instants with all that they have and text as it is, which need not
// be UTF-8: what is written must be readable, however long.
func coding() (cbor.UserBufferEncMode, cbor.DecMode) {
	enc, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano, Sort: cbor.SortNone}.UserBufferEncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	const most = 1<<31 - 1
	dec, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: most, MaxMapPairs: most}.DecMode()
	if err != nil {
		panic(err) // as above
	}
	return enc, dec
}

var encoding, decoding = coding()

// visit gives a visit as it is in a record, until the next call.
func (e *encoder) visit(v *sample.Visit) ([]byte, error) {
	w := visit{
		Server: v.Server, Waits: v.Entries.Waits, Locks: v.Entries.Locks, Identity: v.Identity, Inventory: v.Inventory, Sizes: v.Sizes,
		Disks: v.Disks, Events: v.Events, Settings: v.Settings, Horizon: v.Horizon, Look: v.Look,
		Sessions:  each(v.Entries.Sessions, func(e sample.SessionEntry) sessionEntry { return sessionEntry(e) }),
		Queries:   each(v.Entries.Queries, func(e sample.QueryEntry) queryEntry { return queryEntry(e) }),
		Databases: each(v.Databases, packDatabase),
	}
	if t := v.Tick; t != nil {
		w.Tick = &tick{
			Planned: t.Planned.UnixMicro(), Delay: t.Started.Sub(t.Planned).Microseconds(), Cadence: t.Cadence, Outcome: t.Outcome, Reason: t.Reason,
			Duration: t.Duration, Backends: t.Backends, NextXID: t.NextXID, Burst: t.Burst,
		}
		e.pack(w.Tick, t.Sessions)
		e.edges = e.edges[:0]
		for _, edge := range t.Edges {
			e.edges = appendKey(appendKey(appendKey(e.edges, edge.Blocked), edge.Blocker), edge.Lock)
		}
		w.Tick.Edges = e.edges
	}
	e.buf.Reset()
	err := encoding.MarshalToBuffer(&w, &e.buf)
	return e.buf.Bytes(), err
}

// decodeVisit reads the first of visits, and gives what follows it.
func decodeVisit(b []byte) (v sample.Visit, rest []byte, err error) {
	var w visit
	if rest, err = decoding.UnmarshalFirst(b, &w); err != nil {
		return v, nil, fmt.Errorf("%w: %w", errGarbled, err)
	}
	v = sample.Visit{
		Server: w.Server, Identity: w.Identity, Inventory: w.Inventory, Sizes: w.Sizes, Disks: w.Disks, Events: w.Events, Settings: w.Settings, Horizon: w.Horizon, Look: w.Look,
		Entries: sample.Entries{
			Sessions: each(w.Sessions, func(e sessionEntry) sample.SessionEntry { return sample.SessionEntry(e) }), Waits: w.Waits,
			Queries: each(w.Queries, func(e queryEntry) sample.QueryEntry { return sample.QueryEntry(e) }), Locks: w.Locks,
		},
		Databases: each(w.Databases, unpackDatabase),
	}
	t := w.Tick
	if t == nil {
		return v, rest, nil
	}
	planned := time.UnixMicro(t.Planned).UTC()
	v.Tick = &sample.Tick{
		Planned: planned, Started: planned.Add(time.Duration(t.Delay) * time.Microsecond), Cadence: t.Cadence, Outcome: t.Outcome, Reason: t.Reason,
		Duration: t.Duration, Backends: t.Backends, NextXID: t.NextXID, Burst: t.Burst,
	}
	if v.Tick.Sessions, err = t.unpack(); err != nil {
		return sample.Visit{}, nil, err
	}
	for p := (packed{b: t.Edges}); len(p.b) > 0; {
		e := sample.Edge{Blocked: p.key(), Blocker: p.key(), Lock: p.key()}
		if p.bad {
			return sample.Visit{}, nil, errGarbled
		}
		v.Tick.Edges = append(v.Tick.Edges, e)
	}
	return v, rest, nil
}

// decodeRecord reads the visits of a record.
func decodeRecord(seq uint64, value []byte) (visits []sample.Visit, err error) {
	if !whole(seq, value) {
		return nil, fmt.Errorf("%w: its check sum differs", errGarbled)
	}
	for rest := value[sumBytes:]; len(rest) > 0; {
		var v sample.Visit
		if v, rest, err = decodeVisit(rest); err != nil {
			return nil, err
		}
		visits = append(visits, v)
	}
	return visits, nil
}

// split calls f with each visit of a record as it is, and whose it is, as far as it
// can be read.
func split(value []byte, f func(server target.ID, visit []byte)) {
	if len(value) < sumBytes {
		return
	}
	for value = value[sumBytes:]; len(value) > 0; {
		var whose struct {
			Server target.ID `cbor:"0,keyasint"`
		}
		rest, err := decoding.UnmarshalFirst(value, &whose)
		if err != nil {
			return
		}
		f(whose.Server, value[:len(value)-len(rest)])
		value = rest
	}
}

func countVisits(value []byte) (n int64) {
	split(value, func(target.ID, []byte) { n++ })
	return n
}
