package ingest

import (
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// ImportSource marks file systems that another program looked at.
const ImportSource target.DiskSource = "import"

// ImportPlan is what an import must know of the history of a server that is
// there already.
type ImportPlan struct {
	// OwnFirst is the first sample of databases that pgam took itself; zero:
	// none. From then on pgam's own history counts, nobody else's.
	OwnFirst time.Time
	// ListedFirst is when pgam first looked at the server; zero: never.
	ListedFirst time.Time
	// Databases are those with a history, in the order in which they were first
	// seen.
	Databases []ImportedDatabase
}

// ImportedDatabase is a row of a server's inventory.
type ImportedDatabase struct {
	OID          uint32
	Name         string
	IsTemplate   bool
	AllowConnect bool
	CreatedAt    *time.Time // nil: it is not known
	FirstSeenAt  time.Time
	LastSeenAt   time.Time
	DroppedAt    *time.Time // nil: it is there
}

// ImportedStat is a sample of a database that another program took.
type ImportedStat struct {
	At       time.Time
	OID      uint32
	Backends sample.Int
	Commits  sample.Int // since Epoch, or before
	// Epoch is the instant of the first sample that the commits go on from.
	Epoch time.Time
	// Size is known where it was measured at this instant.
	Size sample.Int
}

// ImportedDisk is how full a file system was.
type ImportedDisk struct {
	At          time.Time
	Total, Free sample.Int
}

// ImportedChunk is a piece of history, in the order of time: all of an instant
// is in one chunk. Databases are those whose first sample is in it, as far as
// they are known by then; after the last chunk comes one with nothing but all
// of them, as they are in the end. One that was never seen with a sample, with
// FirstSeenAt zero, only tells a known database when it was created. Disks are
// of one file system, MountPoint.
type ImportedChunk struct {
	Databases  []ImportedDatabase
	Stats      []ImportedStat
	MountPoint string
	Disks      []ImportedDisk
}

// ImportCounts says what became of the rows of a chunk.
type ImportCounts struct {
	// Samples, Sizes and Disks were written, or would be; Present are samples
	// that were there already.
	Samples, Sizes, Disks, Present int64
}

// Add adds o.
func (c *ImportCounts) Add(o ImportCounts) {
	c.Samples += o.Samples
	c.Sizes += o.Sizes
	c.Disks += o.Disks
	c.Present += o.Present
}
