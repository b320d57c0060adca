package daemon

import (
	"math"
	"runtime/debug"
)

// LimitMemory has garbage collected before Go's memory passes so many bytes,
// where GOMEMLIMIT does not say it: however a program is started, its memory is
// bounded as the units bound it.
func LimitMemory(bytes int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(bytes)
	}
}
