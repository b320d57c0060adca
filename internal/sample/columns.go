package sample

import "time"

// Fields are what the arrays of a row are read into, and written from, in the order
// in which statements list their columns: those of ticks, the dictionary, those of samples
// and those of edges.
func (r *Row) Fields() []any {
	return []any{
		&r.Planned, &r.Delay, &r.Cadence, &r.Outcome, &r.Reason, &r.Duration, &r.Backends, &r.NextXID, &r.Burst, &r.EdgesCut,
		&r.SessionKeys, &r.WaitKeys, &r.WaitClass, &r.QueryKeys, &r.LockKeys,
		&r.Tick, &r.Session, &r.Wait, &r.Query, &r.QueryStart, &r.XactLead, &r.StateLag, &r.Xmin, &r.Blocker,
		&r.EdgeTick, &r.EdgeBlocked, &r.EdgeBlocker, &r.EdgeLock,
	}
}

// StoredSummary is a summary as it is stored: times in milliseconds from the
// start of its stretch.
type StoredSummary struct {
	Start                                  time.Time
	first, last, firstCadence, cadence     int32
	missing, ok, degraded, failed, skipped int32
	firstSeen, lastSeen, backends          *int32
	gap                                    int32
	outcomes, reasons                      []int16
	ticks                                  []int32
	sums                                   Summary
}

// Stored is a summary of a stretch that begins at start as it is stored.
func (s *Summary) Stored(start time.Time) *StoredSummary {
	ms := func(d time.Duration) int32 { return clamped(d.Milliseconds()) }
	c := &StoredSummary{
		Start: start, first: ms(s.First.Sub(start)), last: ms(s.Last.Sub(start)), firstCadence: ms(s.FirstCadence), cadence: ms(s.Cadence), missing: clamped(s.Missing),
		ok: clamped(s.Outcomes[OK]), degraded: clamped(s.Outcomes[Degraded]), failed: clamped(s.Outcomes[Failed]), skipped: clamped(s.Outcomes[Skipped]),
		gap: ms(s.Gap), sums: *s,
	}
	if !s.FirstSeen.IsZero() {
		c.firstSeen, c.lastSeen = new(ms(s.FirstSeen.Sub(start))), new(ms(s.LastSeen.Sub(start)))
	}
	if s.MaxBackends != Unset {
		c.backends = &c.sums.MaxBackends
	}
	for _, f := range s.sortedFaults() {
		c.outcomes, c.reasons, c.ticks = append(c.outcomes, int16(f.Outcome)), append(c.reasons, int16(f.Reason)), append(c.ticks, clamped(s.Faults[f]))
	}
	return c
}

// Fields are what a start and the columns of a summary are read into, and written
// from, in the order in which statements list them.
func (c *StoredSummary) Fields() []any {
	fields := []any{
		&c.Start, &c.first, &c.last, &c.firstCadence, &c.cadence, &c.ok, &c.degraded, &c.failed, &c.skipped, &c.missing,
		&c.firstSeen, &c.lastSeen, &c.gap, &c.outcomes, &c.reasons, &c.ticks, &c.sums.Samples, &c.sums.MaxSessions, &c.backends,
	}
	for class := range c.sums.Classes {
		fields = append(fields, &c.sums.Classes[class])
	}
	return fields
}

// Summary is what was read.
func (c *StoredSummary) Summary() Summary {
	s, start := c.sums, c.Start.UTC()
	ms := func(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
	s.First, s.Last, s.FirstCadence, s.Cadence = start.Add(ms(c.first)), start.Add(ms(c.last)), ms(c.firstCadence), ms(c.cadence)
	s.Outcomes = [4]int64{OK: int64(c.ok), Degraded: int64(c.degraded), Failed: int64(c.failed), Skipped: int64(c.skipped)}
	s.Missing, s.Gap, s.MaxBackends = int64(c.missing), ms(c.gap), Unset
	if c.firstSeen != nil && c.lastSeen != nil {
		s.FirstSeen, s.LastSeen = start.Add(ms(*c.firstSeen)), start.Add(ms(*c.lastSeen))
	}
	if c.backends != nil {
		s.MaxBackends = *c.backends
	}
	for i := range c.outcomes {
		if s.Faults == nil {
			s.Faults = make(map[Fault]int64, len(c.outcomes))
		}
		s.Faults[Fault{Outcome(c.outcomes[i]), Reason(c.reasons[i])}] = int64(c.ticks[i])
	}
	return s
}
