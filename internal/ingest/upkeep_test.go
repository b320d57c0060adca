package ingest

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
)

// TestUpkeep: what waits is told by how long it waits, and what does not wait is
// not told.
func TestUpkeep(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	now := time.Date(2026, 3, 12, 10, 30, 0, 0, time.UTC)
	look := func() Upkeep {
		t.Helper()
		u, err := w.Upkeep(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if err := w.EnsurePartitions(t.Context(), now.AddDate(0, 0, -3), now.AddDate(0, 0, 4)); err != nil {
		t.Fatal(err)
	}
	u := look()
	if want := time.Date(2026, 3, 17, 0, 0, 0, 0, time.UTC); !u.PartitionsUntil.Equal(want) || !u.CompactionDue.IsZero() || !u.Seen.IsZero() || u.Bytes < 1<<20 {
		t.Errorf("of an empty history: %+v, want partitions until %s and nothing due", u, want)
	}

	id := newServer(t, dsn, "watched")
	mustAppend(t, w, id, slotOf(now.Add(-12*time.Minute))...)
	mustAppend(t, w, id, slotOf(now)...) // of a bucket that is not over
	if u, want := look(), now.Add(-10*time.Minute); !u.CompactionDue.Equal(want) || !u.Seen.Equal(now.Add(15*time.Second)) {
		t.Errorf("%+v: the oldest bucket that is over waits since %s", u, want)
	}
	pgtest.Exec(t, dsn, "update pgam.server set purge = true")
	if due := look().CompactionDue; !due.IsZero() {
		t.Errorf("of a server that is being removed, a bucket waits since %s", due)
	}
	pgtest.Exec(t, dsn, "update pgam.server set purge = false", "update history.activity_recent set written_at = slot")
	if made, more, err := w.CompactDue(t.Context(), now.Add(time.Hour)); made != 2 || more || err != nil {
		t.Errorf("compacted %d, %t, %v", made, more, err)
	}
	if u := look(); !u.CompactionDue.IsZero() || !u.Seen.Equal(now.Add(10*time.Minute)) {
		t.Errorf("%+v: all is compacted", u)
	}

	pgtest.Exec(t, dsn, "drop table history.database_size_p202603")
	if u := look(); !u.PartitionsUntil.IsZero() {
		t.Errorf("with a table that has no partition, they reach until %s", u.PartitionsUntil)
	}
}
