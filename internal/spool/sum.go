package spool

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"go.etcd.io/bbolt"
)

// sumBytes is the length of a check sum.
const sumBytes = 4

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// sum gives the check sum of a record and of its number: a disk that returns other
// bytes than it was given must not become history, nor another place in it.
func sum(seq uint64, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key(seq), castagnoli()), castagnoli(), value[sumBytes:])
}

// whole tells whether a record is as it was written.
func whole(seq uint64, value []byte) bool {
	return len(value) >= sumBytes && binary.BigEndian.Uint32(value) == sum(seq, value)
}

// withSum ends a value with the check sum of its key and itself.
func withSum(k, v []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(v), crc32.Update(crc32.Checksum(k, castagnoli()), castagnoli(), v))
}

// withoutSum gives the value back, unless there is no right check sum.
func withoutSum(k, v []byte) ([]byte, bool) {
	if n := len(v) - sumBytes; n >= 0 && slices.Equal(v, withSum(k, v[:n])) {
		return v[:n], true
	}
	return nil, false
}

// putCounts notes how many records there are, and how many are aside. Damage that
// leaves a tree which can be walked, but with less in it, shows by nothing else.
func putCounts(tx *bbolt.Tx, records int, aside int64) error {
	v := append(key(uint64(records)), key(uint64(aside))...)
	return tx.Bucket(bucketMeta).Put(keyCounts, withSum(keyCounts, v))
}

// checkCounts compares what is there, keys by bucket, with what was noted, if it
// was: a new journal notes it with its first write.
func checkCounts(tx *bbolt.Tx, keys map[string]int) error {
	for _, name := range [][]byte{bucketRecords, bucketNext, bucketMeta} {
		if _, there := keys[string(name)]; !there {
			return fmt.Errorf("%w: it has no %s", errGarbled, name)
		}
	}
	v := tx.Bucket(bucketMeta).Get(keyCounts)
	if v == nil {
		return nil
	}
	records, aside := keys[string(bucketRecords)], keys[string(bucketQuarantine)]
	v, ok := withoutSum(keyCounts, v)
	if !ok || !slices.Equal(v, append(key(uint64(records)), key(uint64(aside))...)) {
		return fmt.Errorf("%w: %d records and %d set aside are not what was written", errGarbled, records, aside)
	}
	return nil
}
