package probe

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

const closeTimeout = 200 * time.Millisecond

// pgEpoch is 2000-01-01 in microseconds since the Unix epoch: PostgreSQL's
// binary timestamps count from there.
const pgEpoch = 946684800 * 1_000_000

var (
	binaryResults = []int16{1}
	binaryParam   = []int16{1}
)

// The readers below give zero for a null.

func int32At(b []byte) int32 {
	if len(b) != 4 {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b))
}

func uint32At(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func int64At(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

func float64At(b []byte) float64 {
	if len(b) != 8 {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

func boolAt(b []byte) bool { return len(b) == 1 && b[0] == 1 }

// microsAt reads a timestamptz as microseconds since the Unix epoch; 0 also
// for the infinities.
func microsAt(b []byte) int64 {
	v := int64At(b)
	if len(b) != 8 || v == math.MaxInt64 || v == math.MinInt64 {
		return 0
	}
	return v + pgEpoch
}

func timeAt(b []byte) time.Time { return time.UnixMicro(microsAt(b)).UTC() }

// addrAt reads an inet: family, bits, is_cidr, length, address.
func addrAt(b []byte) string {
	if len(b) < 4 || int(b[3]) != len(b)-4 {
		return ""
	}
	addr, ok := netip.AddrFromSlice(b[4:])
	if !ok {
		return ""
	}
	return addr.String()
}

func int64Bytes(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// maxName bounds a name; PostgreSQL's have at most 63 bytes, two of them quoted
// and with a dot between them less than this.
const maxName = 300

// cleanName is cleanText of a name.
func cleanName(b []byte) string { return cleanText(b[:min(len(b), maxName)]) }

func uint32Bytes(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// oidInt4 and oidOID are the types' oids.
const (
	oidInt4 = 23
	oidOID  = 26
)

// arrayBytes encodes a one-dimensional array of four-byte elements.
func arrayBytes(element uint32, values []uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, 1) // dimensions
	b = binary.BigEndian.AppendUint32(b, 0)    // no nulls
	b = binary.BigEndian.AppendUint32(b, element)
	b = binary.BigEndian.AppendUint32(b, uint32(len(values)))
	b = binary.BigEndian.AppendUint32(b, 1) // lower bound
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, 4)
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// int32sAt reads an array as arrayBytes writes it, into a slice that is reused.
func int32sAt(into []int32, b []byte) []int32 {
	const header, element = 20, 8
	into = into[:0]
	for i := header; i+element <= len(b); i += element {
		into = append(into, int32At(b[i+4:i+element]))
	}
	return into
}

// cleanText makes valid UTF-8 without NUL of what a server sent, which may be
// in any encoding: a byte that is not part of UTF-8 becomes \xNN, so that
// different names stay different.
func cleanText(b []byte) string {
	if utf8.Valid(b) {
		return strings.ReplaceAll(string(b), "\x00", `\x00`)
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
	return strings.ReplaceAll(out.String(), "\x00", `\x00`)
}
