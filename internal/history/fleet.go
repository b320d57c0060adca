package history

import (
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// FleetServer is what is newest in the history of one server. Nil is unknown.
type FleetServer struct {
	// LastTick is the newest tick of a day, LastOutcome what became of it.
	LastTick    *time.Time
	LastOutcome sample.Outcome
	LastReason  sample.Reason
	// Load is the average number of sessions in the newest minute, LoadBy that by
	// wait class, LoadAt when the minute began; nil: none is newer than ten
	// minutes.
	Load   *float64
	LoadBy [sample.NumClasses]float64
	LoadAt *time.Time
	// LoadYesterday is the average of the same hour of the day before.
	LoadYesterday *float64
	// Those that follow are of the newest answered tick.
	Blocked        *int // sessions that wait for another
	OldestXact     *time.Duration
	OldestXmin     *int64 // transactions; of sessions, slots, standbys and prepared transactions
	Connections    *int32
	MaxConnections *int64
	Burst          bool
	// LeastFree is the file system with the least part free, FullIn when the one
	// that is full first will be.
	LeastFree *FleetDisk
	FullIn    *time.Duration
	// Coverage is of the newest ten minutes that are stored.
	Coverage Coverage
}

// FleetDisk is one file system of a server.
type FleetDisk struct {
	MountPoint  string
	At          time.Time
	Free, Total int64
}

// Part is the part that is free, from 0 to 1.
func (d *FleetDisk) Part() float64 { return float64(d.Free) / float64(d.Total) }

// FleetActivity is sessions by wait class over time, of all servers together:
// one element a bucket in every series.
type FleetActivity struct {
	Plan  ActivityPlan
	Times []time.Time
	// Average are average numbers of sessions by class, added up over the
	// servers.
	Average [sample.NumClasses][]float64
	// Servers counts those of which something is known in the bucket; zero: the
	// bucket is unknown.
	Servers []int64
	// Planned and Answered count ticks.
	Planned, Answered []int64
}

// maxFleetMinutes is the longest range that is answered from the minutes of all
// servers.
const maxFleetMinutes = 48 * time.Hour

// PlanFleet chooses grain and step of a question about all servers; a step of
// zero takes one that gives at most 720 buckets. The error wraps ErrInvalid and
// says what to ask instead.
func PlanFleet(r Range, step time.Duration) (ActivityPlan, error) {
	if step == 0 {
		for _, step = range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
			if r.Length() <= 720*step && (step >= time.Hour || r.Length() <= maxFleetMinutes) {
				break
			}
		}
	}
	plan := ActivityPlan{Step: step, Grain: GrainMinute}
	switch {
	case step < time.Minute || step%time.Minute != 0:
		return plan, fmt.Errorf("%w: step must be whole minutes, at least 1m", ErrInvalid)
	case step%(24*time.Hour) == 0:
		plan.Grain = GrainDay
	case step%time.Hour == 0:
		plan.Grain = GrainHour
	case r.Length() > maxFleetMinutes:
		return plan, fmt.Errorf("%w: a step that is not whole hours is answered for at most %s: ask for a shorter range or a longer step", ErrInvalid, maxFleetMinutes)
	}
	plan.Range = r.Widen(plan.Grain.Step())
	if n := plan.Buckets(); n > MaxPoints {
		return plan, fmt.Errorf("%w: the range holds %d steps, more than %d: ask for a shorter range or a longer step", ErrInvalid, n, MaxPoints)
	}
	return plan, nil
}
