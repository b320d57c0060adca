package synth

import (
	"math/rand/v2"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// visitEvery is the time between two looks at what is beside sessions, as of
// databases in which nothing happens.
const visitEvery = 5 * time.Minute

// shop is what is known of a server's databases, settings and disks.
type shop struct {
	*server
	d          *rand.Rand
	postmaster time.Time
	counters   [len(databases)][sample.NumCounters]int64
	bytes      [len(databases)]int64
	walFree    int64
	workMem    string
}

// Visits makes looks at a server's databases, their sizes, settings and disks,
// one each five minutes, with the events that they tell: once a day a setting is
// changed, and now and then the server restarts. What is counted begins at origin;
// the looks after an instant and before another are given. The one at that instant
// is taken for stored: it is not given, and what follows is told against it.
func (g *Generator) Visits(id target.ID, origin, after, until time.Time) []*sample.Visit {
	s := g.server(id)
	sh := shop{server: &s, d: g.dice(uint64(id), 11), walFree: 60 << 30, workMem: "4MB"}
	sh.postmaster = origin.Add(-time.Duration(sh.d.IntN(60*24)) * time.Hour)
	for i := range sh.bytes {
		sh.bytes[i] = int64(1+sh.d.IntN(400)) << 28
	}
	series := new(sample.Resume).Series()
	var visits []*sample.Visit
	var tuned, restart time.Time
	for at := origin; at.Before(until); at = at.Add(visitEvery) {
		if midnight := at.Truncate(day); at.Equal(midnight) || at.Equal(origin) {
			d := g.dice(uint64(id), 13, uint64(midnight.Unix()))
			tuned = midnight.Add(time.Duration(d.IntN(int(day/visitEvery))) * visitEvery)
			if restart = (time.Time{}); d.IntN(6) == 0 {
				restart = midnight.Add(time.Duration(d.IntN(int(day/visitEvery))) * visitEvery)
			}
		}
		if at.Equal(tuned) {
			sh.workMem = map[string]string{"4MB": "32MB", "32MB": "4MB"}[sh.workMem]
		}
		if at.Equal(restart) {
			sh.postmaster = at.Add(-time.Duration(20+sh.d.IntN(200)) * time.Second)
			sh.counters = [len(databases)][sample.NumCounters]int64{}
		}
		v := sh.visit(at, at.Truncate(time.Hour).Equal(at))
		if at.Before(after) {
			continue
		}
		if series.Advance(v); at.After(after) {
			visits = append(visits, v)
		}
	}
	return visits
}

// visit is one look; a full one lists databases with their sizes too.
func (sh *shop) visit(at time.Time, full bool) *sample.Visit {
	v := &sample.Visit{
		Server: sh.id,
		Identity: &sample.Identity{
			At: at, VersionNum: 150008, Version: "15.8", SystemIdentifier: 7_300_000_000_000_000_000 + int64(sh.id), TimelineID: 1,
			PostmasterStart: sh.postmaster,
		},
		Settings: &sample.Settings{At: at, Set: sh.settings()},
		Disks:    sh.disks(at),
	}
	if full {
		v.Inventory = &sample.Inventory{At: at}
	}
	for i, name := range databases {
		oid := uint32(16384 + i)
		v.Databases = append(v.Databases, sh.statistics(at, i, oid))
		if !full {
			continue
		}
		v.Inventory.Databases = append(v.Inventory.Databases, sample.Database{OID: oid, Name: name, AllowConnect: true, Encoding: "UTF8"})
		v.Sizes = append(v.Sizes, sample.DatabaseSize{
			At: at.Add(time.Duration(i) * time.Second), OID: oid, Bytes: known(sh.bytes[i]), Duration: time.Duration(5+sh.d.IntN(90)) * time.Millisecond,
		})
	}
	return v
}

func known(v int64) sample.Int { return sample.Int{V: v, Known: true} }

// statistics goes on with the counters of a database.
func (sh *shop) statistics(at time.Time, i int, oid uint32) sample.DatabaseStat {
	grown := int64(sh.load(at) * float64(500+sh.d.IntN(100)) * visitEvery.Seconds() / float64(1+i))
	c := &sh.counters[i]
	for counter, by := range map[sample.Counter]int64{
		sample.XactCommit: grown, sample.XactRollback: grown / 200, sample.BlksRead: grown * 2, sample.BlksHit: grown * 90,
		sample.TupReturned: grown * 300, sample.TupFetched: grown * 60, sample.TupInserted: grown / 3, sample.TupUpdated: grown / 2,
		sample.TupDeleted: grown / 20, sample.TempFiles: grown / 4000, sample.TempBytes: grown / 4000 << 20, sample.Sessions: grown / 900,
	} {
		c[counter] += by
	}
	sh.bytes[i] += grown * 40
	stat := sample.DatabaseStat{At: at, OID: oid, Backends: known(int64(len(sh.sessions) / len(databases)))}
	for counter := range c {
		switch sample.Counter(counter) {
		case sample.ChecksumFailures, sample.ParallelWorkersToLaunch, sample.ParallelWorkersLaunched: // not of this version, or off
		default:
			stat.Counters[counter] = known(c[counter])
		}
	}
	return stat
}

func (sh *shop) settings() []sample.Setting {
	return []sample.Setting{
		{Name: "max_connections", Value: "200"}, {Name: "shared_buffers", Value: "8GB"}, {Name: "work_mem", Value: sh.workMem},
	}
}

// disks fill: the data slowly, the log until it is recycled.
func (sh *shop) disks(at time.Time) *sample.Disks {
	const total, wal = 1 << 41, 100 << 30
	used := int64(200 << 30)
	for _, b := range sh.bytes {
		used += b
	}
	if sh.walFree -= int64(sh.d.IntN(1 << 30)); sh.walFree < 20<<30 {
		sh.walFree = 60 << 30
	}
	return &sample.Disks{At: at, Source: target.DiskSSH, FileSystems: []sample.FileSystem{
		{MountPoint: "/var/lib/postgresql", Device: "/dev/sdb1", Uses: []string{"data"}, Total: known(total), Free: known(max(total-used, 1<<30))},
		{MountPoint: "/wal", Device: "/dev/sdc1", Uses: []string{"wal"}, Total: known(wal), Free: known(sh.walFree)},
	}}
}
