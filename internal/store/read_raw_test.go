package store

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
)

// Whoever adds up the databases of an instant gets what the server had then,
// and at the last one what it has now: idle ones, of which a sample is stored
// every five minutes only, have a value at each, in ranges of any length.
func TestEveryInstantHasEveryDatabase(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn).ID
	series := sample.NewSeries(nil, nil, time.Time{})
	list := func(at time.Time, databases ...sample.Database) *sample.Visit {
		return &sample.Visit{Server: server, Inventory: &sample.Inventory{At: at, Databases: databases}}
	}
	busy, idle, old := dbNamed(100, "busy"), dbNamed(101, "idle"), dbNamed(102, "old")
	visits := []*sample.Visit{list(noon, busy, idle, old)}
	stat := func(at time.Time, oid uint32, backends, commits int64) sample.DatabaseStat {
		d := sample.DatabaseStat{At: at, OID: oid, Backends: known(backends)}
		d.Counters[sample.XactCommit] = known(commits)
		return d
	}
	// Two hours and three minutes; old is dropped after one; nothing was seen
	// from 13:20 to 13:30.
	dropped, end := noon.Add(time.Hour), noon.Add(2*time.Hour+3*time.Minute)
	n := int64(0)
	for at := noon.Add(3 * time.Second); at.Before(end); at = at.Add(10 * time.Second) {
		if n++; at.Equal(dropped.Add(3 * time.Second)) {
			visits = append(visits, list(dropped, busy, idle))
		}
		if at.After(noon.Add(80*time.Minute)) && at.Before(noon.Add(90*time.Minute)) {
			continue
		}
		v := &sample.Visit{Server: server, Databases: []sample.DatabaseStat{stat(at, 100, 5+n%3, n), stat(at, 101, 2, 7)}}
		if at.Before(dropped) {
			v.Databases = append(v.Databases, stat(at, 102, 4, 7))
		}
		if n == 1 {
			for _, oid := range []uint32{100, 101, 102} {
				v.Sizes = append(v.Sizes, sample.DatabaseSize{At: at, OID: oid, Bytes: known(int64(oid) << 20)})
			}
		}
		series.Advance(v)
		visits = append(visits, v)
	}
	mustAppend(t, s, sample.Batch{Visits: visits})

	for _, tt := range []struct{ from, to time.Time }{
		{noon, end},
		{end.Add(-time.Hour), end},            // from amid what stands
		{noon.Add(50 * time.Minute), dropped}, // the past
		{end.Add(-24 * time.Hour), end},
		{end.Add(-48 * time.Hour), end},
		{end.Add(-7 * 24 * time.Hour), end},  // hours: the newest has no sample of idle yet
		{end.Add(-60 * 24 * time.Hour), end}, // four hours
	} {
		r := history.Range{From: tt.from, To: tt.to}
		got, err := s.ServerTimeline(t.Context(), server, r)
		if err != nil {
			t.Fatal(err)
		}
		instants := make(map[time.Time][]history.DatabasePoint)
		for _, p := range got.Points {
			instants[p.At] = append(instants[p.At], p)
		}
		if len(instants) == 0 || len(instants) > 720 {
			t.Errorf("%s: %d instants", r, len(instants))
		}
		last := got.Points[len(got.Points)-1].At
		for at, points := range instants {
			want := 3
			if !at.Before(dropped) || at.Equal(last) && tt.to.Equal(end) {
				want = 2
			}
			if len(points) != want {
				t.Errorf("%s: %d databases at %s", r, len(points), at)
			}
			if got.Aggregation == history.Raw && at.After(noon.Add(86*time.Minute)) && at.Before(noon.Add(89*time.Minute)) {
				t.Errorf("%s: %s is known", r, at)
			}
		}
		var connections, bytes int64
		for _, p := range instants[last] {
			connections, bytes = connections+int64(p.Connections), bytes+*p.SizeBytes
		}
		if got.Aggregation == history.Raw && (connections != got.Connections || bytes != got.SizeBytes) || got.Aggregation != history.Raw && bytes != got.SizeBytes {
			t.Errorf("%s: at the last instant %d connections and %d bytes, in all %d and %d", r, connections, bytes, got.Connections, got.SizeBytes)
		}
		one, err := s.DatabaseTimeline(t.Context(), server, "idle", r)
		if err != nil || len(one.Points) == 0 || len(one.Points) > 720 || one.MinConnections != 2 || one.MaxConnections != 2 {
			t.Errorf("%s: idle has %d points, from %d to %d connections, %v", r, len(one.Points), one.MinConnections, one.MaxConnections, err)
		}
	}
}

func TestRawStep(t *testing.T) {
	t.Parallel()
	for length, want := range map[time.Duration]time.Duration{
		time.Minute: 10 * time.Second, time.Hour: 10 * time.Second, 3 * time.Hour: 30 * time.Second, 24 * time.Hour: 3 * time.Minute, 48 * time.Hour: 5 * time.Minute,
	} {
		r := history.Range{From: noon.Add(7 * time.Second), To: noon.Add(length + 7*time.Second)}
		if got := rawStep(r); got != want || r.Widen(got).Length()/got > 720 {
			t.Errorf("%s: %s", length, got)
		}
	}
}
