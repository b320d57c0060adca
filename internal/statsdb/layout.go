package statsdb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Span is the length of a table's partitions.
type Span int

// The lengths.
const (
	Daily Span = iota
	Monthly
	Yearly
)

// Kept names how long something is kept, as the setting PGAM_RETENTION_… does.
type Kept string

// What is kept by a length of its own.
const (
	KeptActivity  Kept = "ACTIVITY"
	KeptMinutes   Kept = "MINUTES"
	KeptDatabases Kept = "DATABASES"
	KeptDisks     Kept = "DISKS"
	KeptRollups   Kept = "ROLLUPS"
	KeptAudit     Kept = "AUDIT"
)

// AllKept gives them all.
func AllKept() []Kept {
	return []Kept{KeptActivity, KeptMinutes, KeptDatabases, KeptDisks, KeptRollups, KeptAudit}
}

// Partitioned is a table of the schema history that is partitioned by time, or
// the part of one with one step.
type Partitioned struct {
	Table string
	// Part is put to the names of partitions where the table has several steps,
	// and Step, in seconds, is the first column of their key.
	Part string
	Step int
	Span Span
	Kept Kept
	// With are storage parameters: rows that grow in place find room in their page
	// when it was not filled.
	With string
}

// Layout is all of them.
func Layout() []Partitioned {
	return []Partitioned{
		{Table: "activity", Span: Daily, Kept: KeptActivity},
		{Table: "session", Span: Daily, Kept: KeptActivity},
		{Table: "activity_minute", Span: Monthly, Kept: KeptMinutes},
		{Table: "activity_total", Span: Yearly, Kept: KeptRollups},
		{Table: "activity_rollup", Part: "_10minute", Step: 600, Span: Monthly, Kept: KeptMinutes},
		{Table: "activity_rollup", Part: "_hour", Step: 3600, Span: Yearly, Kept: KeptRollups},
		{Table: "activity_rollup", Part: "_day", Step: 86400, Span: Yearly, Kept: KeptRollups},
		{Table: "database_look", Span: Daily, Kept: KeptActivity},
		{Table: "database_stat", Span: Daily, Kept: KeptActivity},
		{Table: "database_size", Span: Monthly, Kept: KeptDatabases},
		{Table: "database_rollup", Part: "_10minute", Step: 600, Span: Monthly, Kept: KeptMinutes},
		{Table: "database_rollup", Part: "_hour", Step: 3600, Span: Monthly, Kept: KeptRollups},
		{Table: "database_rollup", Part: "_day", Step: 86400, Span: Yearly, Kept: KeptRollups},
		{Table: "disk_usage", Span: Monthly, Kept: KeptDisks},
		{Table: "disk_rollup", Span: Yearly, Kept: KeptRollups, With: "fillfactor = 80"},
		{Table: "horizon", Span: Monthly, Kept: KeptMinutes},
		{Table: "event", Span: Yearly, Kept: KeptRollups},
	}
}

// Name tells a table, or the part of it, from all others.
func (p Partitioned) Name() string { return p.Table + p.Part }

// Partition is the name of the partition that begins at from.
func (p Partitioned) Partition(from time.Time) string {
	return p.Name() + "_p" + from.Format(p.Span.layout())
}

// Ends gives the upper bound of the partition with this name; ok is false if it
// is none of p's.
func (p Partitioned) Ends(partition string) (to time.Time, ok bool) {
	suffix, ok := strings.CutPrefix(partition, p.Name()+"_p")
	if !ok {
		return to, false
	}
	from, err := time.Parse(p.Span.layout(), suffix)
	if err != nil {
		return to, false
	}
	_, to = p.Span.Bounds(from)
	return to, true
}

// Bound is an end of a partition's range in SQL.
func (p Partitioned) Bound(at time.Time) string {
	instant := "'" + at.Format(time.RFC3339) + "'"
	if p.Step > 0 {
		return fmt.Sprintf("%d, %s", p.Step, instant)
	}
	return instant
}

// Bounds gives the range of the partition that holds an instant, in UTC.
func (s Span) Bounds(t time.Time) (from, to time.Time) {
	t = t.UTC()
	switch s {
	case Yearly:
		from = time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
		return from, from.AddDate(1, 0, 0)
	case Monthly:
		from = time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		return from, from.AddDate(0, 1, 0)
	case Daily:
	}
	from = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return from, from.AddDate(0, 0, 1)
}

// layout is how the start of a partition is written in its name.
func (s Span) layout() string {
	return [...]string{Daily: "20060102", Monthly: "200601", Yearly: "2006"}[s]
}

// Retention reads how long the collector keeps what; zero is for ever. What it
// never said is not in it: it was not started with this schema yet.
func (d *DB) Retention(ctx context.Context) (map[Kept]time.Duration, error) {
	// Both write lengths of time alike, days included.
	const sql = `/* pgam:retention */
select substring(name from '^PGAM_RETENTION_(.*)$'), coalesce(value, environment)::interval
  from pgam.setting
 where name = any (select 'PGAM_RETENTION_' || k from unnest($1::text[]) k)
   and coalesce(value, environment) ~ '^[0-9]+(d|h|m|s)'`
	rows, err := d.pool.Query(ctx, sql, AllKept())
	if err != nil {
		return nil, err
	}
	kept := make(map[Kept]time.Duration)
	var (
		name   Kept
		length time.Duration
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &length}, func() error {
		kept[name] = length
		return nil
	})
	return kept, err
}
