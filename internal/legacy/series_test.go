package legacy

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/sample"
)

// day is when the samples of these tests begin.
var day = time.Date(2025, 6, 17, 0, 0, 0, 0, time.UTC)

// at gives an instant as rows have it, minutes after day.
func at(minutes int) int64 { return day.Add(time.Duration(minutes) * time.Minute).UnixMicro() }

func known(v int64) sample.Int { return sample.Int{V: v, Known: true} }

// row is a sample with connections and commits.
func row(minutes int, database string, backends, commits int64) Row {
	return Row{At: at(minutes), Database: database, Backends: known(backends), Commits: known(commits)}
}

// numbered gives rows their ids.
func numbered(rows ...Row) []Row {
	for i := range rows {
		rows[i].ID = int64(i + 1)
	}
	return rows
}

// short writes a sample for people: minute, oid, connections, commits, epoch's
// minute, size.
func short(s ingest.ImportedStat) string {
	number := func(v sample.Int) string {
		if !v.Known {
			return "?"
		}
		return fmt.Sprint(v.V)
	}
	return fmt.Sprintf("%d: %d n=%s c=%s e=%d z=%s", int(s.At.Sub(day).Minutes()), s.OID, number(s.Backends), number(s.Commits),
		int(s.Epoch.Sub(day).Minutes()), number(s.Size))
}

func shorts(stats []ingest.ImportedStat) []string {
	var out []string
	for _, s := range stats {
		out = append(out, short(s))
	}
	return out
}

func newSeries(plan ingest.ImportPlan, creations ...Creation) *Series {
	return NewSeries(June, plan, creations, day.Add(1000*time.Minute))
}

func TestSeriesDeltas(t *testing.T) {
	t.Parallel()
	created := day.Add(55 * time.Minute)
	s := newSeries(ingest.ImportPlan{}, Creation{Name: "a", OID: 16400, CreatedAt: &created})
	unknown := row(30, "a", 2, 0)
	unknown.Commits = sample.Int{}
	idle := row(40, "a", 0, 150)
	idle.Backends = sample.Int{}
	chunk := s.Add(numbered(
		row(0, "a", 4, 100), row(10, "a", 6, 140), row(20, "a", 6, 20), unknown, idle, row(50, "a", 1, 160), row(60, "a", 1, 170),
		row(200, "a", 3, 170),
	))
	want := []string{
		"0: 16400 n=4 c=100 e=0 z=?",
		"10: 16400 n=6 c=140 e=0 z=?",
		"20: 16400 n=6 c=20 e=20 z=?", // the counter went back
		"30: 16400 n=2 c=? e=20 z=?",
		"40: 16400 n=? c=150 e=20 z=?",
		"50: 16400 n=1 c=160 e=20 z=?", // nobody knows for how many
		"60: 16400 n=1 c=170 e=60 z=?", // created meanwhile
		"200: 16400 n=3 c=170 e=60 z=?",
	}
	if diff := cmp.Diff(want, shorts(chunk.Stats)); diff != "" {
		t.Error(diff)
	}
	if c := s.Counts(); c.Read != 8 || c.Skipped() != 0 || c.Values != 0 {
		t.Errorf("counted %+v", c)
	}
}

