package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// errGarbled says that a record cannot be read back.
var errGarbled = errors.New("journal record is garbled")

// codecVersion is the first byte of every encoded visit. Older versions are
// read too, because the journal of the program before must drain: 1 had no
// disks, no Held and no BackendSeconds, 2 no edges, locks, events, settings and
// horizons.
const (
	codecVersion = 3
	// The last versions without some part.
	codecWithoutHeld  = 1
	codecWithoutEdges = 2
)

// The parts of a visit that may follow, by bit.
const (
	hasTick = 1 << iota
	hasEntries
	hasIdentity
	hasDatabases
	hasInventory
	hasSizes
	hasDisks
	hasEvents
	hasSettings
	hasHorizon
)

type encoder struct{ b []byte }

func (e *encoder) int(v int64)     { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) uint(v uint64)   { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) count(n int)     { e.uint(uint64(n)) }
func (e *encoder) str(s string)    { e.count(len(s)); e.b = append(e.b, s...) }
func (e *encoder) float(f float64) { e.b = binary.BigEndian.AppendUint64(e.b, math.Float64bits(f)) }

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

// time has microseconds, as PostgreSQL does; the zero time is kept.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(math.MinInt64)
		return
	}
	e.int(t.UnixMicro())
}

// encodeVisit appends v to b: all but what is of no use later, where data are
// and what could not be looked at.
func encodeVisit(b []byte, v *sample.Visit) []byte {
	e := encoder{append(b, codecVersion)}
	e.int(int64(v.Server))
	var parts uint64
	for bit, there := range map[uint64]bool{
		hasTick: v.Tick != nil, hasEntries: !v.Entries.Empty(), hasIdentity: v.Identity != nil,
		hasDatabases: len(v.Databases) > 0, hasInventory: v.Inventory != nil, hasSizes: len(v.Sizes) > 0,
		hasDisks: v.Disks != nil, hasEvents: len(v.Events) > 0, hasSettings: v.Settings != nil, hasHorizon: len(v.Horizon) > 0,
	} {
		if there {
			parts |= bit
		}
	}
	e.uint(parts)
	if parts&hasTick != 0 {
		e.tick(v.Tick)
	}
	if parts&hasEntries != 0 {
		e.entries(&v.Entries)
	}
	if parts&hasIdentity != 0 {
		e.identity(v.Identity)
	}
	if parts&hasDatabases != 0 {
		e.count(len(v.Databases))
		for i := range v.Databases {
			e.database(&v.Databases[i])
		}
	}
	if parts&hasInventory != 0 {
		e.inventory(v.Inventory)
	}
	if parts&hasSizes != 0 {
		e.count(len(v.Sizes))
		for _, s := range v.Sizes {
			e.time(s.At)
			e.uint(uint64(s.OID))
			e.known(s.Bytes)
			e.int(int64(s.Duration))
			e.int(int64(s.Reason))
		}
	}
	if parts&hasDisks != 0 {
		e.disks(v.Disks)
	}
	e.news(v, parts)
	return e.b
}

func (e *encoder) tick(t *sample.Tick) {
	e.time(t.Window)
	e.int(int64(t.Span))
	e.int(int64(t.Cadence))
	e.int(int64(t.Planned.Sub(t.Window)))
	e.int(int64(t.Started.Sub(t.Window)))
	e.int(int64(t.Outcome))
	e.int(int64(t.Reason))
	e.int(int64(t.Duration))
	e.int(int64(t.Backends))
	e.int(t.NextXID)
	e.count(len(t.Sessions))
	w := t.Window.UnixMicro()
	for i := range t.Sessions {
		s := &t.Sessions[i]
		e.int(int64(s.Session))
		e.int(int64(s.Wait))
		e.b = append(e.b, byte(s.Class))
		e.int(int64(s.Query))
		// Near the window, and near each other: small numbers.
		e.instant(s.QueryStart, w)
		e.instant(s.XactStart, s.QueryStart)
		e.instant(s.StateChange, s.QueryStart)
		e.uint(uint64(s.Xmin))
		e.int(int64(s.Blocker) - int64(sample.Unset))
	}
	e.bool(t.Burst)
	e.count(len(t.Edges))
	for _, g := range t.Edges {
		e.int(int64(g.Blocked))
		e.int(int64(g.Blocker))
		e.int(int64(g.Lock))
	}
}

