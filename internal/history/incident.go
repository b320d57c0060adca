package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// IncidentQuestion asks what happened at an instant.
type IncidentQuestion struct {
	At time.Time
	// Range is what is looked at, Baseline what it is compared with.
	Range, Baseline Range
}

// MostIncident is the longest range of an incident.
const MostIncident = 2 * time.Hour

// NewIncidentQuestion asks about a window around an instant; it is compared
// with the hour before it. The error wraps ErrInvalid.
func NewIncidentQuestion(at time.Time, window time.Duration) (IncidentQuestion, error) {
	if window < time.Minute || window > MostIncident || window%time.Second != 0 {
		return IncidentQuestion{}, fmt.Errorf("%w: window must be whole seconds, from 1m to %s", ErrInvalid, MostIncident)
	}
	at = at.UTC()
	r := Range{at.Add(-window / 2), at.Add(window - window/2)}
	return IncidentQuestion{At: at, Range: r, Baseline: Range{r.From.Add(-time.Hour), r.From}}, nil
}

// Incident is what happened around an instant.
type Incident struct {
	Question IncidentQuestion
	Activity ActivityBy
	Instant  Instant
	// Blockers are what held others up over the range, those first for which
	// most time was waited.
	Blockers []Blocker
	// Tops say what took the time, compared with the baseline.
	Tops []Comparison
	// Databases and those of the baseline have one bucket of all their range.
	Databases, Before DatabaseRates
	Disks             DiskTimeline
	// Events are the newest first; MoreEvents says that older ones are left out.
	Events     []Event
	MoreEvents bool
	// MaxBackends is the most connections of the range; nil: not known.
	// MaxConnections is how many there may be, as last seen.
	MaxBackends    *int32
	MaxConnections *int64
	Coverage       Coverage
	// BaselineAnswered counts the ticks of the baseline whose sessions were read.
	BaselineAnswered int64
}

// Severity says how much a finding matters.
type Severity string

// The severities, the worst first.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
	Info     Severity = "info"
)

// Finding is a sentence about an incident, with the numbers it is made of in
// it.
type Finding struct {
	Severity Severity
	// Rule names what it was found by: coverage, blocking, connections, event,
	// load, wait, query, transaction, xmin, deadlocks, commits, disk.
	Rule string
	Text string
	At   *time.Time // nil: it is about the whole range
}

// The thresholds of the rules.
const (
	manyBehind, someBehind     = 10, 3
	longBlocked                = 10 * time.Second
	fullConnections            = 0.97
	highConnections            = 0.9
	leastShare, leastAverage   = 0.2, 1.0
	timesMore                  = 2.0
	longIdle                   = 5 * time.Minute
	oldXmin, veryOldXmin       = 1_000_000, 100_000_000
	littleFree, veryLittleFree = 0.1, 0.03
	leastCommits               = 1.0
)

// Findings says what stands out, the worst first.
//
// The rules: ticks that were not seen; each blocker, critical with ten sessions
// behind it, a warning with three or after ten seconds; connections from 90 % of
// what is allowed, critical from 97 %; events, critical where the server went
// away or changed its role; a load, a wait or a query that takes a fifth of the
// time and at least one session, and twice as much as in the baseline or more;
// transactions idle for five minutes; an xmin a million transactions old,
// critical from a hundred million; deadlocks; commits that fell to half; file
// systems with a tenth free, critical with 3 %.
func (i *Incident) Findings() []Finding {
	var f findings
	i.coverage(&f)
	i.blocking(&f)
	i.connections(&f)
	i.happened(&f)
	i.load(&f)
	i.transactions(&f)
	i.counters(&f)
	i.space(&f)
	order := []Severity{Critical, Warning, Info}
	slices.SortStableFunc(f, func(a, b Finding) int {
		return cmp.Compare(slices.Index(order, a.Severity), slices.Index(order, b.Severity))
	})
	return f
}