func TestSeriesSkips(t *testing.T) {
	t.Parallel()
	s := newSeries(ingest.ImportPlan{OwnFirst: day.Add(100 * time.Minute), ListedFirst: day.Add(99 * time.Minute)})
	negative := row(10, "b", -1, 5)
	negative.Size, negative.Measured = known(-1), true
	huge := row(10, "c", math.MaxInt32+1, -1)
	first, second := row(20, "a", 2, 2), row(20, "a", 3, 3)
	first.ID, second.ID = 20, 19 // the one that was written first counts
	rows := []Row{
		{At: math.MinInt64, Database: "a"},
		{At: earliest - 1, Database: "a"},
		{At: at(10), Database: "", Backends: known(1)},
		row(10, "a", 1, 1), negative, huge, first, second, row(100, "a", 4, 4), row(999, "a", 4, 4), row(1000, "a", 4, 4), row(1001, "a", 5, 5),
		{At: math.MaxInt64, Database: "a"},
	}
	chunk := s.Add(rows)
	want := []string{
		"10: 4294967295 n=1 c=1 e=10 z=?", "10: 4294967294 n=? c=5 e=10 z=?",
		"20: 4294967295 n=3 c=3 e=10 z=?",
	}
	if diff := cmp.Diff(want, shorts(chunk.Stats)); diff != "" {
		t.Error(diff)
	}
	counts := Counts{Read: 13, Duplicate: 1, Own: 3, NoDatabase: 1, Future: 1, Broken: 4, Values: 2}
	if diff := cmp.Diff(counts, s.Counts()); diff != "" {
		t.Error(diff)
	}
	if got := s.Until(); !got.Equal(day.Add(20 * time.Minute)) {
		t.Errorf("the newest sample is of %s", got)
	}
}

func TestSeriesSizes(t *testing.T) {
	t.Parallel()
	sized := func(minutes int, size int64, measured bool) Row {
		r := row(minutes, "a", 1, 1)
		r.Size, r.Measured = known(size), measured
		return r
	}
	unsized := row(40, "a", 1, 1)
	rows := func() []Row {
		return numbered(sized(0, 5, false), sized(10, 5, true), sized(20, 5, false), sized(30, 5, true), unsized, sized(50, 6, false))
	}
	sizes := func(layout Layout) (at []int) {
		for _, s := range NewSeries(layout, ingest.ImportPlan{}, nil, day.Add(time.Hour)).Add(rows()).Stats {
			if s.Size.Known {
				at = append(at, int(s.At.Sub(day).Minutes()))
			}
		}
		return at
	}
	if diff := cmp.Diff([]int{10, 30}, sizes(June)); diff != "" {
		t.Error("June:", diff)
	}
	if diff := cmp.Diff([]int{0, 50}, sizes(Later)); diff != "" {
		t.Error("later:", diff)
	}
}

