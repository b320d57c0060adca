package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/statsdb"
)

// mostPackedDays bounds how many are listed.
const mostPackedDays = 400

// Storage says what the history takes. It asks the catalog and the sizes of
// files, never the tables.
func (s *Store) Storage(ctx context.Context, now time.Time) (history.Storage, error) {
	answer := history.Storage{At: now.UTC()}
	fail := func(err error) (history.Storage, error) {
		return history.Storage{}, fmt.Errorf("read storage: %w", statsdb.Classify(err))
	}
	retention, err := s.retentionInForce(ctx)
	if err != nil {
		return fail(err)
	}
	relations, err := s.relations(ctx)
	if err != nil {
		return fail(err)
	}
	answer.Tables = families(relations, answer.At, retention)
	if err := s.pool.QueryRow(ctx, "/* pgam:storage */ select pg_catalog.pg_database_size(current_database())").Scan(&answer.DatabaseBytes); err != nil {
		return fail(err)
	}
	const packed = `/* pgam:storage */
select day, packed_at, windows, rows, samples, bytes_before, bytes_after, late
  from history.packed_day
 order by day desc
 limit $1`
	rows, err := s.pool.Query(ctx, packed, mostPackedDays)
	if err != nil {
		return fail(err)
	}
	if answer.PackedDays, err = pgx.CollectRows(rows, pgx.RowToStructByPos[history.PackedDay]); err != nil {
		return fail(err)
	}
	for i := range answer.PackedDays {
		d := &answer.PackedDays[i]
		d.Day, d.PackedAt = d.Day.UTC(), d.PackedAt.UTC()
	}
	return answer, nil
}

// relation is a table of the schema history that is stored.
type relation struct {
	Name, Parent       string // Parent is empty for what is no partition
	Rows               int64
	Heap, Index, Toast int64
}

func (s *Store) relations(ctx context.Context) ([]relation, error) {
	const sql = `/* pgam:storage */
select c.relname::text as name,
       coalesce(p.relname::text, '') as parent,
       case when c.reltuples > 0 then c.reltuples::bigint else pg_catalog.pg_stat_get_live_tuples(c.oid) end as rows,
       coalesce(pg_catalog.pg_relation_size(c.oid, 'main') + pg_catalog.pg_relation_size(c.oid, 'fsm') + pg_catalog.pg_relation_size(c.oid, 'vm')
                + pg_catalog.pg_relation_size(c.oid, 'init'), 0) as heap,
       coalesce(pg_catalog.pg_indexes_size(c.oid), 0) as index,
       coalesce(pg_catalog.pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) as toast
  from pg_catalog.pg_class c
  left join pg_catalog.pg_inherits i on i.inhrelid = c.oid
  left join pg_catalog.pg_class p on p.oid = i.inhparent
 where c.relnamespace = 'history'::regnamespace
   and c.relkind = 'r'` // a size is null when the table was dropped meanwhile
	rows, err := s.pool.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[relation])
}

// retentionInForce reads what the collector follows. What it never said is not
// in it: it was not started with this schema yet.
func (s *Store) retentionInForce(ctx context.Context) (map[string]time.Duration, error) {
	// Both write lengths of time alike, days included.
	const sql = `/* pgam:storage */
select substring(name from '^PGAM_RETENTION_(WINDOWS|MINUTES|DATABASES|DISKS|ROLLUPS)$') as kept,
       coalesce(value, environment)::interval
  from pgam.setting
 where name ~ '^PGAM_RETENTION_(WINDOWS|MINUTES|DATABASES|DISKS|ROLLUPS)$'
   and coalesce(value, environment) ~ '^[0-9]+(d|h|m|s)'`
	rows, err := s.pool.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	kept := make(map[string]time.Duration)
	var (
		name   string
		length time.Duration
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &length}, func() error {
		kept[name] = length
		return nil
	})
	return kept, err
}

// limitOf gives how long partitions of a table are kept.
func limitOf(t partitioned, inForce map[string]time.Duration) *time.Duration {
	// Each limit is told from the others by a value of its own.
	which := []string{"WINDOWS", "MINUTES", "DATABASES", "DISKS", "ROLLUPS"}
	n := t.kept(Retention{Windows: 1, Minutes: 2, Databases: 3, Disks: 4, Rollups: 5})
	kept, known := inForce[which[n-1]]
	if !known {
		return nil
	}
	return &kept
}

// families sums relations up by table and step. Those that are not pgam's are
// left out; a table that is being packed is one of its own.
func families(relations []relation, now time.Time, inForce map[string]time.Duration) []history.StoredTable {
	byName := make(map[string]*family)
	for _, r := range relations {
		name, table := r.Name, partitioned{}
		if r.Parent != "" {
			for _, t := range partitionedTables() {
				if _, ok := t.end(r.Name); ok && t.table == r.Parent {
					name, table = t.table+t.part, t
				}
			}
		}
		f := byName[name]
		if f == nil {
			f = &family{StoredTable: history.StoredTable{Table: name}}
			if table.table != "" {
				f.Table, f.Step, f.Kept = table.table, time.Duration(table.step)*time.Second, limitOf(table, inForce)
			}
			byName[name] = f
		}
		f.add(r, table, now)
	}
	all := make([]history.StoredTable, 0, len(byName))
	for _, f := range byName {
		all = append(all, f.end())
	}
	slices.SortFunc(all, func(a, b history.StoredTable) int {
		return cmp.Or(cmp.Compare(b.Bytes(), a.Bytes()), strings.Compare(a.Table, b.Table), cmp.Compare(a.Step, b.Step))
	})
	return all
}

// family is a StoredTable while it is summed up.
type family struct {
	history.StoredTable
	// What is over, and what is not.
	closedDays, openDays   float64
	closedBytes, openBytes int64
}

func (f *family) add(r relation, t partitioned, now time.Time) {
	f.Rows += r.Rows
	f.HeapBytes, f.IndexBytes, f.ToastBytes = f.HeapBytes+r.Heap, f.IndexBytes+r.Index, f.ToastBytes+r.Toast
	if t.table == "" {
		return
	}
	f.Partitions++
	end, _ := t.end(r.Name)
	begin, _ := t.span.bounds(end.Add(-time.Nanosecond))
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

func (f *family) end() history.StoredTable {
	var perDay float64
	switch {
	case f.closedDays > 0:
		perDay = float64(f.closedBytes) / f.closedDays
	case f.openDays > 0:
		perDay = float64(f.openBytes) / f.openDays
	default:
		return f.StoredTable
	}
	f.BytesPerDay = &perDay
	return f.StoredTable
}
