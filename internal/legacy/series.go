package legacy

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/sample"
)

// MountPoint is what the file system is called that the Python version looked
// at: it kept no name of it.
const MountPoint = "data directory (imported)"

const (
	// quietDisk is how long a file system in which nothing changed may go
	// without a stored row, as with pgam's own.
	quietDisk = 5 * time.Minute
	// goneAfter is how much longer than a database a server must have samples
	// for the database to count as dropped.
	goneAfter = time.Hour
)

// Oids are given out downwards from the top to databases whose own is not known:
// PostgreSQL counts up from the bottom.
const lastOID = math.MaxUint32

// earliest is before any sample of the Python version.
const earliest = 946684800 * 1_000_000 // 2000-01-01 in microseconds

// Counts says what became of the rows that were read.
type Counts struct {
	Read int64
	// Rows that were skipped: one with the instant and database of another, not
	// older than pgam's own first sample, without a database, later than now,
	// without anything that can be used.
	Duplicate, Own, NoDatabase, Future, Broken int64
	// Values are single values of other rows that cannot be, such as negative
	// ones, and were left out.
	Values int64
}

// Skipped is how many rows were skipped.
func (c Counts) Skipped() int64 { return c.Duplicate + c.Own + c.NoDatabase + c.Future + c.Broken }

// Series makes pgam's history of one server out of rows. It is for one
// goroutine at a time.
type Series struct {
	layout    Layout
	plan      ingest.ImportPlan
	now, own  int64 // microseconds; rows from them on are skipped
	creations map[string]Creation
	usedOIDs  map[uint32]string // by which name
	databases map[string]*database
	order     []*database
	last      int64 // the last instant with a sample
	disk      ingest.ImportedDisk
	diskKnown bool
	counts    Counts
}

// database is one database so far.
type database struct {
	ingest.ImportedDatabase

	created int64 // microseconds; 0 unknown

	at            int64 // of the newest sample
	gone          int64 // the first instant without it since then; 0 none
	epoch         time.Time
	commits, size sample.Int
}

// NewSeries starts a server's ingest. Rows later than now are not believed.
func NewSeries(layout Layout, plan ingest.ImportPlan, creations []Creation, now time.Time) *Series {
	s := &Series{
		layout: layout, plan: plan, now: now.UnixMicro(), own: math.MaxInt64,
		creations: make(map[string]Creation), usedOIDs: make(map[uint32]string), databases: make(map[string]*database),
	}
	if !plan.OwnFirst.IsZero() {
		s.own = plan.OwnFirst.UnixMicro()
	}
	for _, c := range creations {
		if at := c.CreatedAt; at != nil && (at.UnixMicro() < earliest || at.After(now)) {
			c.CreatedAt = nil
		}
		s.creations[c.Name] = c
	}
	for _, d := range plan.Databases {
		s.usedOIDs[d.OID] = d.Name
	}
	return s
}

// Counts says what became of the rows so far.
func (s *Series) Counts() Counts { return s.counts }

// Until is the instant of the newest sample that was kept; zero for none.
func (s *Series) Until() time.Time {
	if s.last == 0 {
		return time.Time{}
	}
	return time.UnixMicro(s.last).UTC()
}

// Add takes the next rows, in the order of time and all of an instant, and
// gives what they are in pgam's ingest.
func (s *Series) Add(rows []Row) ingest.ImportedChunk {
	chunk := ingest.ImportedChunk{MountPoint: MountPoint}
	known := len(s.order)
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].At == rows[0].At {
			n++
		}
		s.instant(rows[:n], &chunk)
		rows = rows[n:]
	}
	for _, d := range s.order[known:] {
		chunk.Databases = append(chunk.Databases, s.state(d, false))
	}
	return chunk
}

// End gives all databases, as they are after the last row, and those that pgam
// knows already with when they were created.
func (s *Series) End() ingest.ImportedChunk {
	var chunk ingest.ImportedChunk
	for _, d := range s.order {
		chunk.Databases = append(chunk.Databases, s.state(d, true))
	}
	for _, d := range s.plan.Databases {
		if c := s.creations[d.Name]; c.OID == d.OID && c.CreatedAt != nil && s.databases[d.Name] == nil {
			chunk.Databases = append(chunk.Databases, ingest.ImportedDatabase{OID: d.OID, Name: d.Name, CreatedAt: c.CreatedAt})
		}
	}
	return chunk
}

// instant takes the rows of one instant.
func (s *Series) instant(rows []Row, chunk *ingest.ImportedChunk) {
	byID := func(a, b Row) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(rows, byID) {
		slices.SortFunc(rows, byID) // the first one that was written counts
	}
	at, kept := rows[0].At, len(chunk.Stats)
	for i := range rows {
		s.counts.Read++
		if r := &rows[i]; s.usable(r) {
			chunk.Stats = append(chunk.Stats, s.sample(r))
		}
	}
	if len(chunk.Stats) == kept {
		return
	}
	s.last = at
	for _, d := range s.order {
		if d.at < at && d.gone == 0 {
			d.gone = at
		}
	}
	s.diskOf(rows, chunk)
}

