package v1

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

type loadRow struct {
	CPU               float64 `json:"cpu"`
	Lock              float64 `json:"lock"`
	LWLock            float64 `json:"lwlock"`
	IO                float64 `json:"io"`
	IPC               float64 `json:"ipc"`
	Client            float64 `json:"client"`
	Timeout           float64 `json:"timeout"`
	Buffer            float64 `json:"buffer"`
	Extension         float64 `json:"extension"`
	Other             float64 `json:"other"`
	IdleInTransaction float64 `json:"idle_in_transaction"`
}

func loadOf(l [sample.NumClasses]float64) *loadRow {
	for c := range l {
		l[c] = rounded(l[c])
	}
	return &loadRow{
		CPU: l[sample.ClassCPU], Lock: l[sample.ClassLock], LWLock: l[sample.ClassLWLock], IO: l[sample.ClassIO], IPC: l[sample.ClassIPC],
		Client: l[sample.ClassClient], Timeout: l[sample.ClassTimeout], Buffer: l[sample.ClassBuffer],
		Extension: l[sample.ClassExtension], Other: l[sample.ClassOther], IdleInTransaction: l[sample.ClassIdleInTransaction],
	}
}

type fleetDiskRow struct {
	MountPoint  string    `json:"mount_point"`
	SampledAt   time.Time `json:"sampled_at"`
	FreeBytes   int64     `json:"free_bytes"`
	TotalBytes  int64     `json:"total_bytes"`
	FreePercent float64   `json:"free_percent"`
}

type fleetRow struct {
	Server                   string        `json:"server"`
	Enabled                  bool          `json:"enabled"`
	LastTickAt               *time.Time    `json:"last_tick_at" doc:"The newest tick of a day; null: there is none."`
	LastTickAgeSeconds       *float64      `json:"last_tick_age_seconds"`
	LastTickOutcome          *string       `json:"last_tick_outcome" enum:"ok,degraded,failed,skipped"`
	LastTickReason           *string       `json:"last_tick_reason" doc:"Why it was not ok; null: it was."`
	Load                     *float64      `json:"average_active_sessions" doc:"Of the newest minute; null: none is newer than ten minutes."`
	LoadBy                   *loadRow      `json:"by_wait_class"`
	LoadYesterday            *float64      `json:"average_active_sessions_yesterday" doc:"Of the same hour of the day before; null: it is not known."`
	Blocked                  *int          `json:"blocked_sessions" doc:"Sessions that wait for another, at the newest answered tick, as all that follows."`
	OldestTransactionSeconds *float64      `json:"oldest_transaction_seconds" doc:"Of clients: VACUUM and walsenders have none. Null: none that is not idle is in a transaction."`
	OldestXmin               *int64        `json:"oldest_xmin_age" doc:"Transactions since the oldest xmin, of sessions, slots, standbys and prepared transactions."`
	Connections              *int32        `json:"connections"`
	MaxConnections           *int64        `json:"max_connections"`
	Burst                    bool          `json:"burst" doc:"The tick was taken in full detail."`
	Disk                     *fleetDiskRow `json:"disk" doc:"The file system with the least part free; null: none is known."`
	DiskFullInHours          *float64      `json:"disk_full_in_hours" doc:"Until the first file system is full if the day's trend goes on; null: none shrinks, or no trend is known."`
	Version                  *string       `json:"version" doc:"As the server last said; null: not known."`
	Role                     *string       `json:"role" enum:"primary,standby" doc:"As last seen; null: not known."`
	CPUCountRow
	LastEvent *eventRow   `json:"last_event" doc:"The newest of seven days, not of pgam itself; null: there was none."`
	Coverage  coverageRow `json:"coverage" doc:"Of the newest ten minutes."`
}

// TransformSchema implements huma.SchemaTransformer.
func (fleetRow) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "by_wait_class", "disk", "last_event")
}

type fleetBody struct {
	At      time.Time  `json:"at"`
	Total   int        `json:"servers_total"`
	Servers []fleetRow `json:"servers" nullable:"false" doc:"In the order of sort; unknown last."`
}

