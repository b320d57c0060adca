package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/history"
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

// Incident tells what happened around an instant. The error wraps
// history.ErrGone where the ticks of the window are no longer kept.
func (s *Store) Incident(ctx context.Context, t target.Target, q history.IncidentQuestion) (history.Incident, error) {
	i := history.Incident{Question: q}
	if err := s.ticksKept(ctx, t, q.Range.From); err != nil {
		return i, fmt.Errorf("read incident: %w", err)
	}
	dimensions := []history.Dimension{history.ByWaitEvent, history.ByQuery, history.ByUser, history.ByApplication, history.ByDatabase, history.ByClient}
	i.Tops = make([]history.Comparison, len(dimensions))
	parts := []func(context.Context) error{
		func(ctx context.Context) (err error) { i.Instant, err = s.At(ctx, t, q.At); return err },
		func(ctx context.Context) (err error) {
			i.Blockers, err = s.Blockers(ctx, t.ID, q.Range, incidentBlockers)
			return err
		},
		func(ctx context.Context) (err error) {
			i.Activity, err = s.ActivityBy(ctx, t, history.ActivityQuestion{Range: q.Range, Step: incidentStep(q.Range), By: history.ByWaitClass})
			i.Coverage = i.Activity.Coverage
			return err
		},
		func(ctx context.Context) error { return s.incidentDatabases(ctx, t.ID, &i) },
		func(ctx context.Context) (err error) {
			i.Disks, err = s.diskTimeline(ctx, t.ID, history.Range{From: q.Range.From.Add(-diskSlack), To: q.Range.To})
			return err
		},
		func(ctx context.Context) (err error) {
			i.Events, err = s.Events(ctx, t, history.EventQuestion{Range: q.Range, Limit: incidentEvents + 1})
			i.MoreEvents = len(i.Events) > incidentEvents
			i.Events = i.Events[:min(len(i.Events), incidentEvents)]
			return err
		},
		func(ctx context.Context) error { return s.incidentConnections(ctx, t.ID, &i) },
	}
	for n, by := range dimensions {
		parts = append(parts, func(ctx context.Context) (err error) { i.Tops[n], err = s.incidentTop(ctx, t, q, by); return err })
	}
	if err := together(ctx, incidentAtOnce, parts); err != nil {
		return i, fmt.Errorf("read incident: %w", err)
	}
	i.BaselineAnswered = i.Tops[0].Other.Answered
	return i, nil
}

// incidentStep gives a timeline of at most some hundred buckets.
func incidentStep(r history.Range) time.Duration {
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

// incidentTop compares with the baseline, or with nothing where that is not
// kept.
func (s *Store) incidentTop(ctx context.Context, t target.Target, q history.IncidentQuestion, by history.Dimension) (history.Comparison, error) {
	both, err := s.Compare(ctx, t, history.CompareQuestion{Range: q.Range, Other: q.Baseline, By: by, Limit: incidentKeys})
	if !errors.Is(err, history.ErrGone) && !errors.Is(err, history.ErrCounting) {
		return both, err
	}
	top, err := s.Top(ctx, t, history.TopQuestion{Range: q.Range, By: by, Limit: incidentKeys})
	alone := history.Comparison{Top: top}
	for i := range top.Rows {
		alone.Rows = append(alone.Rows, history.ComparisonRow{Key: top.Rows[i].Key, Top: &top.Rows[i]})
	}
	return alone, err
}

// incidentDatabases reads what databases did in the window and before it.
func (s *Store) incidentDatabases(ctx context.Context, id target.ID, i *history.Incident) error {
	for r, to := range map[history.Range]*history.DatabaseRates{i.Question.Range: &i.Databases, i.Question.Baseline: &i.Before} {
		plan, err := history.PlanSeries(r, time.Minute)
		if err != nil {
			return err
		}
		if *to, err = s.databaseRates(ctx, id, plan); err != nil {
			return err
		}
	}
	return nil
}

// incidentConnections reads how many connections there were and may be.
func (s *Store) incidentConnections(ctx context.Context, id target.ID, i *history.Incident) error {
	const sql = `/* pgam:incident */
select (select max(max_backends)
          from history.activity_minute
         where server_id = $1
           and minute >= $2
           and minute < $3),
       (select value::int8
          from history.setting
         where server_id = $1
           and name = 'max_connections'
           and value ~ '^[0-9]{1,9}$')`
	r := i.Question.Range.Widen(time.Minute)
	if err := s.pool.QueryRow(ctx, sql, id, r.From, r.To).Scan(&i.MaxBackends, &i.MaxConnections); err != nil {
		return statsdb.Classify(err)
	}
	return nil
}

// ticksKept refuses an instant whose ticks are no longer kept. One before a
// server was added is answered: there never was anything.
func (s *Store) ticksKept(ctx context.Context, t target.Target, at time.Time) error {
	since, err := s.keptSince(ctx)
	if err != nil {
		return statsdb.Classify(err)
	}
	if oldest, there := since["activity_window"]; there && at.Before(oldest) && t.CreatedAt.Before(oldest) {
		return fmt.Errorf("%w: single ticks are kept since %s: ask for a later instant, or /history/activity and /history/top for what is summed up",
			history.ErrGone, oldest.UTC().Format(time.RFC3339))
	}
	return nil
}
