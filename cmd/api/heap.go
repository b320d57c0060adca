package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// heapGoal is what the heap may grow to before garbage is collected, while
	// little of it is in use: then collecting is rare, and the process stays
	// below a hundred megabytes.
	heapGoal = 48 << 20
	// leastGrowth and mostGrowth bound how much of what is in use may be added,
	// in percent. With much in use the goal is out of reach, and a limit on
	// memory would make the process collect garbage all the time.
	leastGrowth, mostGrowth = 50, 400
)

// tuneHeap sets the pace of garbage collection anew after each one. An
// operator's GOGC goes before it; GOMEMLIMIT holds beside it.
func tuneHeap() {
	const untouched = 100
	if before := debug.SetGCPercent(untouched); before != untouched {
		debug.SetGCPercent(before)
		return
	}
	collected(untouched)
}

// collected runs after each garbage collection, which finds the mark that it
// leaves. now is the growth in force.
func collected(now int) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	next := growthFor(live[0].Value.Uint64())
	if next > now+now/10 || next < now-now/10 { // setting it stops the world for a moment
		debug.SetGCPercent(next)
		now = next
	}
	runtime.AddCleanup(new([16]byte), collected, now)
}

// growthFor gives the growth, in percent, that brings a heap of so many bytes
// in use to the goal.
func growthFor(live uint64) int {
	percent := heapGoal*100/max(live, 1<<20) - 100
	if live >= heapGoal {
		percent = 0
	}
	return int(min(max(percent, leastGrowth), mostGrowth))
}
