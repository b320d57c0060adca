package journal

import (
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// database is a sample.DatabaseStat. Instants are microseconds since the Unix
// epoch.
type database struct {
	_                               struct{} `cbor:",toarray"`
	Planned, At, PreviousAt         int64
	Instance                        int64
	OID                             uint32
	StatsReset, ChecksumLastFailure int64
	// Known has a bit for each number that is known, in the order in which they are
	// in Integers and Timers: backends, counters, timers.
	Known    uint64
	Integers []int64
	Timers   []float64
}

func packDatabase(d sample.DatabaseStat) database {
	w := database{
		Planned: d.Planned.UnixMicro(), At: d.At.UnixMicro(), PreviousAt: d.PreviousAt.UnixMicro(), Instance: d.Instance, OID: d.OID,
		StatsReset: d.StatsReset, ChecksumLastFailure: d.ChecksumLastFailure,
	}
	for i, n := range append([]sample.Int{d.Backends}, d.Counters[:]...) {
		if n.Known {
			w.Known, w.Integers = w.Known|1<<i, append(w.Integers, n.V)
		}
	}
	for i, n := range d.Timers {
		if n.Known {
			w.Known, w.Timers = w.Known|1<<(1+len(d.Counters)+i), append(w.Timers, n.V)
		}
	}
	return w
}

func unpackDatabase(w database) sample.DatabaseStat {
	at := func(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
	d := sample.DatabaseStat{
		Planned: at(w.Planned), At: at(w.At), PreviousAt: at(w.PreviousAt), Instance: w.Instance, OID: w.OID,
		StatsReset: w.StatsReset, ChecksumLastFailure: w.ChecksumLastFailure,
	}
	integer := func(i int) (n sample.Int) {
		if w.Known&(1<<i) != 0 && len(w.Integers) > 0 {
			n, w.Integers = sample.Int{V: w.Integers[0], Known: true}, w.Integers[1:]
		}
		return n
	}
	d.Backends = integer(0)
	for i := range d.Counters {
		d.Counters[i] = integer(1 + i)
	}
	for i := range d.Timers {
		if w.Known&(1<<(1+len(d.Counters)+i)) != 0 && len(w.Timers) > 0 {
			d.Timers[i], w.Timers = sample.Float{V: w.Timers[0], Known: true}, w.Timers[1:]
		}
	}
	return d
}
