package store

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func seedDisks(t *testing.T, s *Store, server target.ID, at time.Time, systems ...sample.FileSystem) {
	t.Helper()
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: server, Disks: &sample.Disks{At: at, Source: target.DiskSSH, FileSystems: systems}}}})
}

func known(n int64) sample.Int { return sample.Int{V: n, Known: true} }

func mounted(mount string, free int64) sample.FileSystem {
	return sample.FileSystem{
		MountPoint: mount, Device: "/dev/sda1", Uses: []string{"data", "tablespace:größe"}, Total: known(100 << 30), Free: known(free),
		Inodes: known(1000), InodesFree: known(900),
	}
}

func TestAppendDisks(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	systems := func() string {
		return pgtest.Value[string](t, dsn, `
select string_agg(format('%s on %s for %s by %s, %s to %s', device, mount_point, uses, source, to_char(first_seen_at at time zone 'UTC', 'MI:SS'),
       to_char(last_seen_at at time zone 'UTC', 'MI:SS')), E'\n' order by mount_point)
  from history.file_system`)
	}
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	bare := sample.FileSystem{MountPoint: "/x"}
	seedDisks(t, s, server, at(0), mounted("/", 10), bare)
	seedDisks(t, s, server, at(60), mounted("/", 9), bare) // a minute later: not worth a new row version
	want := "/dev/sda1 on / for {data,tablespace:größe} by ssh, 00:00 to 00:00\n on /x for {} by ssh, 00:00 to 00:00"
	if got := systems(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	moved := mounted("/", 8)
	moved.Device = "/dev/sdb1"
	seedDisks(t, s, server, at(120), moved, bare)
	seedDisks(t, s, server, at(300), bare)
	seedDisks(t, s, server, at(90), mounted("/", 7)) // late
	seedDisks(t, s, server, at(90), mounted("/", 6)) // the same again
	want = "/dev/sdb1 on / for {data,tablespace:größe} by ssh, 00:00 to 02:00\n on /x for {} by ssh, 00:00 to 05:00"
	if got := systems(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got := pgtest.Value[[]string](t, dsn, `
select array_agg(format('%s %s: %s of %s, %s of %s', to_char(sampled_at at time zone 'UTC', 'MI:SS'), mount_point, coalesce(free_bytes::text, '-'),
       coalesce(total_bytes::text, '-'), coalesce(inodes_free::text, '-'), coalesce(inodes_total::text, '-')) order by sampled_at, mount_point)
  from history.disk_usage`)
	total := int64(100 << 30)
	wantUsage := []string{
		fmt.Sprintf("00:00 /: 10 of %d, 900 of 1000", total), "00:00 /x: - of -, - of -", fmt.Sprintf("01:00 /: 9 of %d, 900 of 1000", total),
		"01:00 /x: - of -, - of -", fmt.Sprintf("01:30 /: 7 of %d, 900 of 1000", total), fmt.Sprintf("02:00 /: 8 of %d, 900 of 1000", total),
		"02:00 /x: - of -, - of -", "05:00 /x: - of -, - of -",
	}
	if diff := cmp.Diff(wantUsage, got); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}

func TestDisksNow(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server, other := newServer(t, s, "db1"), newServer(t, s, "db2")
	got, err := s.DisksNow(t.Context(), server)
	if err != nil || got == nil || len(got) != 0 {
		t.Fatalf("of nothing: %v, %v", got, err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	const mib = 1 << 20
	for minute := 2 * 24 * 60; minute >= 0; minute -= 10 {
		at := now.Add(-time.Duration(minute) * time.Minute)
		// Until a day ago it filled fast; now it loses a MiB a minute.
		free := int64(10_000+minute) * mib
		if minute > 24*60 {
			free = int64(minute) * 1000 * mib
		}
		systems := []sample.FileSystem{mounted("/shrinks", free), mounted("/grows", 50_000*mib-free), mounted("/same", 77)}
		if minute <= 50 {
			systems = append(systems, mounted("/new", free))
		}
		seedDisks(t, s, server, at, systems...)
	}
	seedDisks(t, s, server, now.Add(-6*24*time.Hour), mounted("/old", 5), sample.FileSystem{MountPoint: "/unknown"})
	seedDisks(t, s, server, now.Add(-8*24*time.Hour), mounted("/gone", 5))
	seedDisks(t, s, other, now, mounted("/other", 5))

	if got, err = s.DisksNow(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	disk := func(mount string, at time.Time, free int64, trend float64) history.Disk {
		d := history.Disk{
			MountPoint: mount, Device: "/dev/sda1", Source: "ssh", Uses: []string{"data", "tablespace:größe"}, At: at, Free: &free,
			Total: new(int64(100 << 30)), Inodes: new(int64(1000)), InodesFree: new(int64(900)),
		}
		if !math.IsNaN(trend) {
			d.Trend = &trend
		}
		return d
	}
	shrinks := disk("/shrinks", now, 10_000*mib, -mib/60.0)
	shrinks.FullIn = new(10_000 * time.Minute)
	want := []history.Disk{
		disk("/grows", now, 40_000*mib, mib/60.0),
		disk("/new", now, 10_000*mib, math.NaN()),
		disk("/old", now.Add(-6*24*time.Hour), 5, math.NaN()),
		disk("/same", now, 77, 0),
		shrinks,
		{MountPoint: "/unknown", Source: "ssh", At: now.Add(-6 * 24 * time.Hour)},
	}
	roughly := cmp.Options{
		cmpopts.EquateEmpty(), cmpopts.EquateApprox(1e-9, 1e-6),
		cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() < time.Second }),
	}
	if diff := cmp.Diff(want, got, roughly); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFullIn(t *testing.T) {
	t.Parallel()
	free := int64(1000)
	for _, tt := range []struct {
		free  *int64
		slope float64
		want  *time.Duration
	}{
		{nil, -1, nil},
		{&free, 0, nil},
		{&free, 5, nil},
		{&free, -100, new(10 * time.Second)},
		{new(int64(0)), -1, new(time.Duration(0))},
		{new(int64(math.MaxInt64)), -1, nil},
		{&free, -1e-300, nil},
	} {
		if diff := cmp.Diff(tt.want, fullIn(tt.free, tt.slope)); diff != "" {
			t.Errorf("%v bytes, %g a second (-want +got):\n%s", tt.free, tt.slope, diff)
		}
	}
}

// TestDiskTimeline compares buckets with what brute force makes of samples.
func TestDiskTimeline(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server := newServer(t, s, "db1")
	r := rand.New(rand.NewPCG(1, 2))
	type look struct {
		at    time.Time
		mount string
		f     sample.FileSystem
	}
	var looks []look
	batch := sample.Batch{}
	for at := noon; at.Before(noon.AddDate(0, 0, 30)); at = at.Add(time.Duration(r.Int64N(int64(6*time.Hour))) + time.Second).Truncate(time.Microsecond) {
		d := &sample.Disks{At: at, Source: target.DiskLocal}
		for _, mount := range []string{"/", "/pg", "/größe"} {
			f := mounted(mount, r.Int64N(1<<40))
			if r.IntN(4) == 0 {
				f.Free, f.InodesFree = sample.Int{}, sample.Int{}
			}
			if r.IntN(3) > 0 {
				d.FileSystems = append(d.FileSystems, f)
				looks = append(looks, look{at, mount, f})
			}
		}
		batch.Visits = append(batch.Visits, &sample.Visit{Server: server, Disks: d})
	}
	r.Shuffle(len(batch.Visits), func(i, k int) { batch.Visits[i], batch.Visits[k] = batch.Visits[k], batch.Visits[i] })
	mustAppend(t, s, batch, batch)
	orNil := func(v sample.Int) *int64 {
		if !v.Known {
			return nil
		}
		return &v.V
	}
	from := noon.Add(31*time.Hour + 20*time.Minute)
	for _, length := range []time.Duration{40 * time.Hour, 10 * 24 * time.Hour, 60 * 24 * time.Hour, 100 * 24 * time.Hour} {
		asked := history.Range{From: from, To: from.Add(length)}
		step := history.AggregationFor(asked).Step()
		want := history.DiskTimeline{Range: asked, Step: step}
		if step > 0 {
			want.Range = asked.Widen(time.Hour)
		}
		for _, mount := range []string{"/", "/größe", "/pg"} {
			series := history.DiskSeries{MountPoint: mount, Device: "/dev/sda1", Uses: []string{"data", "tablespace:größe"}}
			for _, l := range looks {
				if l.mount != mount || l.at.Before(want.Range.From) || !l.at.Before(want.Range.To) {
					continue
				}
				at := l.at
				if step > 0 {
					at = history.Floor(at, step)
				}
				p := history.DiskPoint{At: at, Total: orNil(l.f.Total), Free: orNil(l.f.Free), MinFree: orNil(l.f.Free), InodesFree: orNil(l.f.InodesFree)}
				if n := len(series.Points); n > 0 && series.Points[n-1].At.Equal(at) {
					if before := series.Points[n-1].MinFree; p.MinFree == nil || (before != nil && *before < *p.MinFree) {
						p.MinFree = before
					}
					series.Points[n-1] = p
					continue
				}
				series.Points = append(series.Points, p)
			}
			want.Disks = append(want.Disks, series)
		}
		got, err := s.diskTimeline(t.Context(), server, asked)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", length, diff)
		}
		if !slices.IsSortedFunc(got.Disks, func(a, b history.DiskSeries) int { return strings.Compare(a.MountPoint, b.MountPoint) }) {
			t.Error("not by mount point")
		}
	}
}

// What is imported counts as what is sampled.
func TestDiskTimelineOfImported(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server := newServer(t, s, "db1")
	seedDisks(t, s, server, noon.Add(90*time.Minute), sample.FileSystem{MountPoint: "/", Total: known(100), Free: known(50)})
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	c := history.ImportedChunk{
		Stats:      []history.ImportedStat{{At: noon, OID: 1, Epoch: noon}, {At: at(120), OID: 1, Epoch: noon}},
		MountPoint: "/",
		Disks: []history.ImportedDisk{
			{At: at(0), Total: known(100), Free: known(9)}, {At: at(50), Total: known(100), Free: known(30)}, {At: at(60), Free: known(70)}, {At: at(120), Total: known(80)},
		},
	}
	for range 2 {
		if _, err := s.Import(t.Context(), server, c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.diskTimeline(t.Context(), server, history.Range{From: noon.AddDate(0, 0, -3), To: noon.AddDate(0, 0, 1)})
	if err != nil || len(got.Disks) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := []history.DiskPoint{
		{At: at(0), Total: new(int64(100)), Free: new(int64(30)), MinFree: new(int64(9))},
		{At: at(60), Total: new(int64(100)), Free: new(int64(50)), MinFree: new(int64(50))},
		{At: at(120), Total: new(int64(80))},
	}
	if diff := cmp.Diff(want, got.Disks[0].Points); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
