package v1

import (
	"context"
	"errors"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// none is how a filter asks for what has no value of a dimension.
const none = "(none)"

// FilterQuery leaves only some sessions: repeated, a parameter means any of its
// values, and with an exclamation mark none of them.
type FilterQuery struct {
	WaitClass   []string `query:"wait_class,explode" doc:"Only sessions of this class; several times: any of them. So for all filters; (none) is what has none. A filter on another dimension than the one grouped by is answered for at most six hours." example:"lock"`
	WaitEvent   []string `query:"wait_event,explode" doc:"Type and event." example:"Lock:transactionid"`
	State       []string `query:"state,explode" example:"active"`
	QueryID     []string `query:"query_id,explode" example:"-8123456789012345678"`
	Database    []string `query:"database,explode" example:"shop"`
	User        []string `query:"user,explode" example:"app"`
	Application []string `query:"application,explode" example:"psql"`
	Client      []string `query:"client,explode" doc:"Client address; (none) for a Unix socket." example:"10.0.0.7"`
	BackendType []string `query:"backend_type,explode" example:"client backend"`

	NotWaitClass   []string `query:"wait_class!,explode" doc:"Only sessions of another class; several times: of none of them. So for all filters." example:"lock"`
	NotWaitEvent   []string `query:"wait_event!,explode" example:"Lock:transactionid"`
	NotState       []string `query:"state!,explode" example:"active"`
	NotQueryID     []string `query:"query_id!,explode" example:"-8123456789012345678"`
	NotDatabase    []string `query:"database!,explode" example:"shop"`
	NotUser        []string `query:"user!,explode" example:"app"`
	NotApplication []string `query:"application!,explode" example:"psql"`
	NotClient      []string `query:"client!,explode" example:"10.0.0.7"`
	NotBackendType []string `query:"backend_type!,explode" example:"client backend"`
}

func (q FilterQuery) filter() history.Filter {
	f := history.Filter{
		history.ByWaitClass: {Any: q.WaitClass, Not: q.NotWaitClass}, history.ByWaitEvent: {Any: q.WaitEvent, Not: q.NotWaitEvent},
		history.ByState: {Any: q.State, Not: q.NotState}, history.ByQuery: {Any: q.QueryID, Not: q.NotQueryID},
		history.ByDatabase: {Any: q.Database, Not: q.NotDatabase}, history.ByUser: {Any: q.User, Not: q.NotUser},
		history.ByApplication: {Any: q.Application, Not: q.NotApplication}, history.ByClient: {Any: q.Client, Not: q.NotClient},
		history.ByBackendType: {Any: q.BackendType, Not: q.NotBackendType},
	}
	for _, values := range f {
		for _, list := range [][]string{values.Any, values.Not} {
			for i, v := range list {
				if v == none {
					list[i] = ""
				}
			}
		}
	}
	return f
}

type activityInputs struct {
	ServerPath
	RangeQuery
	FilterQuery
	Step    string `query:"step" doc:"Width of a bucket: 1s, 5m, 1h, 1d; default by the range and by how often the server is looked at. Below 1m, and grouped by other than waits for what is not a multiple of 10m, for at most six hours." example:"1m"`
	GroupBy string `query:"group_by" enum:"wait_class,wait_event,state,query,database,user,application,client,backend_type" default:"wait_class"`
	Limit   int    `query:"limit" minimum:"1" maximum:"100" default:"10" doc:"Series; what has none is in other. Of wait classes there are always all."`
}

type activitySeries struct {
	Server      string       `json:"server"`
	From        time.Time    `json:"from" doc:"As answered: whole minutes, unless the step is shorter; wider where nothing finer is kept."`
	To          time.Time    `json:"to"`
	StepSeconds int64        `json:"step_seconds"`
	Grain       string       `json:"grain" enum:"tick,minute,10minute,hour,day" doc:"The coarsest sums that the answer was made from; what is not summed up yet, and the ends of the range, come from finer ones."`
	GroupBy     string       `json:"group_by,omitempty" doc:"Not there where it is wait_class."`
	Times       []time.Time  `json:"times" nullable:"false" doc:"Starts of the buckets, multiples of the step since the Unix epoch."`
	Sessions    *classSeries `json:"average_active_sessions,omitempty" doc:"Grouped by wait class: one element a bucket; null: no tick was answered."`
	Series      []keySeries  `json:"series,omitzero" doc:"Grouped by anything else: one a key, the most frequent of the range first."`
	Other       []*float64   `json:"other,omitempty" doc:"Average active sessions of all other keys; with a filter also what sums do not list by key, whether it fits or not."`
	OtherKeys   *int         `json:"other_keys,omitempty" doc:"At least so many keys are in other."`
	MaxSessions []*int32     `json:"max_sessions" nullable:"false" doc:"Most sessions in one tick; null: no tick was answered, or sums do not tell because of the filter."`
	CPUCountRow
	Coverage coverageRow `json:"coverage"`
}

// CPUCountRow is how many processors a server's host has.
type CPUCountRow struct {
	CPUCount       *int    `json:"cpu_count" doc:"Processors of the host at the end of the range, to hold the class cpu against; null: not known."`
	CPUCountSource *string `json:"cpu_count_source" enum:"option,host" doc:"option: the server's cpu_count, as somebody typed in; host: what it has online, told where its disks are looked at, without quotas of containers. Null: not known."`
}

func cpuCount(t target.Target, sampled *int) (row CPUCountRow) {
	source := "host"
	if row.CPUCount = sampled; t.CPUs != nil {
		row.CPUCount, source = t.CPUs, "option"
	}
	if row.CPUCount != nil {
		row.CPUCountSource = &source
	}
	return row
}

// cpuCount gives how many processors a host had at an instant.
func (r routes) cpuCount(ctx context.Context, t target.Target, at time.Time) (row CPUCountRow, err error) {
	var sampled *int
	if t.CPUs == nil {
		sampled, err = r.History.CPUs(ctx, t.ID, at)
	}
	return cpuCount(t, sampled), err
}

// ValueRow is one value of a dimension.
type ValueRow struct {
	Key       *string `json:"key" doc:"What it is called, of a query its query_id; null: none (no query, no database, a Unix socket)."`
	WaitClass *string `json:"wait_class" doc:"Of a wait event."`
	QueryID   *string `json:"query_id" doc:"As text, for it does not fit a JavaScript number."`
	QueryOwn  bool    `json:"query_id_is_own" doc:"query_id is pgam's fingerprint, not PostgreSQL's."`
	Query     *string `json:"query" doc:"As the server's query texts are kept; null: not known."`
}

func keyOf(k history.Key) ValueRow {
	row := ValueRow{QueryID: idText(k.QueryID), QueryOwn: k.OwnFingerprint, Query: k.Text}
	if k.Label != "" {
		row.Key = &k.Label
	}
	if k.Class != "" {
		row.WaitClass = &k.Class
	}
	return row
}

type keySeries struct {
	ValueRow
	Sessions []*float64 `json:"average_active_sessions" nullable:"false" doc:"One element a bucket; null: no tick was answered."`
}

type classSeries struct {
	CPU               []*float64 `json:"cpu" nullable:"false"`
	Lock              []*float64 `json:"lock" nullable:"false"`
	LWLock            []*float64 `json:"lwlock" nullable:"false"`
	IO                []*float64 `json:"io" nullable:"false"`
	IPC               []*float64 `json:"ipc" nullable:"false"`
	Client            []*float64 `json:"client" nullable:"false"`
	Timeout           []*float64 `json:"timeout" nullable:"false"`
	Buffer            []*float64 `json:"buffer" nullable:"false"`
	Extension         []*float64 `json:"extension" nullable:"false"`
	Other             []*float64 `json:"other" nullable:"false"`
	IdleInTransaction []*float64 `json:"idle_in_transaction" nullable:"false"`
}

func (r routes) historyActivity(ctx context.Context, in *activityInputs) (*output[activitySeries], error) {
	span, err1 := in.parse(r.Now())
	step, err2 := parseStep(in.Step)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	q := history.ActivityQuestion{Range: span, Step: step, By: history.Dimension(in.GroupBy), Filter: in.filter(), Limit: in.Limit}
	// What no retention makes answerable is refused whatever the server.
	if _, err := q.Plan(nil); err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	q.Cadence = t.Intervals.Activity
	a, err := r.History.ActivityBy(ctx, t, q)
	if err != nil {
		return nil, err
	}
	series := seriesOf(t.Name, a)
	if series.CPUCountRow, err = r.cpuCount(ctx, t, a.Plan.Range.To); err != nil {
		return nil, err
	}
	return say(series), nil
}

// averages divides samples by ticks.
func averages(samples, answered []int64) []*float64 {
	values, series := make([]float64, len(answered)), make([]*float64, len(answered))
	for i := range answered {
		if answered[i] > 0 {
			if samples != nil {
				values[i] = rounded(average(samples[i], answered[i]))
			}
			series[i] = &values[i]
		}
	}
	return series
}

func seriesOf(server string, a history.ActivityBy) activitySeries {
	most := make([]*int32, len(a.Times))
	for i := range a.MaxSessions {
		if a.Answered[i] > 0 {
			most[i] = &a.MaxSessions[i]
		}
	}
	body := activitySeries{
		Server: server, From: a.Plan.Range.From, To: a.Plan.Range.To,
		StepSeconds: int64(a.Plan.Step / time.Second), Grain: string(a.Plan.Grain), Times: a.Times,
		MaxSessions: most, Coverage: coverage(a.Coverage),
	}
	if a.By == history.ByWaitClass {
		body.Sessions = classesOf(a)
		return body
	}
	body.GroupBy, body.Other, body.OtherKeys = string(a.By), averages(a.Tail, a.Answered), &a.TailKeys
	body.Series = make([]keySeries, 0, len(a.Keys)) // none is not the same as not grouped
	for i, key := range a.Keys {
		body.Series = append(body.Series, keySeries{keyOf(key), averages(a.Samples[i], a.Answered)})
	}
	return body
}

func classesOf(a history.ActivityBy) *classSeries {
	of := func(class sample.WaitClass) []*float64 {
		for i, key := range a.Keys {
			if key.Label == class.String() {
				return averages(a.Samples[i], a.Answered)
			}
		}
		return averages(nil, a.Answered)
	}
	return &classSeries{
		CPU: of(sample.ClassCPU), Lock: of(sample.ClassLock), LWLock: of(sample.ClassLWLock), IO: of(sample.ClassIO), IPC: of(sample.ClassIPC),
		Client: of(sample.ClassClient), Timeout: of(sample.ClassTimeout), Buffer: of(sample.ClassBuffer),
		Extension: of(sample.ClassExtension), Other: of(sample.ClassOther), IdleInTransaction: of(sample.ClassIdleInTransaction),
	}
}
