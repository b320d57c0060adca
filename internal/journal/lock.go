package journal

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// lockPoll is how often a lock is asked for.
const lockPoll = 20 * time.Millisecond

// lockFolder keeps others out of the folder. The lock of the file alone does
// not: a start replaces the file by a copy, and whoever had opened the old one
// would go on with it, or replace the new one. Where a folder cannot be locked,
// as on some network file systems, that lock has to do.
func (j *Journal) lockFolder() error {
	folder, err := os.Open(j.cfg.Dir) // What is wrong with it is said when the file is opened.
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	j.lock = folder
	for begun := time.Now(); ; {
		err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil // Locked, or a file system without locks.
		}
		if time.Since(begun) > lockTimeout {
			return locked(j.cfg.Dir)
		}
		<-time.After(lockPoll)
	}
}

// unlockFolder lets others in.
func (j *Journal) unlockFolder() {
	if j.lock != nil {
		_ = j.lock.Close()
	}
}
