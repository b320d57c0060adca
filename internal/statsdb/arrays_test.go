package statsdb_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

// What is written is what the server has, and what it gives back; the least number
// of a type is null there.
func TestArraysThroughAServer(t *testing.T) {
	t.Parallel()
	pool := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(pgtest.EmptyDB(t))}).Pool()
	roundTrip(t, pool, "int2", []int16{math.MinInt16, math.MinInt16 + 1, -1, 0, 1, math.MaxInt16})
	roundTrip(t, pool, "int4", []int32{math.MinInt32, math.MinInt32 + 1, -1, 0, 1, math.MaxInt32})
	roundTrip(t, pool, "int8", []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64})

	// A slice of another width, or of pointers, is pgx's own affair.
	var wide []int64
	var pointers []*int32
	const other = "select $1::int8[], '{1,null}'::int4[]"
	if err := pool.QueryRow(t.Context(), other, []int32{7, 8}).Scan(&wide, &pointers); err != nil || !slices.Equal(wide, []int64{7, 8}) ||
		len(pointers) != 2 || *pointers[0] != 1 || pointers[1] != nil {
		t.Errorf("%v, %v, %v", wide, pointers, err)
	}
	// There are arrays that a slice cannot hold; where one begins makes no difference.
	got := []int32{1}
	if err := pool.QueryRow(t.Context(), "select '{{1,2},{3,4}}'::int4[]").Scan(&got); err == nil {
		t.Errorf("two dimensions became %v", got)
	}
	if err := pool.QueryRow(t.Context(), "select '[5:6]={1,2}'::int4[]").Scan(&got); err != nil || !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("from the fifth: %v, %v", got, err)
	}
}

// roundTrip sends the edges of a type, of which the first is null, and lists made
// of them.
func roundTrip[T int16 | int32 | int64](t *testing.T, pool *pgxpool.Pool, element string, edges []T) {
	t.Helper()
	long := make([]T, 5000)
	for i := range long {
		long[i] = edges[i%len(edges)]
	}
	into := make([]T, 3) // it is used again, and must not show what it held
	for _, list := range [][]T{nil, {}, edges, edges[:1], edges[1:2], long, edges[3:]} {
		texts := make([]string, len(list))
		for i, v := range list {
			texts[i] = fmt.Sprint(v)
			if v == edges[0] {
				texts[i] = "null"
			}
		}
		want := strings.Join(texts, ",")
		var missing bool
		var seen string
		sql := "select $1::" + element + "[], $1 is null, coalesce(array_to_string($1, ',', 'null'), '')"
		if err := pool.QueryRow(t.Context(), sql, list).Scan(&into, &missing, &seen); err != nil {
			t.Fatalf("%s: %d elements: %v", element, len(list), err)
		}
		if missing != (list == nil) || seen != want {
			t.Errorf("%s: the server was sent %.80s (null: %t), want %.80s", element, seen, missing, want)
		}
		if diff := cmp.Diff(list, into); diff != "" {
			t.Errorf("%s: read (-want +got):\n%s", element, diff)
		}
	}
}

// array is one of int4 in binary: its header, and what stands for the elements.
func array(dimensions, element, length uint32, elements ...byte) []byte {
	var b []byte
	for _, v := range []uint32{dimensions, 0, element, length, 1} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return append(b, elements...)
}

func TestArraysThatAreMalformed(t *testing.T) {
	t.Parallel()
	m := statsdb.ArrayMap()
	one := []byte{0, 0, 0, 4, 0, 0, 0, 9}
	for name, src := range map[string][]byte{
		"nothing":             {},
		"half a header":       array(1, pgtype.Int4OID, 1)[:11],
		"no length":           array(1, pgtype.Int4OID, 1)[:19],
		"two dimensions":      array(2, pgtype.Int4OID, 1, one...),
		"elements of int8":    array(1, pgtype.Int8OID, 1, one...),
		"empty, and more":     array(0, pgtype.Int4OID, 0),
		"more than it says":   array(1, pgtype.Int4OID, 0, one...),
		"fewer than it says":  array(1, pgtype.Int4OID, 2, one...),
		"billions, says it":   array(1, pgtype.Int4OID, math.MaxUint32, one...),
		"an element cut":      array(1, pgtype.Int4OID, 1, one[:7]...),
		"an element's length": array(1, pgtype.Int4OID, 1, one[:3]...),
		"a narrow element":    array(1, pgtype.Int4OID, 1, 0, 0, 0, 2, 0, 9),
		"a negative length":   array(1, pgtype.Int4OID, 1, 255, 255, 255, 254, 0, 0, 0, 9),
	} {
		into := []int32{1, 2, 3}
		if err := m.PlanScan(pgtype.Int4ArrayOID, pgtype.BinaryFormatCode, &into).Scan(src, &into); err == nil {
			t.Errorf("%s: read as %v", name, into)
		}
	}
	into := []int32{1, 2, 3}
	if err := m.PlanScan(pgtype.Int4ArrayOID, pgtype.BinaryFormatCode, &into).Scan(array(1, pgtype.Int4OID, 1, one...), &into); err != nil || !slices.Equal(into, []int32{9}) {
		t.Errorf("a good one: %v, %v", into, err)
	}
}

// FuzzArrays reads anything: what is accepted is what pgx's own codec makes of it,
// and comes back when it is written.
func FuzzArrays(f *testing.F) {
	f.Add(array(0, pgtype.Int4OID, 0)[:12])
	f.Add(array(1, pgtype.Int4OID, 2, 0, 0, 0, 4, 0, 0, 0, 9, 255, 255, 255, 255))
	ours, pgx := statsdb.ArrayMap(), pgtype.NewMap()
	f.Fuzz(func(t *testing.T, src []byte) {
		var got []int32
		if err := ours.PlanScan(pgtype.Int4ArrayOID, pgtype.BinaryFormatCode, &got).Scan(src, &got); err != nil {
			return
		}
		var want []*int32
		if err := pgx.PlanScan(pgtype.Int4ArrayOID, pgtype.BinaryFormatCode, &want).Scan(src, &want); err != nil || len(got) != len(want) {
			t.Fatalf("%v, pgx reads %d elements, %v", got, len(want), err)
		}
		for i, v := range want {
			if v == nil && got[i] != math.MinInt32 || v != nil && got[i] != *v {
				t.Fatalf("element %d is %d", i, got[i])
			}
		}
		written, err := ours.Encode(pgtype.Int4ArrayOID, pgtype.BinaryFormatCode, got, nil)
		if err != nil {
			t.Fatal(err)
		}
		var again []int32
		if err := ours.PlanScan(pgtype.Int4ArrayOID, pgtype.BinaryFormatCode, &again).Scan(written, &again); err != nil || !slices.Equal(got, again) {
			t.Fatalf("%v came back as %v, %v", got, again, err)
		}
	})
}