// usable counts a row that is skipped, and takes impossible values out of one
// that is not.
func (s *Series) usable(r *Row) bool {
	c := &s.counts
	switch {
	case r.At < earliest || r.At == math.MaxInt64:
		c.Broken++
		return false
	case r.Database == "":
		c.NoDatabase++
		return false
	case r.At > s.now:
		c.Future++
		return false
	case r.At >= s.own:
		c.Own++
		return false
	}
	values := int64(0)
	for _, v := range []*sample.Int{&r.Backends, &r.Commits, &r.Size} {
		if v.Known && (v.V < 0 || (v == &r.Backends && v.V > math.MaxInt32)) {
			*v = sample.Int{}
			values++
		}
	}
	if !r.Backends.Known && !r.Commits.Known {
		c.Broken++
		return false
	}
	if d := s.databases[r.Database]; d != nil && d.at == r.At {
		c.Duplicate++
		return false
	}
	c.Values += values
	return true
}

// sample makes a sample of a row, against the sample of its database before.
func (s *Series) sample(r *Row) ingest.ImportedStat {
	d := s.database(r.Database, r.At)
	at := time.UnixMicro(r.At).UTC()
	stat := ingest.ImportedStat{At: at, OID: d.OID, Backends: r.Backends, Commits: r.Commits}
	if d.at == 0 || d.at < d.created && d.created <= r.At || // another database
		d.commits.Known && r.Commits.Known && r.Commits.V < d.commits.V { // reset, or another database
		d.epoch = at
	}
	stat.Epoch = d.epoch
	// June carries a size forward and marks those it measured; later versions
	// fill in sizes afterwards, so that a new one is where it changes.
	fresh := r.Measured
	if s.layout == Later {
		fresh = r.Size != d.size
	}
	if r.Size.Known && fresh {
		stat.Size, d.size = r.Size, r.Size
	}
	d.at, d.gone, d.commits = r.At, 0, r.Commits
	return stat
}

// diskOf takes the disk of an instant: every row of it has the same.
func (s *Series) diskOf(rows []Row, chunk *ingest.ImportedChunk) {
	for i := range rows {
		next := ingest.ImportedDisk{At: time.UnixMicro(rows[i].At).UTC(), Total: rows[i].DiskTotal, Free: rows[i].DiskFree}
		if !next.Free.Known && !next.Total.Known {
			continue
		}
		if next.Free.V < 0 || next.Total.V < 0 {
			s.counts.Values++
			continue
		}
		same := s.diskKnown && next.Free == s.disk.Free && next.Total == s.disk.Total
		if !same || next.At.Sub(s.disk.At) >= quietDisk {
			chunk.Disks = append(chunk.Disks, next)
			s.disk, s.diskKnown = next, true
		}
		return
	}
}

// database gives the database of a name, which begins here if it is new.
func (s *Series) database(name string, at int64) *database {
	if d := s.databases[name]; d != nil {
		return d
	}
	c := s.creations[name]
	d := &database{ImportedDatabase: ingest.ImportedDatabase{
		OID: s.oid(name, c.OID), Name: name, AllowConnect: true, CreatedAt: c.CreatedAt, FirstSeenAt: time.UnixMicro(at).UTC(),
	}}
	if c.CreatedAt != nil {
		d.created = c.CreatedAt.UnixMicro()
	}
	s.usedOIDs[d.OID] = name
	s.databases[name] = d
	s.order = append(s.order, d)
	return d
}

// oid gives the oid under which a database's history is kept: that of an
// import before, so that the same is done again; the one the Python version
// noted, unless it is somebody else's; the one pgam knows by name; or one that
// is made up.
func (s *Series) oid(name string, noted uint32) uint32 {
	var byName uint32
	for _, d := range s.plan.Databases {
		if d.Name != name {
			continue
		}
		if s.plan.ListedFirst.IsZero() || d.FirstSeenAt.Before(s.plan.ListedFirst) {
			return d.OID
		}
		if byName == 0 {
			byName = d.OID
		}
	}
	if owner, taken := s.usedOIDs[noted]; noted != 0 && (!taken || owner == name) {
		return noted
	}
	if byName != 0 {
		return byName
	}
	made := uint32(lastOID)
	for s.usedOIDs[made] != "" {
		made--
	}
	return made
}

// state is what is to be written of a database. Its end is known only after
// the last row.
func (s *Series) state(d *database, atEnd bool) ingest.ImportedDatabase {
	state := d.ImportedDatabase
	state.LastSeenAt = time.UnixMicro(d.at).UTC()
	if !atEnd {
		return state
	}
	var gone time.Time
	if d.gone != 0 && s.last-d.gone >= goneAfter.Microseconds() {
		gone = time.UnixMicro(d.gone).UTC()
	}
	if !s.plan.ListedFirst.IsZero() && gone.IsZero() && !s.listed(d) {
		gone = s.plan.ListedFirst // pgam has looked and did not find it
	}
	if !gone.IsZero() {
		state.DroppedAt = &gone
	}
	return state
}

// listed reports whether pgam itself has seen a database.
func (s *Series) listed(d *database) bool {
	return slices.ContainsFunc(s.plan.Databases, func(o ingest.ImportedDatabase) bool {
		return o.OID == d.OID && o.Name == d.Name && !o.LastSeenAt.Before(s.plan.ListedFirst)
	})
}
