package collector

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// journal keeps records in memory. Those that were synced survive a kill.
type journal struct {
	mu          sync.Mutex
	pending     []sample.Visit
	records     []sample.Record
	last        uint64
	seen        map[target.ID][]sample.Tick   // of records, for good
	looked      map[lookKey]sample.FileSystem // of records, for good
	events      map[target.ID][]sample.Event  // of records, for good
	sealed      []byte
	quarantined []aside
	done        []sample.Record
	dropped     atomic.Int64
	dead        bool
}

// aside is what is kept of a record that is refused.
type aside struct {
	seq    uint64
	server target.ID
}

func newJournal() *journal {
	return &journal{
		seen: make(map[target.ID][]sample.Tick), looked: make(map[lookKey]sample.FileSystem),
		events: make(map[target.ID][]sample.Event),
	}
}

func (j *journal) die() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dead = true
}

func (j *journal) survivor() *journal {
	return &journal{records: j.records, done: j.done, last: j.last, seen: j.seen, looked: j.looked, events: j.events, sealed: j.sealed}
}

// ticksOf gives a server's ticks in the order of time.
func (j *journal) ticksOf(id target.ID) []sample.Tick {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.SortedStableFunc(slices.Values(j.seen[id]), func(a, b sample.Tick) int { return a.Planned.Compare(b.Planned) })
}

// eventsOf gives a server's events as they were told.
func (j *journal) eventsOf(id target.ID) []sample.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events[id])
}

func (j *journal) Append(v *sample.Visit) {
	j.mu.Lock()
	defer j.mu.Unlock()
	kept := *v
	if v.Tick != nil {
		tick := *v.Tick
		tick.Sessions, tick.Edges = slices.Clone(tick.Sessions), slices.Clone(tick.Edges)
		kept.Tick = &tick
	}
	kept.Sizes, kept.Databases, kept.Locations = slices.Clone(v.Sizes), slices.Clone(v.Databases), nil
	kept.Events = slices.Clone(v.Events)
	if v.Disks != nil {
		disks := *v.Disks
		disks.FileSystems = slices.Clone(disks.FileSystems)
		kept.Disks = &disks
	}
	j.pending = append(j.pending, kept)
}

func (j *journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead || len(j.pending) == 0 {
		return nil
	}
	j.last++
	j.records = append(j.records, sample.Record{Seq: j.last, Visits: j.pending})
	for i := range j.pending {
		lookKeys(&j.pending[i], j.looked)
		j.events[j.pending[i].Server] = append(j.events[j.pending[i].Server], j.pending[i].Events...)
		if t := j.pending[i].Tick; t != nil {
			j.seen[j.pending[i].Server] = append(j.seen[j.pending[i].Server], *t)
		}
	}
	j.pending = nil
	return nil
}

// Next takes a visit for a kilobyte.
func (j *journal) Next(seq uint64, maxBytes int64) (out []sample.Record, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, r := range j.records {
		if r.Seq > seq && int64(n)*1024 < maxBytes {
			out = append(out, sample.Record{Seq: r.Seq, Visits: slices.Clone(r.Visits)})
			n += len(r.Visits)
		}
	}
	return out, nil
}

func (j *journal) Done(seqs ...uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dead {
		return
	}
	j.records = slices.DeleteFunc(j.records, func(r sample.Record) bool {
		done := slices.Contains(seqs, r.Seq)
		if done {
			j.done = append(j.done, r)
		}
		return done
	})
}

func (j *journal) Again() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = slices.SortedFunc(slices.Values(append(j.records, j.done...)), func(a, b sample.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	j.done = nil
}

func (j *journal) Dropped() int64 { return j.dropped.Load() }

func (j *journal) Keep(left map[uint64][]target.ID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.records {
		r := &j.records[i]
		if servers := left[r.Seq]; servers != nil {
			r.Visits = slices.DeleteFunc(slices.Clone(r.Visits), func(v sample.Visit) bool { return !slices.Contains(servers, v.Server) })
		}
	}
	return nil
}

func (j *journal) Quarantine(server target.ID, _ string, seqs ...uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, seq := range seqs {
		if one := (aside{seq, server}); !slices.Contains(j.quarantined, one) {
			j.quarantined = append(j.quarantined, one)
		}
	}
	return nil
}

func (j *journal) PutTargets(sealed []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sealed = sealed
	return nil
}

func (j *journal) Targets() ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sealed, nil
}

// waiting counts the records that are not done.
func (j *journal) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.records)
}
