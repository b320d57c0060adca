package history

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

// A question of an hour touches the partitions of that day only.
func TestPartitionsAreLeftOut(t *testing.T) {
	t.Parallel()
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(statsDB(t))})
	r, w := New(db), ingest.New(db, sample.NewHash([16]byte{4, 2}))
	if err := w.EnsurePartitions(t.Context(), noon.AddDate(0, 0, -40), noon.AddDate(0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]pgx.NamedArgs{
		"rows":        {"first": noon, "last": noon.Add(time.Hour), "samples": true, "whole": true, "edges": true},
		"sums":        {"step": []int32{60}},
		"open":        {"from": noon, "to": noon.Add(time.Hour)},
		"tick_before": {"at": noon},
		"rollups":     {"step": []int32{600}, "dimension": int16(1)},
	} {
		args["server_id"] = int64(1)
		if args["from"] == nil {
			args["from"], args["to"] = []time.Time{noon}, []time.Time{noon.Add(time.Hour)}
		}
		rows, err := r.pool.Query(t.Context(), "explain (analyze, costs off, timing off) "+sql(name), args)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			_, partition, found := strings.Cut(line, " on activity_")
			today := strings.Contains(partition, "p20261122") || strings.Contains(partition, "p202611 ") || strings.Contains(partition, "p2026 ") || strings.HasPrefix(partition, "recent")
			if found && !today && !strings.Contains(line, "never executed") && name != "tick_before" {
				t.Errorf("%s: %s", name, line)
			}
		}
		if t.Failed() {
			t.Fatal(strings.Join(lines, "\n"))
		}
	}
}