// Missing says what is not known, so that nobody takes its absence for a good
// sign.
func (i *Incident) Missing() []string {
	var list []string
	say := func(missing bool, text string) {
		if missing {
			list = append(list, text)
		}
	}
	say(i.Coverage.Answered() == 0, "no tick of the window was answered: sessions, waits and blockers are not known")
	say(i.Instant.At.IsZero(), "no answered tick is near the instant: its sessions are not known")
	untracked := 0
	for n := range i.Instant.Sessions {
		if i.Instant.Sessions[n].State == sample.Untracked {
			untracked++
		}
	}
	say(untracked > 0, count(untracked, "session")+" at the instant had track_activities off: what they ran is not known")
	say(i.BaselineAnswered == 0, "no tick of the hour before was answered: there is nothing to compare with")
	say(len(i.Databases.Databases) == 0, "no sample of databases is stored for the window")
	say(len(i.Disks.Disks) == 0, "no sample of disks is stored for the window")
	say(i.MaxConnections == nil, "max_connections is not known")
	say(i.MoreEvents, fmt.Sprintf("only the newest %d events of the window are here: history/events has the others", len(i.Events)))
	return list
}

type findings []Finding

func (f *findings) add(severity Severity, rule string, at *time.Time, format string, args ...any) {
	*f = append(*f, Finding{Severity: severity, Rule: rule, At: at, Text: fmt.Sprintf(format, args...)})
}

