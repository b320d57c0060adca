package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
)

// failing names the chores that readyz and the metric say fail.
func failing(t *testing.T, c chores) (ready, metric []string) {
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
	if len(series) != 5 {
		t.Errorf("%d series", len(series))
	}
	for _, s := range c {
		if series["pgam_chore_failing{chore="+s.Name()+"}"] == 1 {
			metric = append(metric, s.Name())
		}
	}
	return ready, metric
}

// Each chore is done though others fail: here one partition that cannot be made,
// and then a clock that is wrong.
func TestChoresDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	in := install(t)
	now := time.Now().UTC()
	stats := ingest.New(in.db, sample.Hash{})
	if err := stats.EnsurePartitions(t.Context(), now.AddDate(0, 0, -30), now); err != nil {
		t.Fatal(err)
	}
	tomorrow := "activity_p" + now.AddDate(0, 0, 1).Format("20060102")
	pgtest.Exec(t, in.dsn,
		fmt.Sprintf("create view history.%s as select 1 as a", tomorrow),
		"insert into pgam.server (name, host, port, user_name, query_texts) values ('private', 'x', 1, 'x', 'none')",
		"insert into pgam.server (name, host, port, user_name, deleted_at, purge) values ('gone', 'x', 1, 'x', now() - interval '2 hours', true)",
		`insert into history.query (server_id, key, query_id, own, text, first_seen_on, last_seen_on)
select id, -1, 1, false, 'select secret', current_date, current_date from pgam.server where name = 'private'`)
	at := now.Truncate(sample.BucketLength).Add(-2 * sample.BucketLength)
	if err := stats.Append(t.Context(), 1, []*sample.Visit{{Tick: &sample.Tick{Planned: at, Started: at, Cadence: time.Second}}}); err != nil {
		t.Fatal(err)
	}
	host := time.Now
	k := keeper{
		history: stats, host: func() time.Time { return host() }, now: func() time.Time { return now.Add(time.Hour) }, log: slog.New(slog.DiscardHandler),
		retention: func() ingest.Retention {
			return ingest.Retention{Kept: map[statsdb.Kept]time.Duration{statsdb.KeptActivity: 29 * 24 * time.Hour}}
		},
	}
	c, err := k.chores(in.db.CheckSchema)
	if err != nil {
		t.Fatal(err)
	}
	turn := func() (says string) {
		for _, s := range c {
			s.Turn(t.Context())
			if err := s.Err(); err != nil {
				says += s.Name() + ": " + err.Error()
			}
		}
		return says
	}
	if says := turn(); !strings.Contains(says, "partitions: create partitions of activity: ") || !strings.Contains(says, tomorrow) {
		t.Errorf("they say %q", says)
	}
	for what, sql := range map[string]string{
		"the oldest partition is there":        "select count(*) from pg_class where relname = 'activity_p" + now.AddDate(0, 0, -30).Format("20060102") + "'",
		"session has no partition of tomorrow": "select 1 - count(*) from pg_class where relname = 'session_p" + now.AddDate(0, 0, 1).Format("20060102") + "'",
		"activity has none after it":           "select 1 - count(*) from pg_class where relname = 'activity_p" + now.AddDate(0, 0, 2).Format("20060102") + "'",
		"a forbidden text is there":            "select count(*) from history.query where text is not null",
		"a purged server is there":             "select count(*) from pgam.server where name = 'gone'",
		"a bucket is not compacted":            "select count(*) from history.activity_recent",
	} {
		if n := pgtest.Value[int64](t, in.dsn, sql); n != 0 {
			t.Error(what)
		}
	}
	wantFailing := func(when string, want ...string) {
		t.Helper()
		ready, metric := failing(t, c)
		if fmt.Sprint(ready) != fmt.Sprint(want) || fmt.Sprint(metric) != fmt.Sprint(want) {
			t.Errorf("%s: readyz names %v, the metric %v, want %v", when, ready, metric, want)
		}
	}
	wantFailing("a view in the way", "partitions")

	pgtest.Exec(t, in.dsn, "drop view history."+tomorrow)
	host = func() time.Time { return time.Now().AddDate(3, 0, 0) }
	if says := turn(); !strings.HasPrefix(says, "retention: the clocks of this host and of stats_db differ") {
		t.Errorf("a clock three years ahead: %q", says)
	}
	wantFailing("a wrong clock", "retention")
	host = time.Now
	if says := turn(); says != "" {
		t.Error(says)
	}
	wantFailing("at the end")

	// A stats_db that is not usable is no fault of a chore.
	pgtest.Exec(t, in.dsn, "update public.pgam_schema_version set version = version - 1")
	host = func() time.Time { return time.Now().AddDate(3, 0, 0) }
	if says := turn(); says != "" {
		t.Errorf("of a stats_db of another version: %q", says)
	}
}
