package ingest

import (
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"

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

// named are the arguments of a statement by the names that it has for them.
type named map[string]any

// positions remembers statements with numbers in the place of names, and the names
// in their order: looking for them took as long as all the rest of a short statement.
var positions sync.Map

type positional struct {
	text  string
	names []any
}

// RewriteQuery implements pgx.QueryRewriter.
func (a named) RewriteQuery(ctx context.Context, conn *pgx.Conn, text string, _ []any) (string, []any, error) {
	known, ok := positions.Load(text)
	if !ok {
		names := make(pgx.NamedArgs, len(a))
		for name := range a {
			names[name] = name
		}
		var p positional
		var err error
		if p.text, p.names, err = names.RewriteQuery(ctx, conn, text, nil); err != nil {
			return "", nil, err
		}
		known, _ = positions.LoadOrStore(text, p)
	}
	p := known.(positional)
	values := make([]any, len(p.names))
	for i, name := range p.names {
		values[i] = a[name.(string)]
	}
	return p.text, values, nil
}

// rowColumns are those of sample.Row.Fields, summaryColumns those of
// sample.StoredSummary.Fields after the start.
var (
	rowColumns = []string{
		"tick_planned_ms", "tick_delay_ms", "tick_cadence_ms", "tick_outcome", "tick_reason", "tick_duration_us", "tick_backends", "tick_next_xid",
		"tick_burst", "tick_edges_cut", "session_keys", "wait_keys", "wait_class", "query_keys", "lock_keys", "sample_tick", "sample_session",
		"sample_wait", "sample_query", "sample_query_start_ms", "sample_xact_lead_ms", "sample_state_lag_ms", "sample_xmin", "sample_blocker",
		"edge_tick", "edge_blocked", "edge_blocker", "edge_lock",
	}
	summaryColumns = []string{
		"first_planned_ms", "last_planned_ms", "first_cadence_ms", "cadence_ms", "ticks_ok", "ticks_degraded", "ticks_failed", "ticks_skipped",
		"ticks_missing", "first_seen_ms", "last_seen_ms", "longest_gap_ms", "fault_outcome", "fault_reason", "fault_ticks", "samples",
		"max_sessions", "max_backends", "cpu", "lock", "lwlock", "io", "ipc", "client", "timeout", "buffer", "extension", "other", "idle_in_transaction",
	}
)

// buffers are what rows are copied from.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// copyRows writes rows of a table of the history, and does what comes then. pgx's own
// CopyFrom, like the arguments of an insert, grows a buffer anew for every row: with
// the long arrays of samples that was half of what a collector did.
func copyRows(ctx context.Context, conn *pgx.Conn, table string, columns []string, rows [][]any, then string) error {
	list := strings.Join(columns, ", ")
	described, err := conn.Prepare(ctx, "copy "+table, "select "+list+" from history."+table)
	if err != nil {
		return err
	}
	buffer := buffers.Get().(*[]byte)
	b := append((*buffer)[:0], "PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000"...)
	for _, row := range rows {
		b = binary.BigEndian.AppendUint16(b, uint16(len(row)))
		for i, v := range row {
			at := len(b)
			b = binary.BigEndian.AppendUint32(b, math.MaxUint32) // null
			value, err := conn.TypeMap().Encode(described.Fields[i].DataTypeOID, pgx.BinaryFormatCode, v, b)
			if err != nil {
				return fmt.Errorf("encode %s: %w", columns[i], err)
			}
			if value != nil {
				b = value
				binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
			}
		}
	}
	*buffer = b
	if _, err = conn.PgConn().CopyFrom(ctx, bytes.NewReader(b), "/* pgam:copy */ copy history."+table+" ("+list+") from stdin binary"+then); err != nil {
		return err // and pgconn may still read the buffer, so nobody else gets it
	}
	buffers.Put(buffer)
	return nil
}

// scanSummary reads a stretch's start and its summary, in the order in which
// sql/ lists the columns.
func scanSummary(row pgx.CollectableRow) (sample.Summary, error) {
	var stored sample.StoredSummary
	err := row.Scan(stored.Fields()...)
	return stored.Summary(), err
}
