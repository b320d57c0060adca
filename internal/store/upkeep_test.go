package store

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
)

// TestUpkeep: what waits is told by how long it waits, and what does not wait is
// not told.
func TestUpkeep(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	now := time.Date(2026, 3, 12, 10, 30, 0, 0, time.UTC)
	look := func() Upkeep {
		t.Helper()
		u, err := s.Upkeep(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if err := s.EnsurePartitions(t.Context(), now.AddDate(0, 0, -3), now.AddDate(0, 0, 4)); err != nil {
		t.Fatal(err)
	}
	u := look()
	if want := time.Date(2026, 3, 17, 0, 0, 0, 0, time.UTC); !u.PartitionsUntil.Equal(want) || !u.RollupDue.IsZero() || !u.PackDue.IsZero() || u.Bytes < 1<<20 {
		t.Errorf("of an empty history: %+v, want partitions until %s and nothing due", u, want)
	}

	pgtest.Exec(t, dsn, `
insert into pgam.server (name, host, port, user_name) values ('watched', 'a', 5432, 'u');
insert into history.rollup_due (server_id, step_seconds, bucket, revision)
select id, step, at::timestamptz, 1
  from pgam.server,
       (values (600, '2026-03-12 10:20:01+00'), (600, '2026-03-12 10:10+00'), (86400, '2026-03-12 00:00+00')) v (step, at)`)
	if want := time.Date(2026, 3, 12, 10, 20, 0, 0, time.UTC); !look().RollupDue.Equal(want) {
		t.Errorf("the oldest bucket that is over waits since %s, want %s", look().RollupDue, want)
	}
	pgtest.Exec(t, dsn, "update pgam.server set purge = true")
	if due := look().RollupDue; !due.IsZero() {
		t.Errorf("of a server that is being removed, a bucket waits since %s", due)
	}

	pgtest.Exec(t, dsn, "drop table history.database_size_p202603")
	if u := look(); !u.PartitionsUntil.IsZero() {
		t.Errorf("with a table that has no partition, they reach until %s", u.PartitionsUntil)
	}
}
