package v1

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/history"
)

type findingOf struct {
	Severity string     `json:"severity" enum:"critical,warning,info"`
	Rule     string     `json:"rule" enum:"coverage,blocking,connections,event,load,wait,query,transaction,xmin,deadlocks,commits,disk"`
	Text     string     `json:"text"`
	At       *time.Time `json:"at" doc:"Null: it is about the whole window."`
}

// BlockerRow is what held others up over a range.
type BlockerRow struct {
	Root            rootRow   `json:"root" doc:"As of most_at, when most sessions were behind it."`
	FirstAt         time.Time `json:"first_at" doc:"First tick at which somebody waited for it."`
	LastAt          time.Time `json:"last_at"`
	MostAt          time.Time `json:"most_at"`
	BlockedSeconds  float64   `json:"blocked_seconds" doc:"Time in which somebody waited for it."`
	SessionSeconds  float64   `json:"session_seconds" doc:"That of all who waited, added up."`
	SessionsBlocked int       `json:"sessions_blocked" doc:"Sessions that waited for it, each once."`
}

type incidentTop struct {
	By       string       `json:"by" enum:"wait_event,query,user,application,database,client"`
	Rows     []compareRow `json:"rows" nullable:"false" doc:"The most frequent of the window first; other_range is the hour before."`
	Samples  int64        `json:"samples" doc:"Session samples of the window."`
	Ticks    int64        `json:"answered_ticks"`
	Baseline int64        `json:"baseline_ticks" doc:"Answered ticks of the hour before; 0: there is nothing to compare with."`
}

type incidentDatabase struct {
	Database                 string   `json:"database"`
	CommitsPerSecond         *float64 `json:"commits_per_second"`
	RollbacksPerSecond       *float64 `json:"rollbacks_per_second"`
	BlocksReadPerSecond      *float64 `json:"blocks_read_per_second"`
	BlocksHitPerSecond       *float64 `json:"blocks_hit_per_second"`
	TempBytesPerSecond       *float64 `json:"temp_bytes_per_second"`
	Deadlocks                int64    `json:"deadlocks"`
	MaxConnections           int32    `json:"max_connections"`
	BaselineCommitsPerSecond *float64 `json:"baseline_commits_per_second" doc:"Of the hour before; null: not known."`
	BaselineReadPerSecond    *float64 `json:"baseline_blocks_read_per_second"`
}

type incidentBody struct {
	Server         string             `json:"server"`
	At             time.Time          `json:"at"`
	From           time.Time          `json:"from"`
	To             time.Time          `json:"to"`
	BaselineFrom   time.Time          `json:"baseline_from" doc:"What the window is compared with: the hour before it."`
	BaselineTo     time.Time          `json:"baseline_to"`
	Findings       []findingOf        `json:"findings" nullable:"false" doc:"What stands out, the worst first, by the rules in docs/INCIDENT.md."`
	Missing        []string           `json:"missing" nullable:"false" doc:"What is not known, so that its absence is no good sign."`
	Timeline       activitySeries     `json:"timeline" doc:"Sessions by wait class over the window."`
	Instant        instantBody        `json:"instant" doc:"The instant itself: the twenty sessions that are longest in a transaction or a statement. All of them: history/at."`
	Blockers       []BlockerRow       `json:"blockers" nullable:"false" doc:"What held others up over the window; those first for which most time was waited."`
	Tops           []incidentTop      `json:"tops" nullable:"false"`
	Databases      []incidentDatabase `json:"databases" nullable:"false" doc:"Rates over the window."`
	MaxBackends    *int32             `json:"max_backends" doc:"Most connections of the window."`
	MaxConnections *int64             `json:"max_connections" doc:"The server's setting, as last seen."`
	Disks          []diskSeriesRow    `json:"disks" nullable:"false"`
	Events         []eventRow         `json:"events" nullable:"false" doc:"In the order of time."`
	Coverage       coverageRow        `json:"coverage"`
}

type incidentInput struct {
	ServerPath
	At     string `query:"at" doc:"RFC 3339; default five minutes ago." example:"2026-11-22T03:12:00Z"`
	Window string `query:"window" doc:"Length of what is looked at, half of it before the instant: 1m to 2h." default:"10m"`
}

func (r routes) incident(ctx context.Context, in *incidentInput) (*output[incidentBody], error) {
	q, err := in.question(r.Now())
	if err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	i, err := r.History.Incident(ctx, t, q)
	if err != nil {
		return nil, err
	}
	body := incidentOf(t.Name, &i)
	if body.Timeline.CPUCountRow, err = r.cpuCount(ctx, t, q.Range.To); err != nil {
		return nil, err
	}
	return say(body), nil
}

func (in *incidentInput) question(now time.Time) (q history.IncidentQuestion, err error) {
	at, err := parseInstant("at", in.At, now.Add(-5*time.Minute))
	if err != nil {
		return q, err
	}
	window, err := parseStep(in.Window)
	if err != nil {
		return q, fmt.Errorf("%w: window is not a duration: write 10m or 1h", history.ErrInvalid)
	}
	return history.NewIncidentQuestion(at, window)
}