func TestSeriesDisks(t *testing.T) {
	t.Parallel()
	disk := func(minutes int, database string, free, total int64) Row {
		r := row(minutes, database, 1, 1)
		r.DiskFree, r.DiskTotal = known(free), known(total)
		return r
	}
	none := row(3, "a", 1, 1)
	chunk := newSeries(ingest.ImportPlan{}).Add(numbered(
		row(0, "a", 1, 1), disk(0, "b", 10, 100), disk(0, "c", 11, 100), disk(1, "a", 10, 100), disk(2, "a", 9, 100), none, disk(4, "a", 9, 100),
		disk(7, "a", 9, 100), disk(8, "a", -1, 100), disk(9, "", 1, 100)))
	var got []string
	for _, d := range chunk.Disks {
		got = append(got, fmt.Sprintf("%d: %d of %d", int(d.At.Sub(day).Minutes()), d.Free.V, d.Total.V))
	}
	if diff := cmp.Diff([]string{"0: 10 of 100", "2: 9 of 100", "7: 9 of 100"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSeriesDatabases(t *testing.T) {
	t.Parallel()
	created, other := day.Add(-time.Hour), day.Add(-2*time.Hour)
	s := newSeries(ingest.ImportPlan{}, Creation{Name: "a", OID: 5, CreatedAt: &created}, Creation{Name: "c", OID: 5, CreatedAt: &other})
	if names := s.Add(numbered(row(0, "a", 1, 1), row(0, "b", 1, 1))).Databases; len(names) != 2 || names[1].Name != "b" {
		t.Errorf("the first chunk brings %v", names)
	}
	if names := s.Add(numbered(row(10, "b", 1, 1), row(10, "c", 1, 1), row(20, "a", 1, 1), row(20, "c", 1, 1), row(90, "b", 1, 1))).Databases; len(names) != 1 || names[0].Name != "c" {
		t.Errorf("the second chunk brings %v", names)
	}
	if names := s.Add(numbered(row(100, "b", 1, 1))).Databases; len(names) != 0 {
		t.Errorf("the third chunk brings %v", names)
	}
	gone := day.Add(90 * time.Minute)
	minute := func(n int) time.Time { return day.Add(time.Duration(n) * time.Minute) }
	want := []ingest.ImportedDatabase{
		// They are gone for ten minutes only, which says nothing.
		{OID: 5, Name: "a", AllowConnect: true, CreatedAt: &created, FirstSeenAt: minute(0), LastSeenAt: minute(20)},
		{OID: lastOID, Name: "b", AllowConnect: true, FirstSeenAt: minute(0), LastSeenAt: minute(100)},
		{OID: lastOID - 1, Name: "c", AllowConnect: true, CreatedAt: &other, FirstSeenAt: minute(10), LastSeenAt: minute(20)},
	}
	if diff := cmp.Diff(want, s.End().Databases); diff != "" {
		t.Error(diff)
	}
	s.Add(numbered(row(150, "b", 1, 1)))
	want[0].DroppedAt, want[2].DroppedAt, want[1].LastSeenAt = &gone, &gone, minute(150)
	if diff := cmp.Diff(want, s.End().Databases); diff != "" {
		t.Error(diff)
	}
}

// A server that pgam knows already: whose oid is it?
func TestSeriesOIDs(t *testing.T) {
	t.Parallel()
	listed := day.Add(500 * time.Minute)
	seen := func(oid uint32, name string, first int) ingest.ImportedDatabase {
		return ingest.ImportedDatabase{OID: oid, Name: name, FirstSeenAt: day.Add(time.Duration(first) * time.Minute), LastSeenAt: listed.Add(time.Hour)}
	}
	created := day.Add(-time.Hour)
	plan := ingest.ImportPlan{
		OwnFirst: listed, ListedFirst: listed,
		Databases: []ingest.ImportedDatabase{
			seen(30, "imported", 0), seen(1, "noted", 501), seen(2, "by name", 502), seen(3, "by name", 600), seen(4, "somebody", 501),
			seen(31, "imported", 502), seen(6, "no rows", 501), seen(lastOID, "top", 501),
		},
	}
	s := newSeries(plan, Creation{Name: "imported", OID: 31}, Creation{Name: "noted", OID: 1}, Creation{Name: "recreated", OID: 7},
		Creation{Name: "stolen", OID: 4}, Creation{Name: "no rows", OID: 6, CreatedAt: &created}, Creation{Name: "nowhere", OID: 9, CreatedAt: &created})
	var rows []Row
	for _, name := range []string{"imported", "noted", "by name", "recreated", "stolen", "made up"} {
		rows = append(rows, row(10, name, 1, 1))
	}
	s.Add(numbered(rows...))
	var got []string
	for _, d := range s.End().Databases {
		text := fmt.Sprintf("%s %d %t", d.Name, d.OID, d.DroppedAt != nil && d.DroppedAt.Equal(listed))
		if d.FirstSeenAt.IsZero() {
			text += " created " + d.CreatedAt.Format("15:04")
		}
		got = append(got, text)
	}
	want := []string{
		"imported 30 false", "noted 1 false", "by name 2 false", "recreated 7 true", "stolen 4294967294 true", "made up 4294967293 true",
		"no rows 6 false created 23:00",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSeriesRefusesImpossibleCreations(t *testing.T) {
	t.Parallel()
	never, later := time.Unix(0, 0), day.Add(2000*time.Minute)
	s := newSeries(ingest.ImportPlan{}, Creation{Name: "a", OID: 1, CreatedAt: &never}, Creation{Name: "b", OID: 2, CreatedAt: &later})
	s.Add(numbered(row(0, "a", 1, 1), row(0, "b", 1, 1)))
	for _, d := range s.End().Databases {
		if d.CreatedAt != nil || d.OID > 2 {
			t.Errorf("%+v", d)
		}
	}
}
