package sample

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/target"
)

func fileSystem(mount string, free int64, uses ...string) FileSystem {
	return FileSystem{MountPoint: mount, Device: "/dev/sda1", Uses: uses, Total: Int{1000, true}, Free: Int{free, true}, Inodes: Int{10, true}, InodesFree: Int{9, true}}
}

func TestDiskSeriesKeepsWhatIsNew(t *testing.T) {
	t.Parallel()
	s := NewDiskSeries()
	root, pg := fileSystem("/", 500, "wal"), fileSystem("/pg", 300, "data")
	change := func(f FileSystem, c func(*FileSystem)) FileSystem { c(&f); return f }
	for _, tt := range []struct {
		name    string
		seconds int
		source  target.DiskSource
		seen    []FileSystem
		want    []string
	}{
		{"first", 0, target.DiskSSH, []FileSystem{root, pg}, []string{"/", "/pg"}},
		{"nothing new", 60, target.DiskSSH, []FileSystem{root, pg}, nil},
		{"less free", 120, target.DiskSSH, []FileSystem{root, change(pg, func(f *FileSystem) { f.Free.V-- })}, []string{"/pg"}},
		{"and more again", 180, target.DiskSSH, []FileSystem{root, pg}, []string{"/pg"}},
		{"fewer inodes", 190, target.DiskSSH, []FileSystem{change(root, func(f *FileSystem) { f.InodesFree = Int{} }), pg}, []string{"/"}},
		{"other uses", 200, target.DiskSSH, []FileSystem{root, fileSystem("/pg", 300, "data", "wal")}, []string{"/", "/pg"}},
		{"other device", 210, target.DiskSSH, []FileSystem{root, change(fileSystem("/pg", 300, "data", "wal"), func(f *FileSystem) { f.Device = "" })}, []string{"/pg"}},
		{"other source", 220, target.DiskLocal, []FileSystem{root, pg}, []string{"/", "/pg"}},
		{"quiet, nearly five minutes", 519, target.DiskLocal, []FileSystem{root, pg}, nil},
		{"quiet for five minutes", 520, target.DiskLocal, []FileSystem{root, pg}, []string{"/", "/pg"}},
		{"one is gone", 530, target.DiskLocal, []FileSystem{root}, nil},
		{"and is back", 540, target.DiskLocal, []FileSystem{root, pg}, []string{"/pg"}},
		{"all are gone", 550, target.DiskLocal, nil, nil},
	} {
		seen := append([]FileSystem(nil), tt.seen...)
		d := Disks{At: start.Add(time.Duration(tt.seconds) * time.Second), Source: tt.source, FileSystems: tt.seen, Missing: []MissingLocation{{Reason: NoPrivilege}}}
		s.Advance(&d)
		var got []string
		for _, f := range d.FileSystems {
			got = append(got, f.MountPoint)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(seen, tt.seen, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: what was seen is changed:\n%s", tt.name, diff)
		}
		if len(d.Missing) != 1 {
			t.Errorf("%s: what is missing is gone", tt.name)
		}
	}
}
