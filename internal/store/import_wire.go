package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// The oids of more element types of arrays.
const (
	oidInt8        = 20
	oidOID         = 26
	oidFloat8      = 701
	oidTimestamptz = 1184
)

// fields builds binary values, each after its length: the form of the elements
// of an array and of the columns of a row in COPY.
type fields struct {
	buf     []byte
	n       uint32
	hasNull uint32
}

func (f *fields) null() {
	f.buf = append(f.buf, 0xff, 0xff, 0xff, 0xff)
	f.hasNull = 1
	f.n++
}

func (f *fields) two(v uint16) {
	f.buf = binary.BigEndian.AppendUint16(append(f.buf, 0, 0, 0, 2), v)
	f.n++
}

func (f *fields) four(v uint32) {
	f.buf = binary.BigEndian.AppendUint64(f.buf, 4<<32|uint64(v))
	f.n++
}

func (f *fields) eight(v uint64) {
	f.buf = binary.BigEndian.AppendUint64(append(f.buf, 0, 0, 0, 8), v)
	f.n++
}

func (f *fields) text(s string) {
	f.buf = append(binary.BigEndian.AppendUint32(f.buf, uint32(len(s))), s...)
	f.n++
}

func (f *fields) float(v float64) { f.eight(math.Float64bits(v)) }

// micros takes microseconds since the Unix epoch.
func (f *fields) micros(v int64) { f.eight(uint64(v - pgEpochMicros)) }

func (f *fields) microsOrNull(v int64) {
	if v == 0 {
		f.null()
		return
	}
	f.micros(v)
}

func (f *fields) time(t time.Time) { f.micros(t.UnixMicro()) }

func (f *fields) known(v sample.Int) {
	if !v.Known {
		f.null()
		return
	}
	f.eight(uint64(v.V))
}

// known4 is known as four bytes, into which the value fits.
func (f *fields) known4(v sample.Int) {
	if !v.Known {
		f.null()
		return
	}
	f.four(uint32(v.V))
}

// array is a column of many rows as one parameter: much cheaper than a
// statement a row.
type array struct{ fields }

// arrayHeaderBytes is what stands before the elements of an array.
const arrayHeaderBytes = 20

func newArray(element uint32, capacity int) *array {
	buf := make([]byte, arrayHeaderBytes, arrayHeaderBytes+12*capacity)
	binary.BigEndian.PutUint32(buf, 1) // one dimension
	binary.BigEndian.PutUint32(buf[8:], element)
	binary.BigEndian.PutUint32(buf[16:], 1) // the lower bound
	return &array{fields{buf: buf}}
}

// value gives the array, of at least one element; nothing may be added after.
func (a *array) value() []byte {
	binary.BigEndian.PutUint32(a.buf[4:], a.hasNull)
	binary.BigEndian.PutUint32(a.buf[12:], a.n)
	return a.buf
}

// importArrays runs a statement with the server and arrays as parameters.
func importArrays(ctx context.Context, tx pgx.Tx, name, sql string, id target.ID, arrays ...*array) error {
	if _, err := tx.Prepare(ctx, name, sql); err != nil { // known from the second time on
		return err
	}
	values := [][]byte{binary.BigEndian.AppendUint64(nil, uint64(id))}
	for _, a := range arrays {
		values = append(values, a.value())
	}
	return tx.Conn().PgConn().ExecPrepared(ctx, name, values, binaryFormat, binaryFormat).Read().Err
}

// copyRows builds rows for COPY in binary.
type copyRows struct {
	fields
	columns uint16
}

func newCopyRows(columns uint16, capacity int) *copyRows {
	r := &copyRows{columns: columns}
	r.buf = append(make([]byte, 0, 32+capacity*(2+12*int(columns))), "PGCOPY\n\xff\r\n\x00"...)
	r.buf = append(r.buf, 0, 0, 0, 0, 0, 0, 0, 0) // no flags, no extension
	return r
}

func (r *copyRows) begin() { r.buf = binary.BigEndian.AppendUint16(r.buf, r.columns) }

// copy sends the rows; nothing may be added after.
func (r *copyRows) copy(ctx context.Context, tx pgx.Tx, sql string) error {
	r.buf = append(r.buf, 0xff, 0xff)
	_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(r.buf), sql)
	return err
}
