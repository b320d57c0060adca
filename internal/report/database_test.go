package report

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// databaseStat is a row of report.database_stat.
type databaseStat struct {
	Time                             time.Time
	Database                         string
	Numbackends                      *int32
	IntervalSeconds, CountedSeconds  *float64
	XactCommit, TempBytes, Checksums *int64
	BlkReadTimeMS                    *float64
}

func (d databaseStat) String() string { return fmt.Sprint(d.Time.UTC(), d.Database) }

// What was added between two rows is what sample.Delta says, whatever happened
// between them.
func TestDatabaseDifferences(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 41))
		w, dsn := open(t)
		conn := asReader(t, dsn)
		inventory := &sample.Inventory{At: midnight.AddDate(0, 0, -1), Databases: []sample.Database{
			{OID: 5, Name: "a", AllowConnect: true}, {OID: 6, Name: "b", AllowConnect: true},
		}}
		visits := []*sample.Visit{{Server: server, Inventory: inventory}}
		var (
			all  = map[uint32][]sample.DatabaseStat{}
			last = map[uint32]sample.DatabaseStat{}
		)
		at, instance, reset := midnight.Add(-20*time.Hour), int64(1), int64(0)
		for range 200 {
			at = at.Add([]time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 300 * time.Second}[rnd.IntN(4)])
			switch rnd.IntN(40) {
			case 0:
				instance++
			case 1:
				reset = at.UnixMicro()
			case 2:
				at = at.Add(3 * time.Hour)
			}
			v := &sample.Visit{Server: server, Look: &sample.Look{Planned: at, At: at.Add(20 * time.Millisecond), Databases: 2}}
			for _, oid := range []uint32{5, 6} {
				if rnd.IntN(4) == 0 {
					continue
				}
				before := last[oid]
				d := sample.DatabaseStat{
					Planned: at, At: at.Add(time.Duration(rnd.IntN(50)) * time.Millisecond), Instance: instance, OID: oid, StatsReset: reset,
					Backends: sample.Int{V: int64(rnd.IntN(9)), Known: true}, Counters: before.Counters, Timers: before.Timers,
				}
				if !before.At.IsZero() && rnd.IntN(2) == 0 {
					d.PreviousAt = before.At.Add(d.At.Sub(before.At) / 2).Truncate(time.Millisecond)
				}
				for c := range d.Counters {
					d.Counters[c] = sample.Int{V: d.Counters[c].V + int64(rnd.IntN(1000)), Known: rnd.IntN(20) > 0}
				}
				for c := range d.Timers {
					d.Timers[c] = sample.Float{V: max(0, d.Timers[c].V+float64(rnd.IntN(1000)-20)), Known: rnd.IntN(20) > 0}
				}
				if rnd.IntN(20) == 0 {
					d.Counters[rnd.IntN(len(d.Counters))].V = 0
				}
				last[oid] = d
				all[oid] = append(all[oid], d)
				v.Databases = append(v.Databases, d)
			}
			visits = append(visits, v)
		}
		if err := w.Append(t.Context(), server, visits); err != nil {
			t.Fatal(err)
		}
		var want []databaseStat
		for oid, list := range all {
			for i := range list {
				want = append(want, databaseOf(oid, list, i))
			}
		}
		same(t, fmt.Sprintf("seed %d", seed), want, rows[databaseStat](t, conn, `
select "time", database_name as database, numbackends, interval_seconds, counted_seconds, xact_commit, temp_bytes, checksum_failures as checksums, blk_read_time_ms
  from report.database_stat where server = 'db1'`))
	}
}

func databaseOf(oid uint32, list []sample.DatabaseStat, i int) databaseStat {
	d := &list[i]
	backends := int32(d.Backends.V)
	row := databaseStat{Time: d.Planned, Database: map[uint32]string{5: "a", 6: "b"}[oid], Numbackends: &backends}
	if i == 0 {
		return row
	}
	delta, ok := d.Delta(&list[i-1])
	if !ok {
		return row
	}
	number := func(n sample.Int) *int64 {
		if !n.Known {
			return nil
		}
		return &n.V
	}
	added, counted := delta.Until.Sub(delta.From).Seconds(), delta.Until.Sub(delta.Since).Seconds()
	row.IntervalSeconds, row.CountedSeconds = &added, &counted
	row.XactCommit, row.TempBytes = number(delta.Counters[sample.XactCommit]), number(delta.Counters[sample.TempBytes])
	row.Checksums = number(delta.Counters[sample.ChecksumFailures])
	if t := delta.Timers[sample.BlkReadTime]; t.Known {
		row.BlkReadTimeMS = &t.V
	}
	return row
}
