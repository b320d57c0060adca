package statsdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"
)

// The rows of the history are long arrays of numbers. pgx's own array codec looks
// at every element by reflection, which costs twelve times what this does.
//
// A null element of an array of integers is the least number of its type, both
// ways: nothing that is stored has that value.

// registerArrays makes a connection's map of types use it for slices of integers
// in binary; pgx's codec does the rest.
func registerArrays(m *pgtype.Map) {
	for _, oid := range []uint32{pgtype.Int2ArrayOID, pgtype.Int4ArrayOID, pgtype.Int8ArrayOID} {
		known, ok := m.TypeForOID(oid)
		if !ok {
			continue
		}
		array, ok := known.Codec.(*pgtype.ArrayCodec)
		if !ok {
			continue
		}
		m.RegisterType(&pgtype.Type{Name: known.Name, OID: oid, Codec: &numbersCodec{array}})
	}
}

type numbersCodec struct{ *pgtype.ArrayCodec }

// PlanEncode implements pgtype.Codec.
func (c *numbersCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		element := c.ElementType.OID
		switch value.(type) {
		case []int16:
			if element == pgtype.Int2OID {
				return encodePlan[int16]{element, 2, math.MinInt16, func(b []byte, v int16) { binary.BigEndian.PutUint16(b, uint16(v)) }}
			}
		case []int32:
			if element == pgtype.Int4OID {
				return encodePlan[int32]{element, 4, math.MinInt32, func(b []byte, v int32) { binary.BigEndian.PutUint32(b, uint32(v)) }}
			}
		case []int64:
			if element == pgtype.Int8OID {
				return encodePlan[int64]{element, 8, math.MinInt64, func(b []byte, v int64) { binary.BigEndian.PutUint64(b, uint64(v)) }}
			}
		}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

// PlanScan implements pgtype.Codec.
func (c *numbersCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if format == pgtype.BinaryFormatCode {
		element := c.ElementType.OID
		switch target.(type) {
		case *[]int16:
			if element == pgtype.Int2OID {
				return scanPlan[int16]{element, 2, math.MinInt16, func(b []byte) int16 { return int16(binary.BigEndian.Uint16(b)) }}
			}
		case *[]int32:
			if element == pgtype.Int4OID {
				return scanPlan[int32]{element, 4, math.MinInt32, func(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }}
			}
		case *[]int64:
			if element == pgtype.Int8OID {
				return scanPlan[int64]{element, 8, math.MinInt64, func(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }}
			}
		}
	}
	return c.ArrayCodec.PlanScan(m, oid, format, target)
}

// The header of an array of one dimension: their number, whether there are
// nulls, the type of the elements, how many there are, and the first index.
const headerBytes = 20

type encodePlan[T int16 | int32 | int64] struct {
	element uint32
	width   int
	null    T
	put     func([]byte, T)
}

// Encode implements pgtype.EncodePlan.
func (p encodePlan[T]) Encode(value any, buf []byte) ([]byte, error) {
	list, ok := value.([]T)
	if !ok {
		return nil, fmt.Errorf("encode array: %T", value)
	}
	if list == nil {
		return nil, nil
	}
	dimensions := uint32(1)
	if len(list) == 0 {
		dimensions = 0
	}
	start := len(buf)
	buf = binary.BigEndian.AppendUint32(buf, dimensions)
	buf = binary.BigEndian.AppendUint32(buf, 0)
	buf = binary.BigEndian.AppendUint32(buf, p.element)
	if len(list) == 0 {
		return buf, nil
	}
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(list)))
	buf = binary.BigEndian.AppendUint32(buf, 1)
	at := len(buf)
	need := len(list) * (4 + p.width)
	if cap(buf)-at < need {
		buf = slices.Grow(buf, need)
	}
	buf = buf[:at+need]
	for _, v := range list {
		if v == p.null {
			buf[start+7] = 1
			binary.BigEndian.PutUint32(buf[at:], math.MaxUint32)
			at += 4
			continue
		}
		binary.BigEndian.PutUint32(buf[at:], uint32(p.width))
		p.put(buf[at+4:], v)
		at += 4 + p.width
	}
	return buf[:at], nil
}

type scanPlan[T int16 | int32 | int64] struct {
	element uint32
	width   int
	null    T
	get     func([]byte) T
}

var errArray = errors.New("an array cannot be understood")

// Scan implements pgtype.ScanPlan. What target points to is used again if there
// is room in it.
func (p scanPlan[T]) Scan(src []byte, target any) error {
	to, ok := target.(*[]T)
	if !ok {
		return fmt.Errorf("scan array: %T", target)
	}
	if src == nil {
		*to = nil
		return nil
	}
	if len(src) < 12 {
		return errArray
	}
	if binary.BigEndian.Uint32(src) == 0 && len(src) == 12 {
		*to = (*to)[:0]
		if *to == nil {
			*to = []T{}
		}
		return nil
	}
	if binary.BigEndian.Uint32(src) != 1 || len(src) < headerBytes || binary.BigEndian.Uint32(src[8:]) != p.element {
		return errArray
	}
	n := int(binary.BigEndian.Uint32(src[12:]))
	src = src[headerBytes:]
	if n > len(src)/4 {
		return errArray
	}
	list := (*to)[:0]
	if cap(list) < n {
		list = make([]T, 0, n)
	}
	for range n {
		if len(src) < 4 {
			return errArray
		}
		switch width := int32(binary.BigEndian.Uint32(src)); {
		case width == -1:
			list, src = append(list, p.null), src[4:]
		case int(width) == p.width && len(src) >= 4+p.width:
			list, src = append(list, p.get(src[4:])), src[4+p.width:]
		default:
			return errArray
		}
	}
	if len(src) > 0 {
		return errArray
	}
	*to = list
	return nil
}
