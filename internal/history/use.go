package history

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// UseClass says how much a database is used.
type UseClass string

// The classes, from what could go to what could not.
const (
	Unused     UseClass = "unused"  // nobody has connected for some days
	StaticUse  UseClass = "static"  // somebody connects, and nothing is written
	LowUse     UseClass = "low"     // little is done
	HealthyUse UseClass = "healthy" // all others
	DroppedUse UseClass = "dropped" // it is gone
	UnknownUse UseClass = "unknown" // it was not watched for long enough to tell
)

// UseClasses lists them all.
func UseClasses() []UseClass {
	return []UseClass{Unused, StaticUse, LowUse, HealthyUse, DroppedUse, UnknownUse}
}

// UseCriteria say which class a database is of.
type UseCriteria struct {
	// UnusedDays is how long nobody has connected to one that is Unused.
	UnusedDays int
	// StaticCommits is the most commits an hour of one that is StaticUse, for
	// autovacuum and checks of pools commit too; StaticRows the most rows written
	// in the range.
	StaticCommits float64
	StaticRows    int64
	// LowCommits is the most commits an hour of one of LowUse.
	LowCommits float64
}

// UseQuestion asks what databases of some servers were used for.
type UseQuestion struct {
	// Range is answered in whole hours.
	Range    Range
	Criteria UseCriteria
}

// DatabaseUse is what a database was used for in a range. Nil: not known.
type DatabaseUse struct {
	Server       target.ID
	OID          uint32
	Name         string
	AllowConnect bool
	// Through says that pgam itself is connected to it, which looks like use.
	Through              bool
	Class                UseClass
	CreatedAt, DroppedAt *time.Time
	FirstSeenAt          time.Time
	Size, Growth         *int64 // bytes
	SizeAt               *time.Time
	ConnectionsMax       *int32
	Connections          *float64   // mean
	ConnectedAt          *time.Time // to the hour; nil: not in the range
	Commits, Rollbacks   *int64
	Inserted, Updated    *int64 // rows
	Deleted              *int64
	Sessions             *int64        // begun; nil before PostgreSQL 14
	Seen                 time.Duration // of the range, in which connections are known
	Counted              time.Duration // in which counters are
}

// Written is how many rows were; nil: not known.
func (d *DatabaseUse) Written() *int64 {
	if d.Inserted == nil || d.Updated == nil || d.Deleted == nil {
		return nil
	}
	n := *d.Inserted + *d.Updated + *d.Deleted
	return &n
}

// CommitsPerHour is over the time in which they were counted; nil: it was not
// counted.
func (d *DatabaseUse) CommitsPerHour() *float64 {
	if d.Commits == nil || d.Counted <= 0 {
		return nil
	}
	rate := float64(*d.Commits) / d.Counted.Hours()
	return &rate
}

// class says what a database is, as of the end of a range.
func (c UseCriteria) class(d *DatabaseUse, span Range) UseClass {
	const day = 24 * time.Hour
	long := time.Duration(c.UnusedDays) * day
	idle := span.To.Sub(later(span.From, d.FirstSeenAt))
	if d.ConnectedAt != nil {
		idle = span.To.Sub(*d.ConnectedAt)
	}
	rate, written := d.CommitsPerHour(), d.Written()
	switch {
	case d.DroppedAt != nil && d.DroppedAt.Before(span.To):
		return DroppedUse
	case d.ConnectedAt == nil && (idle < long || d.Seen < long/2):
		return UnknownUse
	case idle >= long:
		return Unused
	case rate == nil || written == nil:
		return UnknownUse
	case *rate <= c.StaticCommits && *written <= c.StaticRows:
		return StaticUse
	case *rate <= c.LowCommits:
		return LowUse
	}
	return HealthyUse
}

// DatabasesUsed says what the databases of some servers were used for, by server
// and name, templates left out. What is not summed up yet, of the newest quarter
// of an hour, is not in it. The error wraps ErrGone or ErrInvalid where the
// question is at fault.
func (r *Reader) DatabasesUsed(ctx context.Context, servers []target.Target, q UseQuestion) ([]DatabaseUse, Range, error) {
	span := q.Range.Widen(time.Hour)
	fail := func(err error) ([]DatabaseUse, Range, error) {
		return nil, span, fmt.Errorf("read use of databases: %w", statsdb.Classify(err))
	}
	through := make(map[target.ID]string, len(servers))
	ids := make([]int64, 0, len(servers))
	for _, t := range servers {
		if err := r.stillKept(ctx, t, "database_rollup/3600", "counts of databases", span); err != nil {
			return fail(err)
		}
		through[t.ID] = t.Endpoint.Database
		ids = append(ids, int64(t.ID))
	}
	const day = 24 * time.Hour
	days := Range{Floor(span.From.Add(day-1), day), Floor(span.To, day)}
	if days.Empty() { // hours do
		days = Range{span.To, span.To}
	}
	rows, err := r.pool.Query(ctx, sql("database_use"), pgx.NamedArgs{
		"servers": ids, "from": span.From, "first_day": days.From, "last_day": days.To, "to": span.To,
	})
	if err != nil {
		return fail(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (DatabaseUse, error) {
		var (
			d                      DatabaseUse
			seconds, busy, counted float64
			firstSize              *int64
		)
		err := row.Scan(&d.Server, &d.OID, &d.Name, &d.AllowConnect, &d.CreatedAt, &d.FirstSeenAt, &d.DroppedAt, &seconds, &busy, &counted,
			&d.ConnectionsMax, &d.ConnectedAt, &d.Commits, &d.Rollbacks, &d.Inserted, &d.Updated, &d.Deleted, &d.Sessions, &firstSize, &d.Size, &d.SizeAt)
		d.FirstSeenAt = d.FirstSeenAt.UTC()
		for _, at := range []**time.Time{&d.CreatedAt, &d.DroppedAt, &d.ConnectedAt, &d.SizeAt} {
			*at = inUTC(*at)
		}
		if seconds > 0 {
			mean := busy / seconds
			d.Connections = &mean
		}
		if firstSize != nil && d.Size != nil {
			growth := *d.Size - *firstSize
			d.Growth = &growth
		}
		d.Seen, d.Counted = time.Duration(seconds*float64(time.Second)), time.Duration(counted*float64(time.Second))
		d.Through = d.Name == through[d.Server]
		d.Class = q.Criteria.class(&d, Range{span.From, q.Range.To})
		return d, err
	})
	if err != nil {
		return fail(err)
	}
	return list, span, nil
}