// oldestSessions is how many sessions of the instant are shown.
const oldestSessions = 20

func incidentOf(server string, i *history.Incident) incidentBody {
	q := i.Question
	body := incidentBody{
		Server: server, At: utc(q.At), From: utc(q.Range.From), To: utc(q.Range.To),
		BaselineFrom: utc(q.Baseline.From), BaselineTo: utc(q.Baseline.To),
		Findings: []findingOf{}, Missing: append([]string{}, i.Missing()...), Timeline: seriesOf(server, i.Activity),
		Blockers: make([]BlockerRow, len(i.Blockers)), Tops: make([]incidentTop, len(i.Tops)), Databases: incidentDatabases(i),
		MaxBackends: i.MaxBackends, MaxConnections: i.MaxConnections, Disks: make([]diskSeriesRow, len(i.Disks.Disks)), Events: []eventRow{},
		Coverage: coverage(i.Coverage),
	}
	for _, f := range i.Findings() {
		body.Findings = append(body.Findings, findingOf{string(f.Severity), f.Rule, f.Text, utcOrNull(f.At)})
	}
	body.Instant = oldestOf(server, i.Instant)
	for n, b := range i.Blockers {
		body.Blockers[n] = blockerOf(b)
	}
	for n, c := range i.Tops {
		body.Tops[n] = incidentTopOf(c)
	}
	for n, d := range i.Disks.Disks {
		body.Disks[n] = diskSeriesOf(d)
	}
	for _, e := range slices.Backward(i.Events) {
		body.Events = append(body.Events, eventOf(e))
	}
	return body
}

func blockerOf(b history.Blocker) BlockerRow {
	return BlockerRow{
		Root: rootOf(b.RootBlocker, b.MostAt), FirstAt: utc(b.First), LastAt: utc(b.Last), MostAt: utc(b.MostAt),
		BlockedSeconds: b.Blocked.Seconds(), SessionSeconds: b.SessionTime.Seconds(), SessionsBlocked: b.Victims,
	}
}

// oldestOf shows the sessions of an instant that are longest at what they do,
// and the edges among them.
func oldestOf(server string, instant history.Instant) instantBody {
	since := func(s *history.Session) time.Time {
		switch {
		case s.XactStart != nil:
			return *s.XactStart
		case s.QueryStart != nil:
			return *s.QueryStart
		}
		return instant.At
	}
	all := slices.Clone(instant.Sessions)
	slices.SortStableFunc(all, func(a, b history.Session) int { return since(&a).Compare(since(&b)) })
	total := len(all)
	instant.Sessions = all[:min(len(all), oldestSessions)]
	slices.SortFunc(instant.Sessions, func(a, b history.Session) int { return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.ID, b.ID)) })
	body := instantOf(server, instant, sessionPlace{}, oldestSessions)
	body.Total = total
	return body
}

func incidentTopOf(c history.Comparison) incidentTop {
	top := incidentTop{By: string(c.Top.By), Rows: make([]compareRow, 0, len(c.Rows)), Samples: c.Top.Samples, Ticks: c.Top.Answered, Baseline: c.Other.Answered}
	rows := slices.Clone(c.Rows)
	share := func(r history.ComparisonRow) float64 {
		if r.Top == nil {
			return -1
		}
		return r.Top.Average
	}
	slices.SortStableFunc(rows, func(a, b history.ComparisonRow) int { return cmp.Compare(share(b), share(a)) })
	for _, row := range rows {
		top.Rows = append(top.Rows, compareRowOf(row))
	}
	return top
}

// incidentDatabases gives rates of the window and of the hour before.
func incidentDatabases(i *history.Incident) []incidentDatabase {
	rows := make([]incidentDatabase, len(i.Databases.Databases))
	rate := func(d *history.DatabaseRate, counts []float64) *float64 {
		if perSecond, counted := d.PerSecond(counts); counted {
			return &perSecond
		}
		return nil
	}
	for n := range i.Databases.Databases {
		d := &i.Databases.Databases[n]
		row := incidentDatabase{
			Database: d.Name, CommitsPerSecond: rate(d, d.Commits), RollbacksPerSecond: rate(d, d.Rollbacks),
			BlocksReadPerSecond: rate(d, d.BlocksRead), BlocksHitPerSecond: rate(d, d.BlocksHit),
			TempBytesPerSecond: rate(d, d.TempBytes), MaxConnections: slices.Max(append(d.MaxConnections, 0)),
		}
		for _, deadlocks := range d.Deadlocks {
			row.Deadlocks += deadlocks
		}
		at := slices.IndexFunc(i.Before.Databases, func(o history.DatabaseRate) bool { return o.Name == d.Name })
		if at >= 0 {
			before := &i.Before.Databases[at]
			row.BaselineCommitsPerSecond, row.BaselineReadPerSecond = rate(before, before.Commits), rate(before, before.BlocksRead)
		}
		rows[n] = row
	}
	return rows
}