type fleetInput struct {
	Server string `query:"server" doc:"Only this one; default all."`
	Sort   string `query:"sort" enum:"name,load,blocked,oldest_transaction,oldest_xmin,connections,disk,last_tick" default:"name" doc:"What comes first: the highest load, most blocked sessions, the oldest transaction or xmin, the largest part of max_connections, the fullest disk, the oldest tick."`
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"1000"`
}

func (r routes) fleet(ctx context.Context, in *fleetInput) (*output[fleetBody], error) {
	now, servers := r.Now(), r.Live.Servers()
	known, err := r.History.Fleet(ctx, now)
	if err != nil {
		return nil, err
	}
	rows := make([]fleetRow, 0, len(servers))
	for _, t := range servers {
		if in.Server == "" || in.Server == t.Name {
			rows = append(rows, fleetRowOf(t, known[t.ID], now))
		}
	}
	if rank := fleetRank(in.Sort); rank != nil {
		slices.SortStableFunc(rows, func(a, b fleetRow) int { return cmp.Compare(rank(&b), rank(&a)) })
	}
	return say(fleetBody{At: utc(now), Total: len(rows), Servers: rows[:min(in.Limit, len(rows))]}), nil
}

func fleetRowOf(t target.Target, f *history.FleetServer, now time.Time) fleetRow {
	row := fleetRow{Server: t.Name, Enabled: t.Enabled}
	if f == nil {
		row.Coverage = coverage(history.Coverage{Range: history.Range{From: now, To: now}})
		row.CPUCountRow = cpuCount(t, nil)
		return row
	}
	row.CPUCountRow = cpuCount(t, f.CPUs)
	row.LastTickAt, row.LastTickAgeSeconds = utcOrNull(f.LastTick), age(f.LastTick, now)
	if f.LastTick != nil {
		outcome := f.LastOutcome.String()
		row.LastTickOutcome, row.LastTickReason = &outcome, textOrNull(f.LastReason.String())
	}
	if f.Load != nil {
		row.Load, row.LoadBy = roundedOrNull(f.Load), loadOf(f.LoadBy)
	}
	row.LoadYesterday, row.Blocked, row.OldestXmin, row.Burst = roundedOrNull(f.LoadYesterday), f.Blocked, f.OldestXmin, f.Burst
	row.Connections, row.MaxConnections = f.Connections, f.MaxConnections
	if f.OldestXact != nil {
		seconds := f.OldestXact.Seconds()
		row.OldestTransactionSeconds = &seconds
	}
	if d := f.LeastFree; d != nil {
		row.Disk = &fleetDiskRow{d.MountPoint, utc(d.At), d.Free, d.Total, 100 * d.Part()}
	}
	if f.FullIn != nil {
		hours := f.FullIn.Hours()
		row.DiskFullInHours = &hours
	}
	if f.Version != "" {
		role := "primary"
		if f.Standby {
			role = "standby"
		}
		row.Version, row.Role = &f.Version, &role
	}
	if f.LastEvent != nil {
		last := eventOf(*f.LastEvent)
		row.LastEvent = &last
	}
	row.Coverage = coverage(f.Coverage)
	return row
}

// fleetRank gives what a row is ordered by, the highest first; nil: the name,
// which the list is ordered by already.
func fleetRank(sort string) func(*fleetRow) float64 {
	return map[string]func(*fleetRow) float64{
		"load":               func(f *fleetRow) float64 { return rank(f.Load) },
		"blocked":            func(f *fleetRow) float64 { return rank(f.Blocked) },
		"oldest_transaction": func(f *fleetRow) float64 { return rank(f.OldestTransactionSeconds) },
		"oldest_xmin":        func(f *fleetRow) float64 { return rank(f.OldestXmin) },
		"last_tick":          func(f *fleetRow) float64 { return rank(f.LastTickAgeSeconds) },
		"connections": func(f *fleetRow) float64 {
			if f.Connections == nil || f.MaxConnections == nil || *f.MaxConnections == 0 {
				return -1
			}
			return float64(*f.Connections) / float64(*f.MaxConnections)
		},
		"disk": func(f *fleetRow) float64 {
			if f.Disk == nil {
				return -1
			}
			return 100 - f.Disk.FreePercent
		},
	}[sort]
}

// rank puts what is unknown last.
func rank[T int | int64 | float64](v *T) float64 {
	if v == nil {
		return -1
	}
	return float64(*v)
}

type fleetActivityInput struct {
	RangeQuery
	Step string `query:"step" doc:"Width of a bucket in whole minutes: 1m, 1h, 1d; default by the range. Steps that are not whole hours for at most two days." example:"1d"`
}

type fleetActivityBody struct {
	From        time.Time   `json:"from" doc:"As answered: whole minutes, hours or days, by the grain."`
	To          time.Time   `json:"to"`
	StepSeconds int64       `json:"step_seconds"`
	Grain       string      `json:"grain" enum:"minute,hour,day" doc:"The coarsest sums that the answer was made from."`
	Times       []time.Time `json:"times" nullable:"false" doc:"Starts of the buckets, multiples of the step since the Unix epoch."`
	Sessions    classSeries `json:"average_active_sessions" doc:"By wait class, added up over the servers; null: nothing is known."`
	PerServer   []*float64  `json:"average_active_sessions_per_server" nullable:"false" doc:"All classes, divided by servers."`
	Servers     []int64     `json:"servers" nullable:"false" doc:"Servers of which something is known in the bucket."`
	Planned     []int64     `json:"ticks_planned" nullable:"false" doc:"Of those servers."`
	Answered    []int64     `json:"ticks_answered" nullable:"false"`
}

func (r routes) fleetActivity(ctx context.Context, in *fleetActivityInput) (*output[fleetActivityBody], error) {
	span, err1 := in.parse(r.Now())
	step, err2 := parseStep(in.Step)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	plan, err := history.PlanFleet(span, step)
	if err != nil {
		return nil, err
	}
	a, err := r.History.FleetActivity(ctx, plan)
	if err != nil {
		return nil, err
	}
	known, perServer := make([]bool, len(a.Times)), make([]float64, len(a.Times))
	for i, n := range a.Servers {
		known[i] = n > 0
		for c := range a.Average {
			perServer[i] += a.Average[c][i] / float64(max(n, 1))
		}
	}
	series := func(c sample.WaitClass) []*float64 { return whereKnown(known, a.Average[c]) }
	return say(fleetActivityBody{
		From: utc(plan.Range.From), To: utc(plan.Range.To), StepSeconds: int64(plan.Step / time.Second), Grain: string(plan.Grain), Times: a.Times,
		Sessions: classSeries{
			CPU: series(sample.ClassCPU), Lock: series(sample.ClassLock), LWLock: series(sample.ClassLWLock), IO: series(sample.ClassIO),
			IPC: series(sample.ClassIPC), Client: series(sample.ClassClient), Timeout: series(sample.ClassTimeout),
			Buffer: series(sample.ClassBuffer), Extension: series(sample.ClassExtension), Other: series(sample.ClassOther),
			IdleInTransaction: series(sample.ClassIdleInTransaction),
		},
		PerServer: whereKnown(known, perServer), Servers: a.Servers, Planned: a.Planned, Answered: a.Answered,
	}), nil
}

type fleetMinutesRow struct {
	Server   string     `json:"server"`
	Sessions []*float64 `json:"average_active_sessions" nullable:"false" doc:"One element a minute; null: no tick was answered."`
}

type fleetMinutesBody struct {
	From    time.Time         `json:"from" doc:"As answered: whole minutes."`
	To      time.Time         `json:"to"`
	Times   []time.Time       `json:"times" nullable:"false" doc:"Starts of the minutes."`
	Servers []fleetMinutesRow `json:"servers" nullable:"false" doc:"By name; those of which nothing is known are left out."`
}

func (r routes) fleetMinutes(ctx context.Context, in *RangeQuery) (*output[fleetMinutesBody], error) {
	span, err := in.parse(r.Now())
	if err != nil {
		return nil, err
	}
	if span.Length() > mostFleetMinutes {
		return nil, fmt.Errorf("%w: minutes of all servers are given for six hours at most", history.ErrInvalid)
	}
	plan, err := history.PlanFleet(span, time.Minute)
	if err != nil {
		return nil, err
	}
	known, err := r.History.FleetMinutes(ctx, plan)
	if err != nil {
		return nil, err
	}
	body := fleetMinutesBody{From: utc(plan.Range.From), To: utc(plan.Range.To), Times: plan.Times(), Servers: []fleetMinutesRow{}}
	for _, t := range r.Live.Servers() {
		if minutes := known[t.ID]; minutes != nil {
			for i := range minutes {
				minutes[i] = roundedOrNull(minutes[i])
			}
			body.Servers = append(body.Servers, fleetMinutesRow{t.Name, minutes})
		}
	}
	return say(body), nil
}

// mostFleetMinutes bounds an answer that grows with servers and minutes.
const mostFleetMinutes = 6 * time.Hour
