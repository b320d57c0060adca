package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
)

// Storage says what the history takes, and how long it stays.
type Storage struct {
	At            time.Time
	DatabaseBytes int64 // of all of stats_db
	Tables        []StoredTable
}

// StoredTable is a table of the history or, where Step is not zero, what it holds
// of one step.
type StoredTable struct {
	Table string
	Step  time.Duration
	// Partitions is 0 for a table that has none: a dictionary or the like.
	Partitions int
	// Rows are estimated from PostgreSQL's statistics.
	Rows                              int64
	HeapBytes, IndexBytes, ToastBytes int64
	// Oldest and Newest are the ends of what the partitions with rows are for;
	// Newest is never ahead. Nil where there are none.
	Oldest, Newest *time.Time
	// BytesPerDay is of partitions whose time is over; of the newest so far,
	// where there is no other; nil where nothing is known.
	BytesPerDay *float64
	// Kept is nil where no limit is known, zero for ever. The oldest partition is
	// dropped at Drops, or within the hour.
	Kept  *time.Duration
	Drops *time.Time
}

// Bytes is all that the table takes.
func (t StoredTable) Bytes() int64 { return t.HeapBytes + t.IndexBytes + t.ToastBytes }

// Storage says what the history takes. It asks the catalog and the sizes of files,
// never the tables.
func (r *Reader) Storage(ctx context.Context, now time.Time) (Storage, error) {
	answer := Storage{At: now.UTC()}
	kept, err := r.db.Retention(ctx)
	var rows pgx.Rows
	if err == nil {
		rows, err = r.pool.Query(ctx, sql("storage"))
	}
	var relations []relation
	if err == nil {
		relations, err = pgx.CollectRows(rows, pgx.RowToStructByName[relation])
	}
	if err == nil {
		const size = "/* pgam:storage */ select pg_catalog.pg_database_size(current_database())"
		err = r.pool.QueryRow(ctx, size).Scan(&answer.DatabaseBytes)
	}
	if err != nil {
		return Storage{}, fmt.Errorf("read storage: %w", statsdb.Classify(err))
	}
	answer.Tables = families(relations, answer.At, kept)
	return answer, nil
}

// relation is a table of the schema history that is stored.
type relation struct {
	Name, Parent       string // Parent is empty for what is no partition
	Rows               int64
	Heap, Index, Toast int64
}

// families sums relations up by table and step. Those that are not pgam's are left
// out.
func families(relations []relation, now time.Time, kept map[statsdb.Kept]time.Duration) []StoredTable {
	byName := make(map[string]*family)
	for _, r := range relations {
		name, table := r.Name, statsdb.Partitioned{}
		for _, t := range statsdb.Layout() {
			if _, ok := t.Ends(r.Name); ok && t.Table == r.Parent {
				name, table = t.Name(), t
			}
		}
		f := byName[name]
		if f == nil {
			f = &family{StoredTable: StoredTable{Table: name}}
			if table.Table != "" {
				f.Table, f.Step = table.Table, time.Duration(table.Step)*time.Second
				if length, known := kept[table.Kept]; known {
					f.Kept = &length
				}
			}
			byName[name] = f
		}
		f.add(r, table, now)
	}
	all := make([]StoredTable, 0, len(byName))
	for _, f := range byName {
		all = append(all, f.end())
	}
	slices.SortFunc(all, func(a, b StoredTable) int {
		return cmp.Or(cmp.Compare(b.Bytes(), a.Bytes()), strings.Compare(a.Table, b.Table), cmp.Compare(a.Step, b.Step))
	})
	return all
}

// family is a StoredTable while it is summed up.
type family struct {
	StoredTable

	// What is over, and what is not.
	closedDays, openDays   float64
	closedBytes, openBytes int64
}

func (f *family) add(r relation, t statsdb.Partitioned, now time.Time) {
	f.Rows += r.Rows
	f.HeapBytes, f.IndexBytes, f.ToastBytes = f.HeapBytes+r.Heap, f.IndexBytes+r.Index, f.ToastBytes+r.Toast
	if t.Table == "" {
		return
	}
	f.Partitions++
	end, _ := t.Ends(r.Name)
	begin, _ := t.Span.Bounds(end.Add(-time.Nanosecond))
	if f.Kept != nil && *f.Kept > 0 {
		if at := end.Add(*f.Kept); f.Drops == nil || at.Before(*f.Drops) {
			f.Drops = &at
		}
	}
	if r.Heap == 0 || !begin.Before(now) {
		return
	}
	bytes := r.Heap + r.Index + r.Toast
	if end.After(now) {
		end = now
		f.openBytes, f.openDays = f.openBytes+bytes, f.openDays+end.Sub(begin).Hours()/24
	} else {
		f.closedBytes, f.closedDays = f.closedBytes+bytes, f.closedDays+end.Sub(begin).Hours()/24
	}
	if f.Oldest == nil || begin.Before(*f.Oldest) {
		f.Oldest = &begin
	}
	if f.Newest == nil || end.After(*f.Newest) {
		f.Newest = &end
	}
}

func (f *family) end() StoredTable {
	switch {
	case f.closedDays > 0:
		f.BytesPerDay = new(float64(f.closedBytes) / f.closedDays)
	case f.openDays > 0:
		f.BytesPerDay = new(float64(f.openBytes) / f.openDays)
	}
	return f.StoredTable
}
