package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/statsdb"
)

// Errors that say why nothing is deleted by time.
var (
	// ErrClocks says that this host's clock and stats_db's do not agree.
	ErrClocks = errors.New("the clocks of this host and of stats_db differ by more than a minute, so nothing is deleted by time")
	// ErrTooMuch says that retention would take too much of a table at once.
	ErrTooMuch = errors.New("retention would take more than a third of a table at once, so it takes nothing")
)

const (
	// maxClockOffset is how far two clocks may differ for either to be believed.
	maxClockOffset = time.Minute
	// maxShare of a table's partitions may go at once, as one of so many.
	maxShare = 3
	// lateDrop is how late a single partition may be dropped without counting as
	// too much: where a table has two, one that is due is half of it.
	lateDrop = 7 * 24 * time.Hour
	// mostTold tables are named where too much would go.
	mostTold = 3
)

// Now gives stats_db's clock, and how far that of this host is ahead of it. local
// is this host's clock, time.Now but in tests.
func (s *Store) Now(ctx context.Context, local func() time.Time) (now time.Time, ahead time.Duration, err error) {
	before := local()
	if err := s.pool.QueryRow(ctx, "/* pgam:clock */ select clock_timestamp()").Scan(&now); err != nil {
		return now, 0, fmt.Errorf("ask stats_db for the time: %w", statsdb.Classify(err))
	}
	after := local()
	return now.UTC(), before.Add(after.Sub(before) / 2).Sub(now), nil
}

// DropExpired drops the partitions that hold nothing younger than what r keeps, by
// stats_db's clock, and forgets what nothing that is kept can refer to:
// statements, locks, labels, file systems, days that were packed or begun. It
// returns the names of the partitions dropped; one that somebody reads is left for
// the next time and named in the error.
//
// A wrong clock must not cost the history: it drops nothing, with ErrClocks, when
// local disagrees, and with ErrTooMuch when more than a third of the partitions of
// a table would go and r.Confirmed does not say that this is meant.
func (s *Store) DropExpired(ctx context.Context, local func() time.Time, r Retention) (dropped []string, err error) {
	now, ahead, err := s.Now(ctx, local)
	if err != nil {
		return nil, err
	}
	if ahead.Abs() > maxClockOffset {
		return nil, fmt.Errorf("%w: it is %s here and %s there; set the wrong one right (NTP), then it goes on by itself",
			ErrClocks, now.Add(ahead).Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return s.dropExpired(ctx, now, r)
}

// Expiring says what retention would take of one table, or of the part of it with
// one step.
type Expiring struct {
	Table      string
	Partitions int       // attached now
	Expired    []string  // of those, to be dropped, the oldest first
	Until      time.Time // end of the newest of Expired
	TooMuch    bool      // only with Retention.Confirmed
}

// Expiring says what DropExpired would drop now, table by table.
func (s *Store) Expiring(ctx context.Context, r Retention) ([]Expiring, error) {
	now, _, err := s.Now(ctx, time.Now)
	if err != nil {
		return nil, err
	}
	existing, err := s.partitions(ctx)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", statsdb.Classify(err))
	}
	return expiring(existing, now, r), nil
}

func expiring(existing map[string]partitionState, now time.Time, r Retention) []Expiring {
	var all []Expiring
	for _, t := range partitionedTables() {
		e := Expiring{Table: t.table + t.part}
		for _, name := range slices.Sorted(maps.Keys(existing)) {
			end, ok := t.end(name)
			if !ok || existing[name] != attached {
				continue
			}
			e.Partitions++
			if kept := t.kept(r); kept > 0 && now.Sub(end) >= kept {
				e.Expired, e.Until = append(e.Expired, name), end
			}
		}
		late := len(e.Expired) != 1 || now.Sub(e.Until)-t.kept(r) >= lateDrop
		e.TooMuch = late && len(e.Expired)*maxShare > e.Partitions
		all = append(all, e)
	}
	return all
}

// tooMuch refuses what only a wrong clock, a shortened retention or a long stop
// would do.
func tooMuch(existing map[string]partitionState, now time.Time, r Retention) error {
	var said []string
	for _, e := range expiring(existing, now, r) {
		if e.TooMuch {
			said = append(said, fmt.Sprintf("%d of %d partitions of %s, up to %s", len(e.Expired), e.Partitions, e.Table, e.Until.Format(time.DateOnly)))
		}
	}
	if len(said) == 0 || r.Confirmed {
		return nil
	}
	if n := len(said) - mostTold; n > 0 {
		said = append(said[:mostTold], fmt.Sprintf("and of %d more tables", n))
	}
	return fmt.Errorf("%w: %s, where it is %s by stats_db's clock. If the clock is right and this is meant, as after a retention was shortened or nobody collected for long, run: pgam retention apply",
		ErrTooMuch, strings.Join(said, "; "), now.Format(time.RFC3339))
}

// RetentionInForce gives what the collector follows. The error says so where no
// collector ever did.
func (s *Store) RetentionInForce(ctx context.Context) (Retention, error) {
	kept, err := s.retentionInForce(ctx)
	if err != nil {
		return Retention{}, fmt.Errorf("read retention: %w", statsdb.Classify(err))
	}
	var r Retention
	for name, to := range map[string]*time.Duration{
		"WINDOWS": &r.Windows, "MINUTES": &r.Minutes, "DATABASES": &r.Databases, "DISKS": &r.Disks, "ROLLUPS": &r.Rollups,
	} {
		length, known := kept[name]
		if !known {
			return Retention{}, errors.New("read retention: no collector has said yet what it keeps: start pgam-collector once")
		}
		*to = length
	}
	return r, nil
}
