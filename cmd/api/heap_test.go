package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGrowthFor(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{
		0: 400, 1 << 20: 400, 8 << 20: 400, 12 << 20: 300, 24 << 20: 100, 30 << 20: 60, 32 << 20: 50, 48 << 20: 50, 49 << 20: 50, 1 << 40: 50,
	} {
		if got := growthFor(live); got != want {
			t.Errorf("%d bytes in use: %d, want %d", live, got, want)
		}
	}
}

// held keeps memory in use.
var held [][]byte

// The pace follows what is in use, up and down, and leaves an operator's
// setting alone. The setting is the process's: this test does not run beside
// others.
func TestTuneHeap(t *testing.T) { //nolint:paralleltest // see above
	percent := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}
	before := percent()
	t.Cleanup(func() { held = nil; debug.SetGCPercent(before) })

	debug.SetGCPercent(73)
	tuneHeap()
	for range 3 {
		runtime.GC()
	}
	if got := percent(); got != 73 {
		t.Errorf("GOGC=73 became %d", got)
	}

	debug.SetGCPercent(100)
	tuneHeap()
	await := func(what string, good func(int) bool) {
		for range 200 {
			if good(percent()) {
				return
			}
			runtime.GC()
			runtime.Gosched()
		}
		t.Errorf("%s: %d", what, percent())
	}
	await("little in use", func(p int) bool { return p > 200 })
	for range 80 {
		held = append(held, make([]byte, 1<<20))
	}
	await("much in use", func(p int) bool { return p == leastGrowth })
	held = nil
	await("little in use again", func(p int) bool { return p > 200 })
}
