package store

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// errMalformedArray says that an array is not one of those that windows are
// made of.
var errMalformedArray = errors.New("read window: an array has another form than it was written in")

// windowColumns are those of history.activity_window in the order in which
// decodeWindow reads them.
const windowColumns = `t0, span_ms, cadence_ms, xid_base,
       tick_offset_ms, tick_outcome, tick_reason, tick_duration_us, tick_backends, tick_burst,
       sample_tick, sample_session, sample_wait, sample_query, sample_query_start_ms,
       sample_xact_lead_ms, sample_state_lag_ms, sample_xmin_age, sample_blocker,
       edge_tick, edge_blocked, edge_blocker, edge_lock`

const selectWindows = `/* pgam:read_windows */
select ` + windowColumns + `
  from history.activity_window
 where server_id = $1
   and t0 > $2
   and t0 < $3
 order by t0`

// readWindows hands over the windows of a server that may hold ticks of a
// range, whole and in the order of time; the first and the last may reach
// beyond it. What visit is given is its own to keep. Of Minute only Samples is
// filled: the classes of waits are in the dictionary.
func (s *Store) readWindows(ctx context.Context, id target.ID, r history.Range, visit func(*sample.Window) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return windowsOn(ctx, conn.Conn(), id, history.Range{From: r.From.Add(-maxSpan).Add(time.Microsecond), To: r.To}, visit)
}

// windowsOn hands over the windows that begin in a range, read on a connection
// that has nothing else to do meanwhile.
func windowsOn(ctx context.Context, conn *pgx.Conn, id target.ID, r history.Range, visit func(*sample.Window) error) error {
	stmt, err := conn.Prepare(ctx, "pgam_read_windows", selectWindows) // known from the second time on
	if err != nil {
		return err
	}
	var p params
	p.int8(int64(id))
	p.time(r.From.Add(-time.Microsecond)) // t0 > $2
	p.time(r.To)
	reader := conn.PgConn().ExecPrepared(ctx, stmt.Name, p.list(), binaryFormat, binaryFormat)
	var fault error
	for fault == nil && reader.NextRow() {
		w := new(sample.Window)
		if fault = decodeWindow(values(reader.Values()), w); fault == nil {
			w.Server = id
			fault = visit(w)
		}
	}
	_, err = reader.Close()
	if fault != nil {
		return fault
	}
	return err
}

// decodeWindow reads windowColumns.
func decodeWindow(v values, w *sample.Window) error {
	w.T0 = v.time(0)
	w.Span, w.Cadence = time.Duration(v.int4(1))*time.Millisecond, time.Duration(v.int4(2))*time.Millisecond
	w.XIDBase = v.int8(3)
	var a arrays
	a.int4s(v[4], &w.TickOffset)
	a.int2s(v[5], &w.TickOutcome)
	a.int2s(v[6], &w.TickReason)
	a.int4s(v[7], &w.TickDuration)
	a.int4s(v[8], &w.TickBackends)
	a.bools(v[9], &w.TickBurst)
	a.int2s(v[10], &w.Tick)
	a.int4s(v[11], &w.Session)
	a.int2s(v[12], &w.Wait)
	a.int4s(v[13], &w.Query)
	a.int4s(v[14], &w.QueryStart)
	a.int4s(v[15], &w.XactLead)
	a.int4s(v[16], &w.StateLag)
	a.int4s(v[17], &w.XminAge)
	a.int4s(v[18], &w.Blocker)
	a.int2s(v[19], &w.EdgeTick)
	a.int4s(v[20], &w.EdgeBlocked)
	a.int4s(v[21], &w.EdgeBlocker)
	a.int4s(v[22], &w.EdgeLock)
	w.Minute.Samples = int32(len(w.Tick))
	if a.malformed || !w.Fits() {
		return errMalformedArray
	}
	return nil
}

// arrays reads one-dimensional arrays in binary. A null array is nil, an empty
// one is not; null elements are sample.Unset.
type arrays struct{ malformed bool }

const (
	arrayHeader = 20 // dimensions, flags, type, length, lower bound
	emptyArray  = 12 // without the last two
)

// open checks the header and gives the elements' bytes and their number.
func (a *arrays) open(b []byte, element uint32) (elements []byte, n int, ok bool) {
	switch {
	case b == nil:
		return nil, 0, false
	case len(b) == emptyArray && binary.BigEndian.Uint32(b) == 0:
		return nil, 0, true
	case len(b) < arrayHeader, binary.BigEndian.Uint32(b) != 1, binary.BigEndian.Uint32(b[8:]) != element:
		a.malformed = true
		return nil, 0, false
	}
	n = int(binary.BigEndian.Uint32(b[12:]))
	if elements = b[arrayHeader:]; n > len(elements)/4 {
		a.malformed = true
		return nil, 0, false
	}
	return elements, n, true
}

// noElement is the length of a null.
const noElement = 0xffffffff

func (a *arrays) int4s(b []byte, to *[]int32) {
	b, n, ok := a.open(b, oidInt4)
	if !ok {
		return
	}
	list := make([]int32, n)
	for i := range list {
		if len(b) >= 8 && binary.BigEndian.Uint32(b) == 4 {
			list[i], b = int32(binary.BigEndian.Uint32(b[4:])), b[8:]
			continue
		}
		if len(b) < 4 || binary.BigEndian.Uint32(b) != noElement {
			a.malformed = true
			return
		}
		list[i], b = sample.Unset, b[4:]
	}
	*to = list
}

func (a *arrays) int2s(b []byte, to *[]int16) {
	b, n, ok := a.open(b, oidInt2)
	if !ok {
		return
	}
	list := make([]int16, n)
	for i := range list {
		if len(b) < 6 || binary.BigEndian.Uint32(b) != 2 {
			a.malformed = true
			return
		}
		list[i], b = int16(binary.BigEndian.Uint16(b[4:])), b[6:]
	}
	*to = list
}

func (a *arrays) bools(b []byte, to *[]bool) {
	b, n, ok := a.open(b, oidBool)
	if !ok {
		return
	}
	list := make([]bool, n)
	for i := range list {
		if len(b) < 5 || binary.BigEndian.Uint32(b) != 1 {
			a.malformed = true
			return
		}
		list[i], b = b[4] != 0, b[5:]
	}
	*to = list
}
