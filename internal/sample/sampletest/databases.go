package sampletest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// Databases is a server whose databases count at random, as PostgreSQL says it, and
// what two collectors see of it. The databases are 0, which is shared objects, 1, 2,
// which comes and goes, and 3, which is quiet.
type Databases struct {
	*rand.Rand

	// Visits are what was seen, in the order of time.
	Visits []*sample.Visit

	at       time.Time
	identity sample.Identity
	stats    map[uint32]*sample.DatabaseStat
}

// NewDatabases begins at an instant.
func NewDatabases(seed uint64, from time.Time) *Databases {
	d := &Databases{Rand: rand.New(rand.NewPCG(seed, 11)), at: from, stats: make(map[uint32]*sample.DatabaseStat)}
	d.identity = sample.Identity{VersionNum: 150000, Version: "15.0", SystemIdentifier: 7, PostmasterStart: from.Add(-time.Hour)}
	for oid := range uint32(4) {
		d.create(oid)
	}
	return d
}

func known(n int64) sample.Int { return sample.Int{V: n, Known: true} }

func (d *Databases) create(oid uint32) {
	s := &sample.DatabaseStat{OID: oid}
	if oid > 0 {
		s.Backends = known(d.Int64N(5))
	}
	for i := range s.Counters {
		s.Counters[i] = known(d.Int64N(1000))
	}
	s.Timers[sample.SessionTime] = sample.Float{V: d.Float64(), Known: true}
	d.stats[oid] = s
}

// Live lets the server live until an instant, watched by two collectors, of which
// each begins anew now and then, or offers again what it knows.
func (d *Databases) Live(until time.Time) {
	both := [2]*sample.Series{new(sample.Resume).Series(), new(sample.Resume).Series()}
	for d.at.Before(until) {
		d.pass()
		for i := range both {
			switch d.IntN(60) {
			case 0:
				both[i] = new(sample.Resume).Series()
			case 1:
				both[i].OfferAgain()
			}
			if i == 0 || d.IntN(3) == 0 {
				d.look(both[i])
				d.at = d.at.Add(time.Duration(1+d.IntN(1500)) * time.Millisecond)
			}
		}
	}
}

// pass lets some time pass, in which anything may happen.
func (d *Databases) pass() {
	d.at = d.at.Add(time.Duration(1+d.IntN(20_000)) * time.Millisecond)
	for _, oid := range slices.Sorted(maps.Keys(d.stats)) {
		s := d.stats[oid]
		if d.IntN(3) == 0 || oid == 3 {
			continue
		}
		s.Counters[d.IntN(len(s.Counters))].V += d.Int64N(100)
		s.Timers[sample.SessionTime].V += d.Float64()
		if oid > 0 && d.IntN(10) == 0 {
			s.Backends = known(d.Int64N(5))
		}
	}
	oid := []uint32{0, 1, 3}[d.IntN(3)]
	switch d.IntN(120) {
	case 0: // restart
		d.identity.PostmasterStart = d.at
	case 1: // a crash that loses the counters
		d.identity.CheckpointerStart = d.at
		for _, oid := range slices.Sorted(maps.Keys(d.stats)) {
			d.create(oid)
		}
	case 2:
		d.create(oid)
		d.stats[oid].StatsReset = d.at.UnixMicro()
	case 3: // nobody says so
		d.stats[oid].Counters[sample.XactCommit] = known(0)
	case 4:
		delete(d.stats, 2)
	case 5:
		if d.stats[2] == nil {
			d.create(2)
		}
	case 6: // nobody looks
		d.at = d.at.Add(time.Duration(d.Int64N(int64(40 * time.Minute)))).Truncate(time.Microsecond)
	}
}

// look has a collector look, which may be late.
func (d *Databases) look(s *sample.Series) {
	id := d.identity
	id.At = d.at
	v := &sample.Visit{Server: 1, Identity: &id, Tick: &sample.Tick{Planned: d.at.Truncate(time.Second)}}
	for _, oid := range slices.Sorted(maps.Keys(d.stats)) {
		stat := *d.stats[oid]
		stat.At = d.at
		v.Databases = append(v.Databases, stat)
	}
	s.Advance(v)
	v.Tick = nil
	if d.IntN(20) == 0 {
		v.Sizes = append(v.Sizes, sample.DatabaseSize{At: d.at, OID: 1, Bytes: known(d.Int64N(1 << 30))})
	}
	d.Visits = append(d.Visits, v)
}

// DatabaseRows gives what is kept of visits, however they come: the rows of each
// database in the order of their plan, and when looks were taken.
func DatabaseRows(visits []*sample.Visit) (rows map[uint32][]sample.DatabaseStat, looks []time.Time) {
	stats, taken := make(map[uint32]map[time.Time]sample.DatabaseStat), make(map[time.Time]time.Time)
	for _, v := range visits {
		if l := v.Look; l != nil && l.At.After(taken[l.Planned]) {
			taken[l.Planned] = l.At
		}
		for _, d := range v.Databases {
			if stats[d.OID] == nil {
				stats[d.OID] = make(map[time.Time]sample.DatabaseStat)
			}
			if d.At.After(stats[d.OID][d.Planned].At) {
				stats[d.OID][d.Planned] = d
			}
		}
	}
	rows = make(map[uint32][]sample.DatabaseStat)
	for oid, all := range stats {
		rows[oid] = slices.SortedFunc(maps.Values(all), func(a, b sample.DatabaseStat) int { return a.Planned.Compare(b.Planned) })
	}
	return rows, slices.SortedFunc(maps.Values(taken), time.Time.Compare)
}
