package store

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// params builds the binary parameters of one statement in one buffer, for the
// statements that write history: going through the driver's reflection would
// cost more than PostgreSQL's work on them.
type params struct {
	buf    []byte
	ends   []int // end of each value in buf; negative for null
	values [][]byte
}

// The oids of the element types of arrays.
const (
	oidBool = 16
	oidInt2 = 21
	oidInt4 = 23
	oidText = 25
)

// pgEpochMicros is 2000-01-01 in microseconds since the Unix epoch.
const pgEpochMicros = 946684800 * 1_000_000

// pgEpochDay is 2000-01-01 in days since the Unix epoch.
const pgEpochDay = 10957

func (p *params) reset() { p.buf, p.ends = p.buf[:0], p.ends[:0] }

// list gives the values in the order they were added; valid until the next
// reset.
func (p *params) list() [][]byte {
	p.values = p.values[:0]
	start := 0
	for _, end := range p.ends {
		if end < 0 {
			p.values = append(p.values, nil)
			continue
		}
		p.values = append(p.values, p.buf[start:end:end])
		start = end
	}
	return p.values
}

func (p *params) end()  { p.ends = append(p.ends, len(p.buf)) }
func (p *params) null() { p.ends = append(p.ends, -1) }

func (p *params) int2(v int16) { p.buf = binary.BigEndian.AppendUint16(p.buf, uint16(v)); p.end() }

func (p *params) int4(v int32) { p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(v)); p.end() }

func (p *params) int8(v int64) { p.buf = binary.BigEndian.AppendUint64(p.buf, uint64(v)); p.end() }

func (p *params) oid(v uint32) { p.buf = binary.BigEndian.AppendUint32(p.buf, v); p.end() }

func (p *params) bool(v bool) {
	b := byte(0)
	if v {
		b = 1
	}
	p.buf = append(p.buf, b)
	p.end()
}

func (p *params) text(s string) { p.buf = append(p.buf, s...); p.end() }

func (p *params) textOrNull(s *string) {
	if s == nil {
		p.null()
		return
	}
	p.text(*s)
}

// micros takes microseconds since the Unix epoch.
func (p *params) micros(v int64)   { p.int8(v - pgEpochMicros) }
func (p *params) time(t time.Time) { p.micros(t.UnixMicro()) }

// interval has no days or months.
func (p *params) interval(d time.Duration) {
	p.buf = binary.BigEndian.AppendUint64(p.buf, uint64(d.Microseconds()))
	p.buf = binary.BigEndian.AppendUint64(p.buf, 0)
	p.end()
}

// day takes days since the Unix epoch.
func (p *params) day(v int32) { p.int4(v - pgEpochDay) }

func orNull[T comparable](p *params, v, none T, add func(T)) {
	if v == none {
		p.null()
		return
	}
	add(v)
}

func (p *params) knownInt(v sample.Int) {
	if !v.Known {
		p.null()
		return
	}
	p.int8(v.V)
}

// header writes the header of a one-dimensional array.
func (p *params) header(n int, element, hasNull uint32) {
	p.buf = binary.BigEndian.AppendUint32(p.buf, min(1, uint32(n)))
	p.buf = binary.BigEndian.AppendUint32(p.buf, hasNull)
	p.buf = binary.BigEndian.AppendUint32(p.buf, element)
	if n > 0 {
		p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(n))
		p.buf = binary.BigEndian.AppendUint32(p.buf, 1)
	}
}

// bools adds a bool[]; a nil slice is a null array.
func (p *params) bools(values []bool) {
	if values == nil {
		p.null()
		return
	}
	p.header(len(values), oidBool, 0)
	for _, v := range values {
		b := byte(0)
		if v {
			b = 1
		}
		p.buf = append(binary.BigEndian.AppendUint32(p.buf, 1), b)
	}
	p.end()
}

// int4s adds an int4[]; Unset elements are nulls; a nil slice is a null array
// where nullable is set, an empty one otherwise.
func (p *params) int4s(values []int32, nullable bool) {
	if values == nil && nullable {
		p.null()
		return
	}
	hasNull := uint32(0)
	if slices.Contains(values, sample.Unset) {
		hasNull = 1
	}
	p.header(len(values), oidInt4, hasNull)
	for _, v := range values {
		if v == sample.Unset {
			p.buf = append(p.buf, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		p.buf = binary.BigEndian.AppendUint64(p.buf, 4<<32|uint64(uint32(v)))
	}
	p.end()
}

// int8s adds an int8[].
func (p *params) int8s(values []int64) {
	p.header(len(values), oidInt8, 0)
	for _, v := range values {
		p.eight(uint64(v))
	}
	p.end()
}

// int2s adds an int2[], as int4s does.
func (p *params) int2s(values []int16, nullable bool) {
	if values == nil && nullable {
		p.null()
		return
	}
	p.header(len(values), oidInt2, 0)
	for _, v := range values {
		p.buf = append(p.buf, 0, 0, 0, 2, byte(v>>8), byte(v))
	}
	p.end()
}

// column adds an array with one element of each row; add writes it with one of
// the methods below.
func column[T any](p *params, element uint32, rows []T, add func(*T)) {
	p.header(len(rows), element, 1)
	for i := range rows {
		add(&rows[i])
	}
	p.end()
}

func (p *params) none() { p.buf = append(p.buf, 0xff, 0xff, 0xff, 0xff) }

func (p *params) four(v uint32) {
	p.buf = binary.BigEndian.AppendUint64(p.buf, 4<<32|uint64(v)) // the length, then the value
}

func (p *params) eight(v uint64) {
	p.buf = binary.BigEndian.AppendUint64(append(p.buf, 0, 0, 0, 8), v)
}

func (p *params) float(v float64) { p.eight(math.Float64bits(v)) }

// instant takes microseconds since the Unix epoch; 0 is unknown.
func (p *params) instant(v int64) {
	if v == 0 {
		p.none()
		return
	}
	p.eight(uint64(v - pgEpochMicros))
}

func (p *params) intOrNone(v sample.Int) {
	if !v.Known {
		p.none()
		return
	}
	p.eight(uint64(v.V))
}

func (p *params) floatOrNone(v sample.Float) {
	if !v.Known {
		p.none()
		return
	}
	p.float(v.V)
}

// texts adds a text[].
func (p *params) texts(values []string) {
	p.header(len(values), oidText, 0)
	for _, v := range values {
		p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(len(v)))
		p.buf = append(p.buf, v...)
	}
	p.end()
}
