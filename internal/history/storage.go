package history

import "time"

// Storage says what the history takes, and how long it stays.
type Storage struct {
	At            time.Time
	DatabaseBytes int64 // of all of stats_db
	Tables        []StoredTable
	// PackedDays are those whose windows were packed, the newest first.
	PackedDays []PackedDay
}

// StoredTable is a table of the history or, where Step is not zero, what it holds
// of one step.
type StoredTable struct {
	Table string
	Step  time.Duration
	// Partitions is 0 for a table that has none: a dictionary or the like.
	Partitions int
	// Rows are estimated from PostgreSQL's statistics.
	Rows                              int64
	HeapBytes, IndexBytes, ToastBytes int64
	// Oldest and Newest are the ends of what the partitions with rows are for;
	// Newest is never ahead. Nil where there are none.
	Oldest, Newest *time.Time
	// BytesPerDay is of partitions whose time is over; of the newest so far,
	// where there is no other; nil where nothing is known.
	BytesPerDay *float64
	// Kept is nil where no limit is known, zero for ever. The oldest partition is
	// dropped at Drops, or within the hour.
	Kept  *time.Duration
	Drops *time.Time
}

// Bytes is all that the table takes.
func (t StoredTable) Bytes() int64 { return t.HeapBytes + t.IndexBytes + t.ToastBytes }

// PackedDay is a day whose windows were packed into five minutes each.
type PackedDay struct {
	Day, PackedAt           time.Time
	Windows, Rows, Samples  int64 // windows before, rows after
	BytesBefore, BytesAfter int64
	Late                    int64 // windows that came since
}
