package report

import (
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// activity is a row of report.activity.
type activity struct {
	T0, Time                                          time.Time
	PID                                               *int32
	BackendStart, QueryStart, XactStart, StateChange  *time.Time
	Database, User, Application, Client, BackendType  string
	State, WaitEventType, WaitEvent, Query, WaitClass string
	QueryID                                           *int64
	XminAge, BlockedBy                                *int32
	Blocked, Burst, Load                              bool
}

const activityColumns = `
select t0, "time", pid, backend_start, query_start, xact_start, state_change, coalesce(database_name, '') as database, coalesce(user_name, '') as "user",
       coalesce(application_name, '') as application, coalesce(client_addr, '') as client, coalesce(backend_type, '') as backend_type, state,
       wait_event_type, wait_event, coalesce(query, '') as query, wait_class, query_id, xmin_age, blocked_by_pid as blocked_by, blocked, burst, load
  `

func (a activity) String() string {
	pid := int32(-1)
	if a.PID != nil {
		pid = *a.PID
	}
	return fmt.Sprint(a.Time.UTC(), pid, a.WaitEvent, a.Query)
}

func at(ms int64, bucket time.Time) *time.Time {
	t := bucket.Add(time.Duration(ms) * time.Millisecond)
	return &t
}

// pidOf gives the process of the n-th session of a row, from 1.
func pidOf(r *sample.Row, n int32) *int32 {
	if n < 1 || r.SessionKeys[n-1]%7 == 0 {
		return nil
	}
	pid := session(r.SessionKeys[n-1], 0).PID
	return &pid
}

func activityOf(all []*sample.Row) (list []activity) {
	for _, r := range all {
		for i := range r.Tick {
			tick := int(r.Tick[i]) - 1
			a := activity{T0: r.Bucket, Time: r.PlannedAt(tick), Burst: r.Burst != nil && r.Burst[tick]}
			if k := r.SessionKeys[r.Session[i]-1]; k%7 != 0 {
				n := session(k, 0)
				a.PID, a.BackendStart = &n.PID, at(n.BackendStart/1000, time.UnixMilli(0))
				a.Database, a.User, a.Application, a.Client, a.BackendType = n.Database, n.User, n.Application, n.ClientAddr, n.BackendType
			}
			w := wait(r.WaitKeys[r.Wait[i]-1])
			a.State, a.WaitEventType, a.WaitEvent, a.WaitClass, a.Load = w.State, w.Type, w.Event, w.Class.String(), w.Class.Load()
			if q := r.Query[i]; q > 0 && r.QueryKeys[q-1]%7 != 0 {
				id := 1000 + r.QueryKeys[q-1]
				a.QueryID, a.Query = &id, queryText(r.QueryKeys[q-1])
			}
			if start := r.QueryStart[i]; start != sample.Unset {
				a.QueryStart, a.StateChange = at(int64(start), r.Bucket), at(int64(start), r.Bucket)
				if r.XactLead[i] != sample.Unset {
					a.XactStart = at(int64(start)-int64(r.XactLead[i]), r.Bucket)
				}
				if r.StateLag != nil && r.StateLag[i] != sample.Unset {
					a.StateChange = at(int64(start)+int64(r.StateLag[i]), r.Bucket)
				}
			}
			if r.Xmin != nil && r.Xmin[i] != 0 && r.NextXID[tick] != 0 {
				age := max(int32(uint32(r.NextXID[tick])-uint32(r.Xmin[i])), 0)
				a.XminAge = &age
			}
			if r.Blocker != nil && r.Blocker[i] != sample.Unset {
				a.Blocked, a.BlockedBy = true, pidOf(r, r.Blocker[i])
			}
			list = append(list, a)
		}
	}
	return list
}

// tick is a row of report.tick.
type tick struct {
	T0, Time        time.Time
	Outcome, Reason string
	DurationMS      float64
	Backends        *int32
	Burst           bool
	DelayMS         int32
}

func (k tick) String() string { return k.Time.UTC().String() }

// ended gives how the n-th tick of a row ended.
func ended(r *sample.Row, n int) (o sample.Outcome, why sample.Reason) {
	if r.Outcome != nil {
		o, why = sample.Outcome(r.Outcome[n]), sample.Reason(r.Reason[n])
	}
	return o, why
}

func ticksOf(all []*sample.Row) (list []tick) {
	for _, r := range all {
		for i := range r.Planned {
			outcome, reason := ended(r, i)
			k := tick{
				T0: r.Bucket, Time: r.PlannedAt(i), Outcome: outcome.String(), Reason: reason.String(), DurationMS: float64(r.Duration[i]) / 1000,
				Burst: r.Burst != nil && r.Burst[i], DelayMS: r.Delay[i],
			}
			if r.Backends[i] != sample.Unset {
				k.Backends = &r.Backends[i]
			}
			list = append(list, k)
		}
	}
	return list
}

// blocking is a row of report.blocking.
type blocking struct {
	T0, Time                       time.Time
	Blocked, Blocker, Root         *int32
	BlockedBy, LockType, Mode, Rel string
	IsRoot                         bool
}

const blockingColumns = `
select t0, "time", blocked_pid as blocked, blocker_pid as blocker, root_pid as root, coalesce(blocker_application, '') as blocked_by,
       coalesce(lock_type, '') as lock_type, coalesce(mode, '') as mode, coalesce(relation_name, '') as rel, blocker_is_root as is_root
  `

func (b blocking) String() string {
	n := func(p *int32) int32 {
		if p == nil {
			return -1
		}
		return *p
	}
	return fmt.Sprint(b.Time.UTC(), n(b.Blocked), n(b.Blocker), b.LockType, b.Mode, b.Rel, n(b.Root), b.IsRoot)
}

func blockingOf(all []*sample.Row) (list []blocking) {
	for _, r := range all {
		waits := map[[2]int32][]int32{} // of a tick and session: whom it waits for
		for i, tick := range r.EdgeTick {
			k := [2]int32{int32(tick), r.EdgeBlocked[i]}
			waits[k] = append(waits[k], r.EdgeBlocker[i])
		}
		for i, tick := range r.EdgeTick {
			b := blocking{
				T0: r.Bucket, Time: r.PlannedAt(int(tick) - 1), Blocked: pidOf(r, r.EdgeBlocked[i]), Blocker: pidOf(r, r.EdgeBlocker[i]),
			}
			if b.Blocker != nil {
				b.BlockedBy = session(r.SessionKeys[r.EdgeBlocker[i]-1], 0).Application
			}
			if l := r.EdgeLock[i]; l > 0 {
				n := lock(r.LockKeys[l-1])
				b.LockType, b.Mode, b.Rel = n.Type, n.Mode, n.Relation
			}
			root, found := rootOf(waits, int32(tick), r.EdgeBlocker[i])
			if found {
				b.Root, b.IsRoot = pidOf(r, root), root == r.EdgeBlocker[i]
			}
			list = append(list, b)
		}
	}
	return list
}

// rootOf gives the first of those at the end of the chain; none where all wait.
func rootOf(waits map[[2]int32][]int32, tick, from int32) (root int32, found bool) {
	seen, next := map[int32]bool{from: true}, []int32{from}
	for len(next) > 0 {
		one := next[0]
		next = next[1:]
		if len(waits[[2]int32{tick, one}]) == 0 && (!found || one < root) {
			root, found = one, true
		}
		for _, other := range waits[[2]int32{tick, one}] {
			if !seen[other] {
				seen[other] = true
				next = append(next, other)
			}
		}
	}
	return root, found
}

// sums is a row of report.activity_minute, activity_total or activity_grain.
type sums struct {
	Time                             time.Time
	Planned, OK, Degraded            int64
	Failed, Skipped, Samples         int64
	MaxSessions                      int32
	MaxBackends                      *int32
	CPU, Lock, LWLock, IO, IPC       int64
	Client, Timeout, Buffer          int64
	Extension, Other, IdleInTransact int64
}

const sumsColumns = `
select "time", ticks_planned as planned, ticks_ok as ok, ticks_degraded as degraded, ticks_failed as failed, ticks_skipped as skipped, samples,
       max_sessions, max_backends, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction as idle_in_transact
  `

func (s sums) String() string { return s.Time.UTC().String() }

// summaries are those of the steps of some time in which there is a tick.
func summaries(all []*sample.Row, step time.Duration) map[time.Time]*sample.Summary {
	of := map[time.Time]*sample.Summary{}
	for _, r := range all {
		for start := r.Bucket; start.Before(r.Bucket.Add(sample.BucketLength)); start = start.Add(time.Minute) {
			s := r.Summary(start, start.Add(time.Minute))
			if s.First.IsZero() {
				continue
			}
			at := start.Truncate(step)
			if of[at] == nil {
				of[at] = &sample.Summary{MaxBackends: sample.Unset}
			}
			of[at].Add(&s)
		}
	}
	return of
}

func sumsOf(all []*sample.Row, step time.Duration) (list []sums) {
	for start, s := range summaries(all, step) {
		c, o := s.Classes, s.Outcomes
		n := sums{
			Time: start, Planned: s.Ticks(), OK: o[sample.OK], Degraded: o[sample.Degraded], Failed: o[sample.Failed], Skipped: o[sample.Skipped],
			Samples: s.Samples, MaxSessions: s.MaxSessions, CPU: c[sample.ClassCPU], Lock: c[sample.ClassLock], LWLock: c[sample.ClassLWLock],
			IO: c[sample.ClassIO], IPC: c[sample.ClassIPC], Client: c[sample.ClassClient], Timeout: c[sample.ClassTimeout], Buffer: c[sample.ClassBuffer],
			Extension: c[sample.ClassExtension], Other: c[sample.ClassOther], IdleInTransact: c[sample.ClassIdleInTransaction],
		}
		if s.MaxBackends != sample.Unset {
			n.MaxBackends = &s.MaxBackends
		}
		list = append(list, n)
	}
	return list
}

// coverage is a row of report.coverage.
type coverage struct {
	Time                                                            time.Time
	TicksPlanned, TicksOK, TicksDegraded, TicksFailed, TicksSkipped int64
}

func (c coverage) String() string { return c.Time.UTC().String() }

func coverageOf(hours []sums) (list []coverage) {
	for _, h := range hours {
		list = append(list, coverage{h.Time, h.Planned, h.OK, h.Degraded, h.Failed, h.Skipped})
	}
	return list
}

// fault is a row of report.fault.
type fault struct {
	Time            time.Time
	Outcome, Reason string
	Ticks           int64
}

func (f fault) String() string { return fmt.Sprint(f.Time.UTC(), f.Outcome, f.Reason) }

func faultsOf(all []*sample.Row) (list []fault) {
	for start, s := range summaries(all, time.Minute) {
		for f, n := range s.Faults {
			list = append(list, fault{start, f.Outcome.String(), f.Reason.String(), n})
		}
	}
	return list
}

// counts is a row of report.activity_by.
type counts struct {
	Time           time.Time
	Key            string
	Samples, Ticks int64
}

func (c counts) String() string { return fmt.Sprint(c.Time.UTC(), c.Key) }

func countsOf(all []*sample.Row, dimension string, step time.Duration) (list []counts) {
	type place struct {
		at  time.Time
		key string
	}
	samples, ticks := map[place]int64{}, map[place]int64{}
	for _, r := range all {
		for i := range r.Planned {
			if o, _ := ended(r, i); o.Answered() {
				ticks[place{r.PlannedAt(i).Truncate(step), ""}]++
			}
		}
		for i := range r.Tick {
			w := r.WaitKeys[r.Wait[i]-1]
			if !wait(w).Class.Load() {
				continue
			}
			p := place{r.PlannedAt(int(r.Tick[i]) - 1).Truncate(step), ""}
			switch dimension {
			case "wait":
				p.key = waitLabel(w)
			case "query":
				p.key = none
				if q := r.Query[i]; q > 0 {
					p.key = queryLabel(r.QueryKeys[q-1])
				}
			default:
				p.key = label(r.SessionKeys[r.Session[i]-1], dimension)
			}
			samples[p]++
		}
	}
	for p, n := range samples {
		list = append(list, counts{p.at, p.key, n, 0})
	}
	for p, n := range ticks {
		list = append(list, counts{p.at, p.key, 0, n})
	}
	return list
}