// instant encodes v against base; 0 is unknown.
func (e *encoder) instant(v, base int64) {
	if v == 0 {
		e.b = append(e.b, 0)
		return
	}
	e.b = append(e.b, 1)
	e.int(v - base)
}

func (e *encoder) entries(n *sample.Entries) {
	e.count(len(n.Sessions))
	for _, s := range n.Sessions {
		for _, v := range []int64{
			int64(s.ID), int64(s.Day), int64(s.PID), s.BackendStart, int64(s.DatabaseOID), int64(s.UserOID), int64(s.LeaderPID),
		} {
			e.int(v)
		}
		for _, v := range []string{s.Database, s.User, s.Application, s.ClientAddr, s.BackendType} {
			e.str(v)
		}
	}
	e.count(len(n.Waits))
	for _, w := range n.Waits {
		e.int(int64(w.ID))
		e.str(w.State)
		e.str(w.Type)
		e.str(w.Event)
	}
	e.count(len(n.Queries))
	for _, q := range n.Queries {
		e.int(int64(q.ID))
		e.int(int64(q.Day))
		e.int(q.QueryID)
		e.bool(q.Own)
		e.str(q.Text)
		e.bool(q.Full)
	}
	e.count(len(n.Locks))
	for _, l := range n.Locks {
		e.int(int64(l.ID))
		e.int(int64(l.Day))
		e.str(l.Type)
		e.str(l.Mode)
		e.uint(uint64(l.DatabaseOID))
		e.uint(uint64(l.RelationOID))
		e.str(l.Relation)
	}
}

func (e *encoder) identity(i *sample.Identity) {
	e.time(i.At)
	e.int(int64(i.VersionNum))
	e.str(i.Version)
	e.int(i.SystemIdentifier)
	e.int(int64(i.TimelineID))
	e.time(i.PostmasterStart)
	e.bool(i.InRecovery)
	e.time(i.CheckpointerStart)
}

func (e *encoder) known(v sample.Int) {
	e.bool(v.Known)
	if v.Known {
		e.int(v.V)
	}
}

func (e *encoder) knownFloat(v sample.Float) {
	e.bool(v.Known)
	if v.Known {
		e.float(v.V)
	}
}

func (e *encoder) database(d *sample.DatabaseStat) {
	e.time(d.At)
	e.uint(uint64(d.OID))
	e.known(d.Backends)
	e.int(d.StatsReset)
	e.int(d.ChecksumLastFailure)
	e.time(d.Epoch)
	e.int(int64(d.Interval))
	for i := range d.Counters {
		e.known(d.Counters[i])
		e.known(d.CounterDeltas[i])
	}
	for i := range d.Timers {
		e.knownFloat(d.Timers[i])
		e.knownFloat(d.TimerDeltas[i])
	}
	e.int(int64(d.Held))
	e.float(d.BackendSeconds)
}

func (e *encoder) disks(d *sample.Disks) {
	e.time(d.At)
	e.str(string(d.Source))
	e.int(int64(d.Duration))
	e.count(len(d.FileSystems))
	for i := range d.FileSystems {
		f := &d.FileSystems[i]
		e.str(f.MountPoint)
		e.str(f.Device)
		e.count(len(f.Uses))
		for _, u := range f.Uses {
			e.str(u)
		}
		e.known(f.Total)
		e.known(f.Free)
		e.known(f.Inodes)
		e.known(f.InodesFree)
	}
}

func (e *encoder) inventory(inv *sample.Inventory) {
	e.time(inv.At)
	e.time(inv.Since)
	e.count(len(inv.Databases))
	for _, d := range inv.Databases {
		e.uint(uint64(d.OID))
		e.str(d.Name)
		e.bool(d.IsTemplate)
		e.bool(d.AllowConnect)
		e.str(d.Encoding)
	}
}

