package history

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func seedDisks(t *testing.T, s *stats, server target.ID, at time.Time, systems ...sample.FileSystem) {
	t.Helper()
	s.append(t, server, &sample.Visit{Disks: &sample.Disks{At: at, Source: target.DiskSSH, FileSystems: systems}})
}

func mounted(mount string, free int64) sample.FileSystem {
	return sample.FileSystem{
		MountPoint: mount, Device: "/dev/sda1", Uses: []string{"data", "tablespace:größe"}, Total: number(100 << 30), Free: number(free),
		Inodes: number(1000), InodesFree: number(900),
	}
}

func TestDisksNow(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	server, other := s.server.ID, s.add(t, "db2").ID
	got, err := s.DisksNow(t.Context(), server)
	if err != nil || got == nil || len(got) != 0 {
		t.Fatalf("of nothing: %v, %v", got, err)
	}
	now := time.Now().UTC().Truncate(time.Second)
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
	disk := func(mount string, at time.Time, free int64, trend float64) Disk {
		d := Disk{
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
	want := []Disk{
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
	s := openStats(t)
	server := s.server.ID
	r := rand.New(rand.NewPCG(1, 2))
	type seen struct {
		at    time.Time
		mount string
		f     sample.FileSystem
	}
	var looks []seen
	var visits []*sample.Visit
	for at := noon; at.Before(noon.AddDate(0, 0, 30)); at = at.Add(time.Duration(r.Int64N(int64(6*time.Hour))) + time.Second).Truncate(time.Microsecond) {
		d := &sample.Disks{At: at, Source: target.DiskLocal}
		for _, mount := range []string{"/", "/pg", "/größe"} {
			f := mounted(mount, r.Int64N(1<<40))
			if r.IntN(4) == 0 {
				f.Free, f.InodesFree = sample.Int{}, sample.Int{}
			}
			if r.IntN(3) > 0 {
				d.FileSystems = append(d.FileSystems, f)
				looks = append(looks, seen{at, mount, f})
			}
		}
		visits = append(visits, &sample.Visit{Server: server, Disks: d})
	}
	r.Shuffle(len(visits), func(i, k int) { visits[i], visits[k] = visits[k], visits[i] })
	s.append(t, server, visits...)
	s.append(t, server, visits...)
	orNull := func(v sample.Int) *int64 {
		if !v.Known {
			return nil
		}
		return &v.V
	}
	from := noon.Add(31*time.Hour + 20*time.Minute)
	for _, length := range []time.Duration{40 * time.Hour, 10 * 24 * time.Hour, 60 * 24 * time.Hour, 100 * 24 * time.Hour} {
		asked := Range{From: from, To: from.Add(length)}
		step := AggregationFor(asked).Step()
		want := DiskTimeline{Range: asked, Step: step}
		if step > 0 {
			want.Range = asked.Widen(time.Hour)
		}
		for _, mount := range []string{"/", "/größe", "/pg"} {
			series := DiskSeries{MountPoint: mount, Device: "/dev/sda1", Uses: []string{"data", "tablespace:größe"}}
			for _, l := range looks {
				if l.mount != mount || l.at.Before(want.Range.From) || !l.at.Before(want.Range.To) {
					continue
				}
				at := l.at
				if step > 0 {
					at = Floor(at, step)
				}
				p := DiskPoint{At: at, Total: orNull(l.f.Total), Free: orNull(l.f.Free), MinFree: orNull(l.f.Free), InodesFree: orNull(l.f.InodesFree)}
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
		if !slices.IsSortedFunc(got.Disks, func(a, b DiskSeries) int { return strings.Compare(a.MountPoint, b.MountPoint) }) {
			t.Error("not by mount point")
		}
	}
}
