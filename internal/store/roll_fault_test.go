package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/rollup"
	"github.com/pgam/pgam/internal/statsdb"
)

// A window that is not as it was written keeps its own bucket from being made,
// and no other; stats_db is not said to be away.
func TestRollGoesOnAfterAFault(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	c := newCrowd(t, s, dsn, 5, 20)
	for i := range 200 {
		c.store(t, s, c.from.Add(time.Duration(i)*15*time.Second))
	}
	pgtest.Exec(t, dsn, "alter table history.activity_window drop constraint activity_window_samples",
		"update history.activity_window set sample_wait = '{}' where t0 = (select min(t0) from history.activity_window where samples > 0)")
	due := pgtest.Value[int](t, dsn, "select count(*)::int from history.rollup_due where step_seconds = 600")
	made, _, err := s.Roll(t.Context(), c.from.AddDate(0, 0, 3), 50)
	if err == nil || errors.Is(err, statsdb.ErrUnavailable) || !strings.Contains(err.Error(), "another form") {
		t.Errorf("fault %v", err)
	}
	if made < due-1 || due < 5 {
		t.Errorf("%d of %d buckets were made", made, due)
	}
}

// However many buckets cannot be made, they come last from the second turn on and
// cost nobody but themselves.
func TestPoisonedBucketsCostThemselvesOnly(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	c := newCrowd(t, s, dsn, 5, 20)
	const poisoned = 15
	for i := range poisoned + 3 {
		c.store(t, s, c.from.Add(time.Duration(i)*10*time.Minute))
	}
	pgtest.Exec(t, dsn, "alter table history.activity_window drop constraint activity_window_samples", fmt.Sprintf("update history.activity_window set sample_wait = '{}' where t0 < '%s' and samples > 0",
		c.from.Add(poisoned*10*time.Minute).Format(time.RFC3339)))
	left := "select count(*)::int from history.rollup_due where step_seconds = 600 and tries = 0"
	bad := pgtest.Value[int](t, dsn, "select count(distinct date_bin('10 minutes', t0, timestamptz 'epoch'))::int from history.activity_window where samples > 0 and sample_wait = '{}'")
	if bad <= rollFaults {
		t.Fatalf("only %d buckets cannot be made", bad)
	}
	for turn := 1; pgtest.Value[int](t, dsn, left) > 0; turn++ {
		if turn > 3 {
			t.Fatalf("%d buckets wait for those that cannot be made", pgtest.Value[int](t, dsn, left))
		}
		if _, _, err := s.Roll(t.Context(), c.from.AddDate(0, 0, 3), 50); err == nil || statsdb.MayPass(err) {
			t.Errorf("fault %v", err)
		}
	}
	if n := pgtest.Value[int](t, dsn, "select count(*)::int from history.rollup_due where tries > 0"); n != bad {
		t.Errorf("%d buckets failed, want %d", n, bad)
	}
}

// Rolling up what is old makes no partitions but its own: others would say that
// their tables are kept since then.
func TestRollMakesItsPartitionsOnly(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	pgtest.Exec(t, dsn, "create table history.activity_rollup_10minute_p202001 partition of history.activity_rollup for values from (600, '2020-01-01Z') to (600, '2020-02-01Z')",
		`insert into history.activity_rollup (server_id, step_seconds, dimension, bucket, ticks, samples, keys, key_samples, key_peaks, tail_keys, tail_samples)
select id, 600, 1, '2020-01-01 10:00Z', 600, 7, '{1}', '{7}', '{1}', 0, 0 from pgam.server`,
		"insert into history.rollup_due (server_id, step_seconds, bucket, revision) select id, 3600, '2020-01-01 10:00Z', 1 from pgam.server")
	rollAll(t, s, noon)
	made := pgtest.Value[string](t, dsn, "select string_agg(relname, ' ' order by relname) from pg_class where relname ~ '_p2020[0-9]*$'")
	if want := "activity_rollup_10minute_p202001 activity_rollup_day_p2020 activity_rollup_hour_p2020 activity_total_p2020"; made != want {
		t.Errorf("partitions %q", made)
	}
	if n := pgtest.Value[int64](t, dsn, "select sum(samples)::int8 from history.activity_rollup where step_seconds in (3600, 86400)"); n != 14 {
		t.Errorf("%d samples of server %d", n, server.ID)
	}
}

// What is remembered of labels stays bounded, also for a single server.
func TestLabelsAreForgotten(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	s.rolls.labels = make(map[serverLabel]keptLabel)
	name := func(i int) label { return label{rollup.Application, "psql " + time.Duration(i).String()} }
	for i := range keptLabels + 1 {
		s.rolls.labels[serverLabel{server.ID, name(i)}] = keptLabel{id: int32(i + 1), day: int32(20_000 - i%2)}
	}
	if err := s.learn(t.Context(), server.ID, 20_000, []label{{rollup.Application, "new"}}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.rolls.labels); n != keptLabels/2+2 {
		t.Errorf("%d labels are remembered", n)
	}
	if s.rolls.labels[serverLabel{server.ID, name(0)}].id != 1 {
		t.Error("one that is good for the day is forgotten")
	}
}
