package legacy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Layout says whose tables are read.
type Layout int

const (
	// June is the version of June 2025: a database with pg_statistics and
	// db_creation on each server.
	June Layout = iota
	// Later is what came after it: one database with statistics and db_info of
	// all servers.
	Later
)

// ErrNoTables says that a database is not one of the Python version.
var ErrNoTables = errors.New("the database holds no history of the Python version")

// pageRows is how many rows one statement reads, and maxPageRows how many it
// may have to where they are all of one instant.
const (
	pageRows    = 50_000
	maxPageRows = 64 * pageRows
)

// Row is a row of pg_statistics or statistics, as it stands there.
type Row struct {
	ID int64
	// At is in microseconds since the Unix epoch; math.MaxInt64 and
	// math.MinInt64 stand for the infinities of PostgreSQL.
	At       int64
	Database string // empty: null
	Backends sample.Int
	Commits  sample.Int
	Size     sample.Int
	// Measured says that Size was taken with this row, and is not one of before.
	Measured            bool
	DiskFree, DiskTotal sample.Int
}

// Creation is what is known of a database beside its rows.
type Creation struct {
	Name      string
	OID       uint32     // 0: unknown
	CreatedAt *time.Time // nil: unknown
}

// Source is a connection to a database with history of the Python version. It
// is for one goroutine at a time.
type Source struct {
	conn   *pgx.Conn
	layout Layout
	first  string // the statement that reads the first page
	next   string // the statement that reads a page after an instant
	rows   int    // of a page
	names  map[string]string
}

// OpenSource connects to the database that t's endpoint names. The error wraps
// ErrNoTables, or is for remote.Classify.
func OpenSource(ctx context.Context, t target.Target, layout Layout, limits remote.Limits) (*Source, error) {
	cfg, err := remote.PostgresConfig(t, limits)
	if err != nil {
		return nil, err
	}
	// One database, whose encoding is known: names come as text.
	cfg.RuntimeParams["client_encoding"] = "UTF8"
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Connect+limits.Statement, fmt.Errorf("open history of %s: deadline", t.Name))
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	s := &Source{conn: conn, layout: layout, rows: pageRows, names: make(map[string]string)}
	if err := s.describe(ctx); err != nil {
		s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// Close ends the connection.
func (s *Source) Close(ctx context.Context) { _ = s.conn.Close(ctx) }

// tables gives the names of the table of samples and the one of databases.
func (s *Source) tables() (samples, databases string) {
	if s.layout == June {
		return "pg_statistics", "db_creation"
	}
	return "statistics", "db_info"
}

// columns gives the names of a table's columns; none if it does not exist.
func (s *Source) columns(ctx context.Context, table string) (map[string]bool, error) {
	const sql = `/* pgam:import */
select a.attname::text
  from pg_catalog.pg_attribute a
 where a.attrelid = pg_catalog.to_regclass($1)
   and a.attnum > 0
   and not a.attisdropped`
	rows, err := s.conn.Query(ctx, sql, "public."+table)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool, len(names))
	for _, name := range names {
		found[name] = true
	}
	return found, nil
}

// describe finds the table of samples and builds its statements. Columns that
// some installations lack are read as null.
func (s *Source) describe(ctx context.Context) error {
	table, _ := s.tables()
	found, err := s.columns(ctx, table)
	if err != nil {
		return fmt.Errorf("look for table %s: %w", table, err)
	}
	for _, needed := range s.needed() {
		if !found[needed] {
			return fmt.Errorf("%w: it has no table public.%s with a column %s", ErrNoTables, table, needed)
		}
	}
	optional := func(column, typ string) string {
		if !found[column] {
			return "null::" + typ
		}
		return column + "::" + typ
	}
	measured, free, total := "last_size_update", "disk_free_space", ""
	if s.layout == Later {
		measured, free, total = "", "disk_free", "disk_total"
	}
	isMeasured := "false"
	if found[measured] {
		isMeasured = measured + " is not null"
	}
	columns := strings.Join([]string{
		"id::int8", "ts::timestamptz", "datname::text", "numbackends::int8", "xact_commit::int8", optional("db_size", "int8"),
		isMeasured, optional(free, "int8"), optional(total, "int8"),
	}, ", ")
	build := func(after string) string {
		where := ""
		if s.layout == Later {
			where, after = " where server_name = $2", strings.Replace(after, "where", "and", 1)
		}
		return "/* pgam:import */ select " + columns + " from public." + table + where + after + " order by ts limit $1"
	}
	at := "$2"
	if s.layout == Later {
		at = "$3"
	}
	s.first, s.next = build(""), build(" where ts > "+at)
	return nil
}

func (s *Source) needed() []string {
	needed := []string{"id", "ts", "datname", "numbackends", "xact_commit"}
	if s.layout == Later {
		needed = append(needed, "server_name")
	}
	return needed
}

// Servers gives the names that a later version has history of.
func (s *Source) Servers(ctx context.Context) ([]string, error) {
	// From one name to the next along the index; a plain distinct reads it all.
	const sql = `/* pgam:import */
with recursive names as (
    (select server_name from public.statistics order by server_name limit 1)
    union all
    select (select min(s.server_name) from public.statistics s where s.server_name > n.server_name)
      from names n
     where n.server_name is not null
)
select server_name::text
  from names
 where server_name is not null`
	rows, err := s.conn.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("list servers: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list servers: %w", err)
	}
	return names, nil
}

