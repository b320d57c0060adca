package history

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// incidentAtOnce bounds the connections that one incident takes.
	incidentAtOnce = 4
	// incidentKeys, incidentBlockers and incidentEvents bound what is told.
	incidentKeys     = 10
	incidentBlockers = 10
	incidentEvents   = 200
	// diskSlack is how long before the window a sample of a file system may be.
	diskSlack = 6 * time.Minute
)

// Incident tells what happened around an instant. The error wraps ErrGone where
// the ticks of the window are no longer kept.
func (r *Reader) Incident(ctx context.Context, t target.Target, q IncidentQuestion) (Incident, error) {
	i := Incident{Question: q}
	if err := r.ticksKept(ctx, t, q.Range.From); err != nil {
		return i, fmt.Errorf("read incident: %w", statsdb.Classify(err))
	}
	dimensions := []Dimension{ByWaitEvent, ByQuery, ByUser, ByApplication, ByDatabase, ByClient}
	i.Tops = make([]Comparison, len(dimensions))
	parts := []func(context.Context) error{
		func(ctx context.Context) (err error) { i.Instant, err = r.At(ctx, t, q.At); return err },
		func(ctx context.Context) (err error) {
			i.Blockers, err = r.Blockers(ctx, t.ID, q.Range, incidentBlockers)
			return err
		},
		func(ctx context.Context) error { return r.incidentActivity(ctx, t, &i) },
		func(ctx context.Context) error { return r.incidentDatabases(ctx, t, &i) },
		func(ctx context.Context) (err error) {
			i.Disks, err = r.diskTimeline(ctx, t.ID, Range{q.Range.From.Add(-diskSlack), q.Range.To})
			return err
		},
		func(ctx context.Context) (err error) {
			i.Events, err = r.Events(ctx, t, EventQuestion{Range: q.Range, Limit: incidentEvents + 1})
			i.MoreEvents = len(i.Events) > incidentEvents
			i.Events = i.Events[:min(len(i.Events), incidentEvents)]
			return err
		},
	}
	for n, by := range dimensions {
		parts = append(parts, func(ctx context.Context) (err error) { i.Tops[n], err = r.incidentTop(ctx, t, q, by); return err })
	}
	if err := together(ctx, incidentAtOnce, parts); err != nil {
		return i, fmt.Errorf("read incident: %w", err)
	}
	i.BaselineAnswered = i.Tops[0].Other.Answered
	return i, nil
}

// incidentStep gives a timeline of at most some hundred buckets.
func incidentStep(r Range) time.Duration {
	for _, step := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second} {
		if r.Length() <= 120*step {
			return step
		}
	}
	return time.Minute
}

// together runs parts, some at once, and gives the first error, which ends the
// others.
func together(ctx context.Context, atOnce int, parts []func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		running sync.WaitGroup
		first   = make(chan error, len(parts))
		places  = make(chan struct{}, atOnce)
	)
	for _, part := range parts {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if ctx.Err() != nil {
				return
			}
			if err := guard.Run(func() error { return part(ctx) }); err != nil {
				first <- err
				cancel(err)
			}
		})
	}
	running.Wait()
	select {
	case err := <-first:
		return err
	default:
		return context.Cause(ctx)
	}
}

// incidentActivity reads sessions by wait class, and how many connections there
// were and may be.
func (r *Reader) incidentActivity(ctx context.Context, t target.Target, i *Incident) error {
	kept, err := r.kept(ctx, t, ByWaitClass, nil)
	if err != nil {
		return statsdb.Classify(err)
	}
	plan, err := ActivityQuestion{Range: i.Question.Range, Step: incidentStep(i.Question.Range), By: ByWaitClass}.Plan(kept)
	if err != nil {
		return err
	}
	s, err := r.sums(ctx, t, plan, kept, true)
	if err != nil {
		return statsdb.Classify(err)
	}
	activity := s.activity()
	i.Activity, i.Coverage = activity.by(), activity.Coverage
	for n := range s.parts {
		if most := orNil(s.parts[n].MaxBackends); most != nil && (i.MaxBackends == nil || *i.MaxBackends < *most) {
			i.MaxBackends = most
		}
	}
	const maxConnections = `/* pgam:incident */
select max(value::bigint) from history.setting where server_id = $1 and name = 'max_connections' and value ~ '^[0-9]{1,9}$'`
	return statsdb.Classify(r.pool.QueryRow(ctx, maxConnections, t.ID).Scan(&i.MaxConnections))
}

// incidentTop compares with the baseline, or with nothing where that is not
// kept.
func (r *Reader) incidentTop(ctx context.Context, t target.Target, q IncidentQuestion, by Dimension) (Comparison, error) {
	both, err := r.Compare(ctx, t, CompareQuestion{Range: q.Range, Other: q.Baseline, By: by, Limit: incidentKeys})
	if !errors.Is(err, ErrGone) && !errors.Is(err, ErrCounting) {
		return both, err
	}
	top, err := r.Top(ctx, t, TopQuestion{Range: q.Range, By: by, Limit: incidentKeys})
	alone := Comparison{Top: top}
	for i := range top.Rows {
		alone.Rows = append(alone.Rows, ComparisonRow{Key: top.Rows[i].Key, Top: &top.Rows[i]})
	}
	return alone, err
}

// incidentDatabases reads what databases did in the window and before it.
func (r *Reader) incidentDatabases(ctx context.Context, t target.Target, i *Incident) error {
	for span, to := range map[Range]*DatabaseRates{i.Question.Range: &i.Databases, i.Question.Baseline: &i.Before} {
		plan, err := PlanSeries(span, time.Minute)
		if err != nil {
			return err
		}
		if *to, err = r.databaseRates(ctx, t.ID, plan); err != nil {
			return err
		}
	}
	return nil
}
