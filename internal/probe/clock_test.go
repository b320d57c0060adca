package probe_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
)

// TestAgesAreTheServers whatever the collector's clock says, and by how much they
// differ is told.
func TestAgesAreTheServers(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	setup := session(t, server, "postgres", "setup")
	exec(t, setup, "create table kept (id int); insert into kept values (1)")
	exec(t, session(t, server, "postgres", "old"), "begin; update kept set id = 2")
	age := func() (seconds float64) {
		const sql = "select extract(epoch from clock_timestamp() - xact_start)::float8 from pg_stat_activity where application_name = 'old'"
		if err := setup.QueryRow(t.Context(), sql, pgx.QueryExecModeSimpleProtocol).Scan(&seconds); err != nil {
			t.Fatal(err)
		}
		return seconds
	}
	for _, ahead := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute, 3 * time.Second} {
		b := newBench(t, server, pgtest.User)
		b.ahead = ahead
		least := age()
		v := b.must(t, sample.Ask{})
		most, seen := age(), false
		slack := (v.Load.ClockWithin + 100*time.Millisecond).Seconds()
		for _, s := range v.Tick.Sessions {
			if b.seen[s.Session].Application != "old" {
				continue
			}
			seen = true
			if got := v.Tick.Started.Sub(time.UnixMicro(s.XactStart)).Seconds(); got < least-slack || got > most+slack {
				t.Errorf("the collector's clock %s ahead: a transaction is %.3f s old, by the server's from %.3f to %.3f s", ahead, got, least, most)
			}
		}
		if off := v.Load.ClockOffset + ahead; !seen || off.Abs() > v.Load.ClockWithin+100*time.Millisecond {
			t.Errorf("the collector's clock %s ahead: seen %v, the server's differs by %s", ahead, seen, v.Load.ClockOffset)
		}
	}
}
