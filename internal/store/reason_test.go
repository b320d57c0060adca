package store

import (
	"testing"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
)

// TestReasons: the names in stats_db are those of the program.
func TestReasons(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	last := sample.Oversized
	for r := sample.None; r <= last; r++ {
		if got := pgtest.Value[string](t, dsn, "select name from history.reason where id = $1", int16(r)); got != r.String() {
			t.Errorf("reason %d is %q in stats_db, %q in the program", r, got, r.String())
		}
	}
	if n := pgtest.Value[int64](t, dsn, "select count(*) from history.reason"); n != int64(last)+1 {
		t.Errorf("stats_db knows %d reasons, the program %d", n, last+1)
	}
	if next := (last + 1).String(); next != "other" {
		t.Errorf("there is a reason %q after the last one tested", next)
	}
}