// Creations reads what is known of databases; nothing where that table does
// not exist. The server is for Later alone.
func (s *Source) Creations(ctx context.Context, server string) ([]Creation, error) {
	_, table := s.tables()
	found, err := s.columns(ctx, table)
	if err != nil {
		return nil, fmt.Errorf("look for table %s: %w", table, err)
	}
	if !found["datname"] || !found["oid"] || !found["creation_time"] {
		return nil, nil
	}
	sql := "/* pgam:import */ select datname::text, coalesce(oid::oid, 0::oid), creation_time::timestamptz from public." + table
	var args []any
	if s.layout == Later {
		sql, args = sql+" where server_name = $1", []any{server}
	}
	rows, err := s.conn.Query(ctx, sql+" order by datname", args...)
	if err != nil {
		return nil, fmt.Errorf("read databases: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Creation, err error) {
		var name []byte
		var created pgtype.Timestamptz
		if err := row.Scan(&name, &c.OID, &created); err != nil {
			return c, err
		}
		c.Name = cleanText(name)
		if created.Valid && created.InfinityModifier == pgtype.Finite {
			at := created.Time.UTC()
			c.CreatedAt = &at
		}
		return c, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read databases: %w", err)
	}
	return list, nil
}

// Count gives how many rows there are to read.
func (s *Source) Count(ctx context.Context, server string) (rows int64, err error) {
	table, _ := s.tables()
	sql := "/* pgam:import */ select count(*) from public." + table
	var args []any
	if s.layout == Later {
		sql, args = sql+" where server_name = $1", []any{server}
	}
	if err := s.conn.QueryRow(ctx, sql, args...).Scan(&rows); err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	return rows, nil
}

// Pages reads all rows in the order of time and gives them to use in pages, all
// of an instant in one. A page is use's to keep.
func (s *Source) Pages(ctx context.Context, server string, use func([]Row) error) error {
	limit := s.rows
	var after *pgtype.Timestamptz
	for {
		page, err := s.page(ctx, server, after, limit)
		if err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		whole := page
		if len(page) == limit {
			whole = page[:wholeInstants(page)]
			if len(whole) == 0 {
				if limit *= 4; limit > maxPageRows {
					return fmt.Errorf("read history: more than %d rows are of one instant", maxPageRows)
				}
				continue
			}
		}
		if len(whole) > 0 {
			after = instant(whole[len(whole)-1].At)
			if err := use(whole); err != nil {
				return err
			}
		}
		if len(page) < limit {
			return nil
		}
		limit = s.rows
	}
}

// wholeInstants gives how many rows of a page are of instants that are whole in
// it: all but those of the last.
func wholeInstants(page []Row) int {
	n := len(page)
	for n > 0 && page[n-1].At == page[len(page)-1].At {
		n--
	}
	return n
}

func instant(at int64) *pgtype.Timestamptz {
	switch at {
	case math.MaxInt64:
		return &pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	case math.MinInt64:
		return &pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	}
	return &pgtype.Timestamptz{Time: time.UnixMicro(at), Valid: true}
}

func (s *Source) page(ctx context.Context, server string, after *pgtype.Timestamptz, limit int) ([]Row, error) {
	sql, args := s.first, []any{limit}
	if s.layout == Later {
		args = append(args, server)
	}
	if after != nil {
		sql, args = s.next, append(args, *after)
	}
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := make([]Row, 0, limit)
	for rows.Next() {
		page = append(page, s.decode(rows.RawValues()))
	}
	return page, rows.Err()
}

// pgEpochMicros is 2000-01-01 in microseconds since the Unix epoch.
const pgEpochMicros = 946684800 * 1_000_000

// decode reads the binary values of a row. Going through the driver's
// reflection would cost more than all the rest of reading.
func (s *Source) decode(values [][]byte) Row {
	number := func(i int) sample.Int {
		if len(values[i]) != 8 {
			return sample.Int{} // null
		}
		return sample.Int{V: int64(binary.BigEndian.Uint64(values[i])), Known: true}
	}
	r := Row{
		ID: number(0).V, At: number(1).V, Backends: number(3), Commits: number(4), Size: number(5),
		Measured: len(values[6]) == 1 && values[6][0] == 1, DiskFree: number(7), DiskTotal: number(8),
	}
	switch r.At {
	case math.MaxInt64, math.MinInt64:
	default:
		r.At += pgEpochMicros
	}
	name, known := s.names[string(values[2])]
	if !known {
		name = cleanText(values[2])
		if len(s.names) < 10_000 {
			s.names[string(values[2])] = name
		}
	}
	r.Database = name
	return r
}

// cleanText makes valid UTF-8 of a name from a database without an encoding, as
// the collector does: a byte that is not part of UTF-8 becomes \xNN.
func cleanText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			fmt.Fprintf(&out, `\x%02x`, b[0])
			n = 1
		} else {
			out.Write(b[:n])
		}
		b = b[n:]
	}
	return out.String()
}
