package store

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
)

// An answer that was given before is given again only while nothing new is
// written, by whatever way.
func TestTimelineIsNeverOlderThanWhatIsWritten(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	other := openStoreAt(t, dsn) // another process, such as the collector
	server := newServer(t, s, "db1")
	r := history.Range{From: noon.AddDate(0, 0, -5), To: noon.AddDate(0, 0, 1)}
	var commits int64
	look := func(when string, want int64) {
		t.Helper()
		for range 2 {
			line, err := s.ServerTimeline(t.Context(), server, r)
			if err != nil {
				t.Fatal(err)
			}
			one, err := s.DatabaseTimeline(t.Context(), server, "shop", r)
			if err != nil {
				t.Fatal(err)
			}
			if line.Commits != want || one.Commits != want {
				t.Errorf("%s: %d and %d commits, want %d", when, line.Commits, one.Commits, want)
			}
		}
	}
	look("of nothing", 0)
	mustAppend(t, other, inventoryAt(server, 0, false, dbNamed(100, "shop")))
	for i := range 5 {
		seedStat(t, other, server, 100, 60*i, 3, 10, commits)
		commits += 10
		look(fmt.Sprint("after sample ", i), commits)
	}
	sizes := func() int64 {
		t.Helper()
		line, err := s.ServerTimeline(t.Context(), server, r)
		if err != nil {
			t.Fatal(err)
		}
		return line.SizeBytes
	}
	for i := range 3 {
		seedSize(t, other, server, 100, 60*i, 1000+i)
		if got := sizes(); got != int64(1000+i) {
			t.Errorf("after size %d: %d", i, got)
		}
	}
	_, err := other.Import(t.Context(), server, history.ImportedChunk{Stats: []history.ImportedStat{{
		At: noon.Add(-time.Hour), OID: 100, Epoch: noon.Add(-2 * time.Hour), Backends: known(1), CommitsDelta: known(7),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	look("after an import", commits+7)
	mustAppend(t, other, inventoryAt(server, 1, true, dbNamed(100, "renamed")))
	line, err := s.ServerTimeline(t.Context(), server, r)
	if err != nil || len(line.Databases) != 2 {
		t.Errorf("after a rename there are %v, %v", line.Databases, err)
	}
	// What is written past this package is seen soon.
	pgtest.Exec(t, dsn, "update history.database_rollup set xact_commit = 1000 where xact_commit is not null")
	pgtest.WaitFor(t, func() bool {
		line, err := s.ServerTimeline(t.Context(), server, r)
		return err == nil && line.Commits == 2000
	}, "an answer with what was written by hand")
}

func TestTimelinesKept(t *testing.T) {
	t.Parallel()
	var kept timelines
	line := func(points int) history.Timeline {
		return history.Timeline{Points: make([]history.DatabasePoint, points)}
	}
	key := func(n int) timelineKey { return timelineKey{server: 1, from: int64(n)} }
	at := func(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }
	there := func(n int, revision int64, seconds float64) bool {
		_, ok := kept.get(key(n), revision, at(seconds))
		return ok
	}
	if kept.has(key(1), at(0)) || there(1, 0, 0) {
		t.Error("an answer from nowhere")
	}
	kept.put(key(1), 7, line(25_000), at(0))
	kept.put(key(2), 7, line(25_000), at(1))
	if !kept.has(key(1), at(4)) || !there(1, 7, 4) || there(1, 8, 4) || there(1, 6, 4) || !there(2, 7, 5) {
		t.Error("not as it was put")
	}
	if kept.has(key(1), at(5)) || there(1, 7, 5) {
		t.Error("kept for too long")
	}
	kept.put(key(3), 7, line(keptPoints), at(2)) // too much even alone
	if there(3, 7, 2) {
		t.Error("an answer without bounds is kept")
	}
	kept.put(key(1), 8, line(20_000), at(3))
	kept.put(key(4), 8, line(15_000), at(3.1))
	kept.put(key(5), 8, line(30_000), at(3.2))
	got := []bool{there(1, 8, 4), there(2, 7, 4), there(4, 8, 4), there(5, 8, 4)}
	if diff := cmp.Diff([]bool{false, false, true, true}, got); diff != "" {
		t.Errorf("the oldest go first (-want +got):\n%s", diff)
	}
	kept.put(key(6), 8, line(1), at(100))
	if len(kept.kept) != 1 || kept.points != kept.kept[key(6)].size() {
		t.Errorf("%d answers with %d points are left", len(kept.kept), kept.points)
	}
	if one, all := keyOf(1, new(""), history.Range{From: noon, To: noon}), keyOf(1, nil, history.Range{From: noon, To: noon}); one == all {
		t.Error("a database without a name and all of them are one question")
	}
}

// Windows and disks are no news of databases.
func TestRevision(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server := newServer(t, s, "db1")
	now := func() (n int64) {
		t.Helper()
		if err := s.ask(t.Context(), revision(server, &n)); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := now(); n != 0 {
		t.Errorf("at first %d", n)
	}
	mustAppend(t, s, plainWindow(server, noon))
	seedDisks(t, s, server, noon, mounted("/", 1))
	if n := now(); n != 0 {
		t.Errorf("%d without anything of databases", n)
	}
	visit := &sample.Visit{Server: server, Databases: []sample.DatabaseStat{distinctStat(noon)}}
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{visit, {Server: server, Sizes: []sample.DatabaseSize{{At: noon, OID: 5}}}}})
	if n := now(); n != 1 {
		t.Errorf("%d after a transaction", n)
	}
	mustAppend(t, s, inventoryAt(server, 1, false, dbNamed(1, "a")))
	if n := now(); n != 2 {
		t.Errorf("%d after two transactions", n)
	}
}

// One who asks what another is reading waits for it, within limits.
func TestTimelinesBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var kept timelines
		key := timelineKey{server: 1}
		end, waited := kept.begin(t.Context(), key)
		if waited {
			t.Error("the first waits")
		}
		other, waited := kept.begin(t.Context(), timelineKey{server: 2})
		if other(); waited {
			t.Error("one waits for another question")
		}
		began := time.Now()
		time.AfterFunc(100*time.Millisecond, end)
		end, waited = kept.begin(t.Context(), key)
		if took := time.Since(began); !waited || took != 100*time.Millisecond {
			t.Errorf("waited: %t, for %s", waited, took)
		}
		impatient, waited := kept.begin(t.Context(), key)
		if took := time.Since(began); !waited || took != 100*time.Millisecond+mostPatience {
			t.Errorf("waited: %t, until %s", waited, took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		gone, waited := kept.begin(ctx, key)
		if took := time.Since(began); !waited || took != 100*time.Millisecond+mostPatience {
			t.Errorf("who gave up waited: %t, until %s", waited, took)
		}
		impatient()
		gone()
		if len(kept.reading) != 1 {
			t.Error("one who did not wait to the end ended the reading of another")
		}
		if end(); len(kept.reading) != 0 {
			t.Error("a reading that ended is left")
		}
	})
}