// decoder reads what encoder wrote; after the first fault it gives zeros.
type decoder struct {
	b       []byte
	bad     bool
	version byte
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads the number of items that follow, each at least size bytes.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail()
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) str() string { return string(d.bytes(d.count(1))) }

func (d *decoder) byte() byte {
	b := d.bytes(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (d *decoder) bool() bool { return d.byte() == 1 }

func (d *decoder) float() float64 {
	b := d.bytes(8)
	if len(b) == 0 {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

func (d *decoder) time() time.Time {
	v := d.int()
	if v == math.MinInt64 {
		return time.Time{}
	}
	return time.UnixMicro(v).UTC()
}

func (d *decoder) int32() int32            { return int32(d.int()) }
func (d *decoder) int16() int16            { return int16(d.int()) }
func (d *decoder) uint32() uint32          { return uint32(d.uint()) }
func (d *decoder) duration() time.Duration { return time.Duration(d.int()) }

// minDatabase is the least that an encoded DatabaseStat takes in any version.
const minDatabase = 7 + 2*int(sample.NumCounters) + 2*int(sample.NumTimers)

// decodeVisit reads one visit.
func decodeVisit(b []byte) (sample.Visit, error) {
	d := decoder{b: b}
	if d.version = d.byte(); d.version < codecWithoutHeld || d.version > codecVersion {
		return sample.Visit{}, fmt.Errorf("%w: version %d", errGarbled, d.version)
	}
	v := sample.Visit{Server: target.ID(d.int())}
	parts := d.uint()
	if parts&hasTick != 0 {
		v.Tick = d.tick()
	}
	if parts&hasEntries != 0 {
		d.entries(&v.Entries)
	}
	if parts&hasIdentity != 0 {
		v.Identity = &sample.Identity{
			At: d.time(), VersionNum: d.int32(), Version: d.str(), SystemIdentifier: d.int(), TimelineID: d.int32(),
			PostmasterStart: d.time(), InRecovery: d.bool(),
		}
		if d.version > codecWithoutEdges {
			v.Identity.CheckpointerStart = d.time()
		}
	}
	if parts&hasDatabases != 0 {
		v.Databases = make([]sample.DatabaseStat, d.count(minDatabase))
		for i := range v.Databases {
			d.database(&v.Databases[i])
		}
	}
	if parts&hasInventory != 0 {
		v.Inventory = d.inventory()
	}
	if parts&hasSizes != 0 {
		v.Sizes = make([]sample.DatabaseSize, d.count(5))
		for i := range v.Sizes {
			v.Sizes[i] = sample.DatabaseSize{At: d.time(), OID: d.uint32(), Bytes: d.known(), Duration: d.duration(), Reason: sample.Reason(d.int16())}
		}
	}
	if parts&hasDisks != 0 {
		v.Disks = d.disks()
	}
	d.news(&v, parts)
	if d.bad || len(d.b) > 0 {
		return sample.Visit{}, errGarbled
	}
	return v, nil
}

func (d *decoder) tick() *sample.Tick {
	t := &sample.Tick{Window: d.time(), Span: d.duration(), Cadence: d.duration()}
	t.Planned, t.Started = t.Window.Add(d.duration()), t.Window.Add(d.duration())
	t.Outcome, t.Reason = sample.Outcome(d.int16()), sample.Reason(d.int16())
	if t.Outcome < sample.OK || t.Outcome > sample.Skipped {
		d.fail()
	}
	t.Duration, t.Backends, t.NextXID = d.duration(), d.int32(), d.int()
	n := d.count(9)
	w := t.Window.UnixMicro()
	t.Sessions = make([]sample.Session, n)
	for i := range t.Sessions {
		s := &t.Sessions[i]
		s.Session, s.Wait, s.Class, s.Query = d.int32(), d.int16(), sample.WaitClass(d.byte()), d.int32()
		if s.Class > sample.ClassIdle {
			s.Class = sample.ClassOther
		}
		s.QueryStart = d.instant(w)
		s.XactStart = d.instant(s.QueryStart)
		s.StateChange = d.instant(s.QueryStart)
		s.Xmin = d.uint32()
		s.Blocker = int32(d.int() + int64(sample.Unset))
	}
	if d.version > codecWithoutEdges {
		t.Burst = d.bool()
		if n := d.count(3); n > 0 {
			t.Edges = make([]sample.Edge, n)
		}
		for i := range t.Edges {
			t.Edges[i] = sample.Edge{Blocked: d.int32(), Blocker: d.int32(), Lock: d.int32()}
		}
	}
	return t
}

func (d *decoder) instant(base int64) int64 {
	if d.byte() == 0 {
		return 0
	}
	return base + d.int()
}

func (d *decoder) entries(n *sample.Entries) {
	n.Sessions = make([]sample.SessionEntry, d.count(12))
	for i := range n.Sessions {
		n.Sessions[i] = sample.SessionEntry{
			ID: d.int32(), Day: d.int32(), PID: d.int32(), BackendStart: d.int(),
			DatabaseOID: uint32(d.int()), UserOID: uint32(d.int()), LeaderPID: d.int32(),
			Database: d.str(), User: d.str(), Application: d.str(), ClientAddr: d.str(), BackendType: d.str(),
		}
	}
	n.Waits = make([]sample.WaitEntry, d.count(4))
	for i := range n.Waits {
		n.Waits[i] = sample.WaitEntry{ID: d.int16(), State: d.str(), Type: d.str(), Event: d.str()}
	}
	n.Queries = make([]sample.QueryEntry, d.count(5))
	for i := range n.Queries {
		n.Queries[i] = sample.QueryEntry{ID: d.int32(), Day: d.int32(), QueryID: d.int(), Own: d.bool(), Text: d.str()}
		if d.version > codecWithoutEdges {
			n.Queries[i].Full = d.bool()
		}
	}
	if d.version <= codecWithoutEdges {
		return
	}
	if k := d.count(7); k > 0 {
		n.Locks = make([]sample.LockEntry, k)
	}
	for i := range n.Locks {
		n.Locks[i] = sample.LockEntry{
			ID: d.int32(), Day: d.int32(), Type: d.str(), Mode: d.str(), DatabaseOID: d.uint32(), RelationOID: d.uint32(), Relation: d.str(),
		}
	}
}

func (d *decoder) known() sample.Int {
	if !d.bool() {
		return sample.Int{}
	}
	return sample.Int{V: d.int(), Known: true}
}

func (d *decoder) knownFloat() sample.Float {
	if !d.bool() {
		return sample.Float{}
	}
	return sample.Float{V: d.float(), Known: true}
}

func (d *decoder) database(s *sample.DatabaseStat) {
	s.At, s.OID, s.Backends, s.StatsReset, s.ChecksumLastFailure = d.time(), d.uint32(), d.known(), d.int(), d.int()
	s.Epoch, s.Interval = d.time(), d.duration()
	for i := range s.Counters {
		s.Counters[i], s.CounterDeltas[i] = d.known(), d.known()
	}
	for i := range s.Timers {
		s.Timers[i], s.TimerDeltas[i] = d.knownFloat(), d.knownFloat()
	}
	if d.version > codecWithoutHeld {
		s.Held, s.BackendSeconds = d.duration(), d.float()
	}
}

func (d *decoder) disks() *sample.Disks {
	v := &sample.Disks{At: d.time(), Source: target.DiskSource(d.str()), Duration: d.duration()}
	v.FileSystems = make([]sample.FileSystem, d.count(7))
	for i := range v.FileSystems {
		f := &v.FileSystems[i]
		f.MountPoint, f.Device = d.str(), d.str()
		f.Uses = make([]string, d.count(1))
		for k := range f.Uses {
			f.Uses[k] = d.str()
		}
		f.Total, f.Free, f.Inodes, f.InodesFree = d.known(), d.known(), d.known(), d.known()
	}
	return v
}

func (d *decoder) inventory() *sample.Inventory {
	inv := &sample.Inventory{At: d.time(), Since: d.time()}
	inv.Databases = make([]sample.Database, d.count(5))
	for i := range inv.Databases {
		inv.Databases[i] = sample.Database{OID: d.uint32(), Name: d.str(), IsTemplate: d.bool(), AllowConnect: d.bool(), Encoding: d.str()}
	}
	return inv
}
