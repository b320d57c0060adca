package history

import (
	"slices"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Nine days of databases of each class: what is used is told from what is not, by
// sessions and not by autovacuum, which comes and goes everywhere.
func TestDatabasesUsed(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	w := s.watch(t, s.server.ID)
	const day = 24 * time.Hour
	from := Floor(noon, day).Add(-day)
	end := from.Add(9 * day)
	look := func(oid uint32, backends, commits, inserted, sessions int64) sample.DatabaseStat {
		d := database(oid, backends, commits)
		d.Counters[sample.XactRollback], d.Counters[sample.TupUpdated], d.Counters[sample.TupDeleted] = number(0), number(0), number(0)
		d.Counters[sample.TupInserted], d.Counters[sample.Sessions] = number(inserted), number(sessions)
		return d
	}
	template := sample.Database{OID: 1, Name: "template1", IsTemplate: true}
	listed := []sample.Database{
		named(100, "healthy"), named(101, "left"), named(102, "static"), named(103, "low"), named(104, "vacuumed"), named(105, "dropped"), named(107, "early"), template,
	}
	remain := append(slices.Clone(listed[:5]), listed[6])
	w.list(from, listed...)
	leftAt := from.Add(day + 90*time.Minute)
	earlyAt := from.Add(5 * time.Hour) // it was there before the first look
	for n := range int64(9 * 288) {
		at := from.Add(time.Duration(n) * 5 * time.Minute)
		left, early, vacuum := int64(0), int64(0), int64(0)
		if at.Before(leftAt) {
			left = 1
		}
		if at.Before(earlyAt) {
			early = 1
		}
		if n%12 == 5 {
			vacuum = 1
		}
		looks := []sample.DatabaseStat{
			look(100, 5, n*3000, n*10, n/6), look(101, left, 3, 0, 1), look(107, early, 3, 0, 1), look(102, 2, n*15, 7, 4), look(103, 1+vacuum, n*40, n, 9), look(104, vacuum, n*15, 0, 0),
			look(1, 0, n, 0, 0),
		}
		if at.Before(from.Add(5 * day)) {
			looks = append(looks, look(105, 1, n, n, 1))
		} else if n == 5*288 {
			w.list(at, append(slices.Clone(remain), template)...)
		}
		if n == 8*288 {
			w.list(at, append(slices.Clone(remain), named(106, "new"), template)...)
		}
		if at.After(from.Add(8 * day)) {
			looks = append(looks, look(106, 0, 0, 0, 0))
		}
		w.look(at, looks...)
	}
	w.size(from.Add(time.Hour), 101, 10*mib)
	w.size(from.Add(8*day), 101, 12*mib)
	w.store()
	w.compactDatabases()

	criteria := UseCriteria{UnusedDays: 7, StaticCommits: 300, LowCommits: 1000}
	ask := func(q UseQuestion) map[string]*DatabaseUse {
		t.Helper()
		list, span, err := s.DatabasesUsed(t.Context(), []target.Target{s.server}, q)
		if err != nil || span != q.Range.Widen(time.Hour) {
			t.Fatalf("%v, %v", span, err)
		}
		byName := map[string]*DatabaseUse{}
		for i := range list {
			byName[list[i].Name] = &list[i]
		}
		return byName
	}
	got := ask(UseQuestion{Range: Range{from, end}, Criteria: criteria})
	for name, want := range map[string]UseClass{
		"healthy": HealthyUse, "left": Unused, "early": Unused, "static": StaticUse, "low": LowUse, "vacuumed": Unused, "dropped": DroppedUse, "new": UnknownUse,
	} {
		if d := got[name]; d == nil || d.Class != want {
			t.Errorf("%s is %+v, want %s", name, d, want)
		}
	}
	if len(got) != 8 {
		t.Fatalf("%d databases", len(got))
	}
	near := func(got *int64, want int64) bool { return got != nil && *got >= want-want/100 && *got <= want+want/100 }
	busy, left, vacuumed := got["healthy"], got["left"], got["vacuumed"]
	if !near(busy.Commits, 9*288*3000) || !near(busy.Written(), 9*288*10) || !near(busy.Sessions, 9*48) || *busy.ConnectionsMax != 5 || busy.Size != nil ||
		busy.Seen < 215*time.Hour || busy.Connections == nil || *busy.Connections < 4.99 || *busy.Connections > 5.01 || end.Sub(*busy.ConnectedAt) > time.Hour {
		t.Errorf("healthy: %+v", busy)
	}
	if left.ConnectedAt == nil || left.ConnectedAt.Sub(leftAt).Abs() > time.Hour || *left.Size != 12*mib || *left.Growth != 2*mib || left.CreatedAt != nil {
		t.Errorf("left: %+v", left)
	}
	if at := got["early"].ConnectedAt; at == nil || at.Sub(earlyAt).Abs() > time.Hour {
		t.Errorf("one who left on the first day was there last at %v", at)
	}
	if vacuumed.ConnectedAt != nil || *vacuumed.ConnectionsMax != 1 {
		t.Errorf("autovacuum was taken for somebody: %+v", vacuumed)
	}
	// Its days, and the hours at both ends, are each counted once.
	part := ask(UseQuestion{Range: Range{from.Add(5 * time.Hour), from.Add(3*day + 7*time.Hour)}, Criteria: criteria})
	if n := part["healthy"].Commits; !near(n, (3*24+2)*12*3000) {
		t.Errorf("%d commits in three days and two hours", *n)
	}
	short := ask(UseQuestion{Range: Range{from.Add(5 * time.Hour), from.Add(9 * time.Hour)}, Criteria: criteria})
	if n := short["healthy"].Commits; !near(n, 4*12*3000) || short["left"].Class == Unused || short["new"] != nil {
		t.Errorf("four hours: %d commits, %+v, %+v", *n, short["left"], short["new"])
	}
	strict := ask(UseQuestion{Range: Range{from, end}, Criteria: UseCriteria{UnusedDays: 9, StaticCommits: 0, LowCommits: 100}})
	if strict["left"].Class == Unused || strict["static"].Class == StaticUse || strict["low"].Class != HealthyUse {
		t.Errorf("by other criteria: %s, %s, %s", strict["left"].Class, strict["static"].Class, strict["low"].Class)
	}
}
