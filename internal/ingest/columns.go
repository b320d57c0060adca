package ingest

import (
	"embed"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
)

//go:embed sql/*.sql
var files embed.FS

// sql gives a statement by the name of its file.
func sql(name string) string {
	text, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // the name is a constant
	}
	return string(text)
}

func rowArgs(r *sample.Row) pgx.NamedArgs {
	return pgx.NamedArgs{
		"server_id":       r.Server,
		"tick_planned_ms": r.Planned, "tick_delay_ms": r.Delay, "tick_cadence_ms": r.Cadence, "tick_outcome": r.Outcome, "tick_reason": r.Reason,
		"tick_duration_us": r.Duration, "tick_backends": r.Backends, "tick_next_xid": r.NextXID, "tick_burst": r.Burst, "tick_edges_cut": r.EdgesCut,
		"session_keys": r.SessionKeys, "wait_keys": r.WaitKeys, "wait_class": r.WaitClass, "query_keys": r.QueryKeys, "lock_keys": r.LockKeys,
		"sample_tick": r.Tick, "sample_session": r.Session, "sample_wait": r.Wait, "sample_query": r.Query,
		"sample_query_start_ms": r.QueryStart, "sample_xact_lead_ms": r.XactLead, "sample_state_lag_ms": r.StateLag,
		"sample_xmin": r.Xmin, "sample_blocker": r.Blocker,
		"edge_tick": r.EdgeTick, "edge_blocked": r.EdgeBlocked, "edge_blocker": r.EdgeBlocker, "edge_lock": r.EdgeLock,
	}
}

// summaryArgs adds to args the columns of a summary of a stretch that begins at
// start.
func summaryArgs(args pgx.NamedArgs, start time.Time, s *sample.Summary) pgx.NamedArgs {
	ms := func(t time.Time) *int32 {
		if t.IsZero() {
			return nil
		}
		n := int32(t.Sub(start).Milliseconds())
		return &n
	}
	var (
		outcomes, reasons []int16
		ticks             []int32
		backends          *int32
	)
	for _, f := range s.SortedFaults() {
		outcomes, reasons, ticks = append(outcomes, int16(f.Outcome)), append(reasons, int16(f.Reason)), append(ticks, int32(s.Faults[f]))
	}
	if s.MaxBackends != sample.Unset {
		backends = &s.MaxBackends
	}
	maps.Copy(args, pgx.NamedArgs{
		"first_planned_ms": ms(s.First), "last_planned_ms": ms(s.Last), "first_cadence_ms": s.FirstCadence.Milliseconds(), "cadence_ms": s.Cadence.Milliseconds(),
		"ticks_ok": s.Outcomes[sample.OK], "ticks_degraded": s.Outcomes[sample.Degraded], "ticks_failed": s.Outcomes[sample.Failed],
		"ticks_skipped": s.Outcomes[sample.Skipped], "ticks_missing": s.Missing,
		"first_seen_ms": ms(s.FirstSeen), "last_seen_ms": ms(s.LastSeen), "longest_gap_ms": s.Gap.Milliseconds(),
		"fault_outcome": outcomes, "fault_reason": reasons, "fault_ticks": ticks,
		"samples": s.Samples, "max_sessions": s.MaxSessions, "max_backends": backends,
	})
	for class, n := range s.Classes {
		args[sample.WaitClass(class).String()] = n
	}
	return args
}

// scanSummary reads a stretch's start and its summary, in the order in which
// sql/ lists the columns.
func scanSummary(row pgx.CollectableRow) (sample.Summary, error) {
	var stored sample.StoredSummary
	err := row.Scan(stored.Fields()...)
	return stored.Summary(), err
}
