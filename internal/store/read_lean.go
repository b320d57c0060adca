package store

import (
	"encoding/binary"
	"time"

	"github.com/pgam/pgam/internal/rollup"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// leanColumns says which columns of the samples are read; the others are null,
// and not even fetched by PostgreSQL.
type leanColumns struct{ session, query bool }

// leanWindows asks for what is counted of the windows that begin in a time.
func leanWindows(c leanColumns, id target.ID, from, to time.Time, row func(values)) question {
	return question{
		name: "pgam_lean_windows",
		sql: `/* pgam:lean_windows */
select t0, span_ms, tick_offset_ms, tick_outcome, sample_tick, case when $4 then sample_session end, sample_wait,
       case when $5 then sample_query end
  from history.activity_window
 where server_id = $1
   and t0 >= $2
   and t0 < $3
 order by t0`,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(from)
			p.time(to)
			p.bool(c.session)
			p.bool(c.query)
		},
		row: row,
	}
}

// leanBuffer holds windows, and keeps what it allocated for the next ones.
type leanBuffer struct {
	windows   []rollup.Window
	malformed bool
}

func (b *leanBuffer) reset() { b.windows, b.malformed = b.windows[:0], false }

// add reads a row of leanWindows.
func (b *leanBuffer) add(v values) {
	if len(b.windows) < cap(b.windows) {
		b.windows = b.windows[:len(b.windows)+1]
	} else {
		b.windows = append(b.windows, rollup.Window{})
	}
	w := &b.windows[len(b.windows)-1]
	w.T0, w.SpanMS = v.time(0), v.int4(1)
	w.Offset, w.Outcome = v.appendInt4s(2, w.Offset[:0]), v.appendInt2s(3, w.Outcome[:0])
	w.Tick = v.appendInt2s(4, w.Tick[:0])
	w.Session, w.Wait, w.Query = v.appendInt4s(5, w.Session[:0]), v.appendInt2s(6, w.Wait[:0]), v.appendInt4s(7, w.Query[:0])
	n := len(w.Tick)
	ok := len(w.Outcome) == 0 || len(w.Outcome) == len(w.Offset)
	ok = ok && (v.null(5) || len(w.Session) == n) && len(w.Wait) == n && (v.null(7) || len(w.Query) == n)
	for _, tick := range w.Tick {
		ok = ok && tick >= 1 && int(tick) <= len(w.Offset)
	}
	if !ok {
		b.malformed = true
	}
}

// err tells whether a window was not as it was written.
func (b *leanBuffer) err() error {
	if b.malformed {
		return errMalformedArray
	}
	return nil
}

// sessionLabels asks for what sessions of a UTC day are counted by.
func sessionLabels(id target.ID, day time.Time, sessions []int32, row func(session int32, v values)) question {
	return question{
		name: "pgam_session_labels",
		sql: `/* pgam:session_labels */
select id, database_name, user_name, application_name, client_addr, backend_type
  from history.session
 where server_id = $1
   and day = $2
   and id = any ($3::int4[])`,
		args: func(p *params) {
			p.int8(int64(id))
			p.day(sample.Day(day))
			p.int4s(sessions, false)
		},
		row: func(v values) { row(v.int4(0), v) },
	}
}

// The columns of sessionLabels by dimension.
func labelColumn(d rollup.Dimension) int { return int(d-rollup.Database) + 1 }

func (v values) int2(i int) int16 {
	if len(v[i]) != 2 {
		return 0
	}
	return int16(binary.BigEndian.Uint16(v[i]))
}

// elements gives the bytes of a one-dimensional array's elements, each after
// its length, and their number.
func (v values) elements(i int) (b []byte, n int) {
	if len(v[i]) < arrayHeader {
		return nil, 0
	}
	b = v[i][arrayHeader:]
	return b, int(min(binary.BigEndian.Uint32(v[i][12:]), uint32(len(b)/4)))
}

// appendInt4s reads an int4[]; null elements are sample.Unset. What does not
// fit is left out, so that the lengths tell.
func (v values) appendInt4s(i int, to []int32) []int32 {
	b, n := v.elements(i)
	for range n {
		switch {
		case len(b) >= 8 && b[3] == 4:
			to, b = append(to, int32(binary.BigEndian.Uint32(b[4:]))), b[8:]
		case len(b) >= 4 && b[0] == 0xff:
			to, b = append(to, sample.Unset), b[4:]
		default:
			return to
		}
	}
	return to
}

// appendInt2s reads an int2[] without nulls, as appendInt4s does.
func (v values) appendInt2s(i int, to []int16) []int16 {
	b, n := v.elements(i)
	for range n {
		if len(b) < 6 || b[3] != 2 {
			return to
		}
		to, b = append(to, int16(binary.BigEndian.Uint16(b[4:]))), b[6:]
	}
	return to
}

// appendInt8s reads an int8[] without nulls, as appendInt4s does.
func (v values) appendInt8s(i int, to []int64) []int64 {
	b, n := v.elements(i)
	for range n {
		if len(b) < 12 || b[3] != 8 {
			return to
		}
		to, b = append(to, int64(binary.BigEndian.Uint64(b[4:]))), b[12:]
	}
	return to
}

// two adds an element of two bytes to an array.
func (p *params) two(v uint16) { p.buf = append(p.buf, 0, 0, 0, 2, byte(v>>8), byte(v)) }
