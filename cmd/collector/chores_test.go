package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/store"
)

// failing names the chores that readyz and the metric say fail.
func failing(t *testing.T, c *chores) (ready, metric []string) {
	t.Helper()
	r, err := daemon.NewReadiness(slog.New(slog.DiscardHandler), c.checks()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range r.Report(t.Context()).Checks {
		if !check.OK {
			ready = append(ready, check.Name)
		}
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	series := seriesOf(t, registry)
	if len(series) != 6 {
		t.Errorf("%d series", len(series))
	}
	for _, check := range c.checks() {
		if series["pgam_chore_failing{chore="+check.Name+"}"] == 1 {
			metric = append(metric, check.Name)
		}
	}
	return ready, metric
}

// Each chore is done though others fail: here one partition that cannot be made,
// and then a clock that is wrong.
func TestChoresDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	in := install(t)
	const day = 24 * time.Hour
	now := time.Now().UTC()
	stats := store.New(in.db)
	if err := stats.EnsurePartitions(t.Context(), now.AddDate(0, 0, -30), now); err != nil {
		t.Fatal(err)
	}
	tomorrow := "activity_window_p" + now.AddDate(0, 0, 1).Format("20060102")
	pgtest.Exec(t, in.dsn,
		fmt.Sprintf("create view history.%s as select 1 as a", tomorrow),
		"insert into pgam.server (name, host, port, user_name, query_texts) values ('private', 'x', 1, 'x', 'none')",
		"insert into pgam.server (name, host, port, user_name, deleted_at, purge) values ('gone', 'x', 1, 'x', now() - interval '2 hours', true)",
		`insert into history.query (server_id, id, query_id, own, text, first_seen_on, last_seen_on)
select id, 1, 1, false, 'select secret', current_date, current_date from pgam.server where name = 'private'`)
	kept := 29 * day
	u := upkeep{stats, newChores(in.db.CheckSchema), func() store.Retention { return store.Retention{Windows: kept} }, time.Now, slog.New(slog.DiscardHandler)}
	err := u.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "partitions: create partitions of activity_window: ") || !strings.Contains(err.Error(), tomorrow) {
		t.Errorf("error %v", err)
	}
	for what, sql := range map[string]string{
		"the oldest partition is there":        "select count(*) from pg_class where relname = 'activity_window_p" + now.AddDate(0, 0, -30).Format("20060102") + "'",
		"session has no partition of tomorrow": "select 1 - count(*) from pg_class where relname = 'session_p" + now.AddDate(0, 0, 1).Format("20060102") + "'",
		"activity_window has none after it":    "select 1 - count(*) from pg_class where relname = 'activity_window_p" + now.AddDate(0, 0, 2).Format("20060102") + "'",
		"a forbidden text is there":            "select count(*) from history.query where text is not null",
		"a purged server is there":             "select count(*) from pgam.server where name = 'gone'",
	} {
		if n := pgtest.Value[int64](t, in.dsn, sql); n != 0 {
			t.Error(what)
		}
	}
	wantFailing := func(when string, want ...string) {
		t.Helper()
		ready, metric := failing(t, u.chores)
		if fmt.Sprint(ready) != fmt.Sprint(want) || fmt.Sprint(metric) != fmt.Sprint(want) {
			t.Errorf("%s: readyz names %v, the metric %v, want %v", when, ready, metric, want)
		}
	}
	wantFailing("a view in the way", chorePartitions)

	// What failed is tried again with the next call, what did not when it is due.
	pgtest.Exec(t, in.dsn, "drop view history."+tomorrow)
	u.chores.done[choreRetention] = time.Now().Add(-2 * choreEvery)
	u.now = func() time.Time { return time.Now().AddDate(3, 0, 0) }
	if err := u.run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "retention: the clocks of this host and of stats_db differ") {
		t.Errorf("a clock three years ahead: %v", err)
	}
	wantFailing("a wrong clock", choreRetention)
	u.now = time.Now
	if err := u.run(t.Context()); err != nil {
		t.Error(err)
	}
	wantFailing("at the end")

	// One that is asked to end does not fail.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = u.chores.following(choreRollups, func(ctx context.Context) error { return ctx.Err() })(ctx)
	wantFailing("at the stop")
}
