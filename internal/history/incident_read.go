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
	parts := []func(context.Context) error{
		func(ctx context.Context) (err error) { i.Instant, err = r.At(ctx, t, q.At); return err },
		func(ctx context.Context) (err error) {
			i.Blockers, err = r.Blockers(ctx, t.ID, q.Range, incidentBlockers)
			return err
		},
		func(ctx context.Context) error { return r.incidentTops(ctx, t, &i) },
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
	if err := together(ctx, incidentAtOnce, parts); err != nil {
		return i, fmt.Errorf("read incident: %w", err)
	}
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
	activity, s, err := r.classes(ctx, t, plan, kept)
	if err != nil {
		return statsdb.Classify(err)
	}
	i.Activity, i.Coverage = activity, activity.Coverage
	for n := range s.parts {
		if most := orNil(s.parts[n].MaxBackends); most != nil && (i.MaxBackends == nil || *i.MaxBackends < *most) {
			i.MaxBackends = most
		}
	}
	const maxConnections = `/* pgam:incident */
select max(value::bigint) from history.setting where server_id = $1 and name = 'max_connections' and value ~ '^[0-9]{1,9}$'`
	return statsdb.Classify(r.pool.QueryRow(ctx, maxConnections, t.ID).Scan(&i.MaxConnections))
}

// incidentTops compares with the baseline, or with nothing where that is not kept.
func (r *Reader) incidentTops(ctx context.Context, t target.Target, i *Incident) error {
	by := []Dimension{ByWaitEvent, ByQuery, ByUser, ByApplication, ByDatabase, ByClient}
	now, before := TopQuestion{Range: i.Question.Range, Limit: incidentKeys}, TopQuestion{Range: i.Question.Baseline, Limit: incidentKeys}
	all, err := r.tops(ctx, t, by, now, before)
	if errors.Is(err, ErrGone) || errors.Is(err, ErrCounting) {
		all, err = r.tops(ctx, t, by, now)
	}
	if err != nil {
		return err
	}
	for n := range all[0] {
		top := &all[0][n]
		if len(all) > 1 {
			i.Tops = append(i.Tops, compare(top, &all[1][n]))
			continue
		}
		alone := Comparison{Top: top.Top}
		for m := range top.Rows {
			alone.Rows = append(alone.Rows, ComparisonRow{Key: top.Rows[m].Key, Top: &top.Rows[m]})
		}
		i.Tops = append(i.Tops, alone)
	}
	i.BaselineAnswered = i.Tops[0].Other.Answered
	return nil
}

// incidentDatabases reads what databases did in the window and before it.
func (r *Reader) incidentDatabases(ctx context.Context, t target.Target, i *Incident) error {
	var plans []Plan
	for _, span := range []Range{i.Question.Range, i.Question.Baseline} {
		plan, err := PlanSeries(span, time.Minute)
		if err != nil {
			return err
		}
		plans = append(plans, plan)
	}
	answers, err := r.databaseRates(ctx, t.ID, plans...)
	if err == nil {
		i.Databases, i.Before = answers[0], answers[1]
	}
	return err
}