func (i *Incident) coverage(f *findings) {
	c := i.Coverage
	missing := c.Failed + c.Skipped
	if missing == 0 || c.Planned == 0 {
		return
	}
	reasons := make(map[sample.Reason]int64)
	for _, by := range []map[sample.Reason]int64{c.FailedBy, c.SkippedBy} {
		for reason, n := range by {
			reasons[reason] += n
		}
	}
	var named []string
	for reason, n := range reasons {
		name := reason.String()
		if reason == sample.None {
			name = "no reason kept"
		}
		named = append(named, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(named)
	severity := Info
	switch {
	case c.Answered() == 0:
		severity = Critical
	case missing*10 >= c.Planned || c.LongestGap >= longBlocked:
		severity = Warning
	}
	f.add(severity, "coverage", nil, "%d of %d ticks were not seen, for %s on end at most: %s",
		missing, c.Planned, seconds(c.LongestGap), strings.Join(named, ", "))
}

func (i *Incident) blocking(f *findings) {
	for _, b := range i.Blockers {
		severity, waited := Info, b.Behind+len(b.Ring)
		switch {
		case waited >= manyBehind:
			severity = Critical
		case waited >= someBehind || b.Blocked >= longBlocked:
			severity = Warning
		}
		what := "a lock"
		if b.Lock != nil {
			what = "a lock of the type " + b.Lock.Type
			if b.Lock.Relation != nil {
				what += " on " + *b.Lock.Relation
			}
		}
		at := b.MostAt
		if len(b.Ring) > 1 {
			f.add(severity, "blocking", &at, "%d sessions waited for each other and %s for %s", len(b.Ring), what, seconds(b.Blocked))
			continue
		}
		f.add(severity, "blocking", &at, "%s waited for %s behind %s; somebody waited for it for %s",
			count(b.Behind, "session"), what, i.describe(&b.RootBlocker, at), seconds(b.Blocked))
	}
}

// describe names what held others up, as of an instant.
func (i *Incident) describe(b *RootBlocker, at time.Time) string {
	s := b.Session
	if s == nil {
		return "one that was not seen"
	}
	var text string
	switch b.Kind {
	case PreparedBlocker:
		text = "a prepared transaction"
		if s.Application != nil {
			text += " " + *s.Application
		}
		if s.BackendStart != nil {
			text += ", prepared " + seconds(at.Sub(*s.BackendStart)) + " before"
		}
		return text
	case IdleInXact:
		text = fmt.Sprintf("pid %d, idle in transaction", s.PID)
		if s.StateChange != nil {
			text += " for " + seconds(at.Sub(*s.StateChange))
		}
	case NotTracked:
		text = fmt.Sprintf("pid %d, whose track_activities is off", s.PID)
	case IdleBlocker:
		text = fmt.Sprintf("pid %d, idle", s.PID)
	default:
		text = fmt.Sprintf("pid %d, active", s.PID)
		if s.QueryStart != nil {
			text += " for " + seconds(at.Sub(*s.QueryStart))
		}
	}
	if s.Application != nil {
		text += ", application " + *s.Application
	}
	if s.User != nil {
		text += ", user " + *s.User
	}
	return text
}

func (i *Incident) connections(f *findings) {
	if i.MaxBackends == nil || i.MaxConnections == nil || *i.MaxConnections <= 0 {
		return
	}
	part := float64(*i.MaxBackends) / float64(*i.MaxConnections)
	switch {
	case part >= fullConnections:
		f.add(Critical, "connections", nil, "connections reached %d of %d", *i.MaxBackends, *i.MaxConnections)
	case part >= highConnections:
		f.add(Warning, "connections", nil, "connections reached %d of %d", *i.MaxBackends, *i.MaxConnections)
	}
}

func (i *Incident) happened(f *findings) {
	for n := range i.Events {
		e := &i.Events[n]
		severity := Info
		switch e.Kind { //nolint:exhaustive // the others are for information
		case sample.EventRestart, sample.EventCrash, sample.EventPromotion, sample.EventDemotion, sample.EventInstance:
			severity = Critical
		case sample.EventClockDiffers, sample.EventDatabaseDropped, sample.EventCollectorGap, sample.EventCollectorClock, sample.EventCollectorStopped, sample.EventVersion:
			severity = Warning
		}
		text := e.At.UTC().Format("15:04:05") + ": " + strings.ReplaceAll(string(e.Kind), "_", " ")
		if e.Subject != "" {
			text += " " + e.Subject
		}
		switch {
		case e.Old != nil && e.New != nil:
			text += ", from " + *e.Old + " to " + *e.New
		case e.New != nil:
			text += ", " + *e.New
		}
		if e.Detail != nil {
			text += " (" + *e.Detail + ")"
		}
		f.add(severity, "event", &e.At, "%s", text)
	}
}

// more says by how much something grew; ok is false where it is not enough to
// be told. atMost says that before may have been less.
func (i *Incident) more(now, before float64, atMost bool) (text string, ok bool) {
	switch {
	case i.BaselineAnswered == 0:
		return "", false
	case before < now/1000:
		return "and next to none the hour before", true
	case now < timesMore*before:
		return "", false
	case atMost:
		return fmt.Sprintf("at least %.3g x the hour before", now/before), true
	}
	return fmt.Sprintf("%.3g x the hour before", now/before), true
}

func (i *Incident) load(f *findings) {
	for n := range i.Tops {
		c := &i.Tops[n]
		if c.Top.By == ByWaitEvent && c.Top.Answered > 0 {
			average := float64(c.Top.Samples) / float64(c.Top.Answered)
			before := 0.0
			if c.Other.Answered > 0 {
				before = float64(c.Other.Samples) / float64(c.Other.Answered)
			}
			if text, ok := i.more(average, before, false); ok && average >= leastAverage {
				f.add(Warning, "load", nil, "%.3g sessions were at work on average, %s", average, text)
			}
		}
		for m := range c.Rows {
			i.grown(f, c, &c.Rows[m])
		}
	}
}

// grown tells of a wait or a query that takes much more than before.
func (i *Incident) grown(f *findings, c *Comparison, row *ComparisonRow) {
	if row.Top == nil || row.Top.Share < leastShare || row.Top.Average < leastAverage {
		return
	}
	before := 0.0
	switch {
	case row.Other != nil:
		before = row.Other.Average
	case c.Other.Answered > 0: // it is not known, but was no more than all that is listed under no key
		before = float64(c.Other.Unlisted) / float64(c.Other.Answered)
	}
	text, ok := i.more(row.Top.Average, before, row.Other == nil)
	percent := math.Round(100 * row.Top.Share)
	switch {
	case !ok:
	case c.Top.By == ByWaitEvent:
		f.add(Warning, "wait", nil, "%.0f %% of the time was %s, %s", percent, row.Key.Label, text)
	case c.Top.By == ByQuery && row.Key.Label != "":
		query := "query " + row.Key.Label
		if row.Key.Text != nil {
			query += " (" + shortened(*row.Key.Text) + ")"
		}
		f.add(Warning, "query", nil, "%.0f %% of the time was %s, %s", percent, query, text)
	}
}

func (i *Incident) transactions(f *findings) {
	for n := range i.Instant.Sessions {
		s := &i.Instant.Sessions[n]
		if KindOf(s) != IdleInXact || s.StateChange == nil {
			continue
		}
		if idle := i.Instant.At.Sub(*s.StateChange); idle >= longIdle {
			text := fmt.Sprintf("pid %d was idle in transaction for %s", s.PID, seconds(idle))
			if s.Application != nil {
				text += ", application " + *s.Application
			}
			f.add(Warning, "transaction", &i.Instant.At, "%s", text)
		}
	}
	if len(i.Instant.Xmin) == 0 || i.Instant.Xmin[0].Age < oldXmin {
		return
	}
	h, severity := &i.Instant.Xmin[0], Warning
	if h.Age >= veryOldXmin {
		severity = Critical
	}
	name := strings.ReplaceAll(h.Holder, "_", " ") + " " + h.Name
	if h.PID != nil {
		name = fmt.Sprintf("pid %d", *h.PID)
	}
	f.add(severity, "xmin", &h.SampledAt, "%s kept the rows of %d transactions from being vacuumed", name, h.Age)
}

func (i *Incident) counters(f *findings) {
	for n := range i.Databases.Databases {
		d := &i.Databases.Databases[n]
		deadlocks := int64(0)
		for _, more := range d.Deadlocks {
			deadlocks += more
		}
		if deadlocks > 0 {
			f.add(Warning, "deadlocks", nil, "%s in %s", count(int(deadlocks), "deadlock"), d.Name)
		}
		at := slices.IndexFunc(i.Before.Databases, func(o DatabaseRate) bool { return o.Name == d.Name })
		if at < 0 {
			continue
		}
		b := &i.Before.Databases[at]
		rate, counted := d.PerSecond(d.Commits)
		rateBefore, countedBefore := b.PerSecond(b.Commits)
		if counted && countedBefore && rateBefore >= leastCommits && rate <= rateBefore/timesMore {
			f.add(Warning, "commits", nil, "commits in %s fell to %.3g a second, from %.3g the hour before", d.Name, rate, rateBefore)
		}
	}
}

func (i *Incident) space(f *findings) {
	for _, d := range i.Disks.Disks {
		if len(d.Points) == 0 {
			continue
		}
		p := d.Points[len(d.Points)-1]
		if p.Free == nil || p.Total == nil || *p.Total <= 0 {
			continue
		}
		part := float64(*p.Free) / float64(*p.Total)
		severity := Warning
		switch {
		case part > littleFree:
			continue
		case part <= veryLittleFree:
			severity = Critical
		}
		f.add(severity, "disk", &p.At, "%.1f %% of %s was free", 100*part, d.MountPoint)
	}
}

// seconds writes a duration for a sentence.
func seconds(d time.Duration) string {
	d = max(d, 0)
	if d < 10*time.Second {
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shortened cuts a statement for a sentence.
func shortened(text string) string {
	const most = 80
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + " …"
	}
	return text
}
