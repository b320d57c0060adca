package probe

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
)

func known(v int64) sample.Int { return sample.Int{V: v, Known: true} }

func TestParseSpace(t *testing.T) {
	t.Parallel()
	const gnu = "Filesystem         1-blocks        Used   Available Capacity Mounted on\n"
	fs := func(mount, device string, total, free int64) *sample.FileSystem {
		return &sample.FileSystem{MountPoint: mount, Device: device, Total: known(total), Free: known(free)}
	}
	for name, c := range map[string]struct {
		text, path string
		want       *sample.FileSystem
	}{
		"GNU": {
			gnu + "/dev/vda       270553174016 26445291520 71348002816      28% /\n", "/var/lib/postgresql",
			fs("/", "/dev/vda", 270553174016, 71348002816),
		},
		"BusyBox": {
			"Filesystem           1024-blocks    Used Available Capacity Mounted on\n/dev/vda             264212084  25816172  69685092  27% /data\n", "/data",
			fs("/data", "/dev/vda", 264212084<<10, 69685092<<10),
		},
		"macOS": {
			"Filesystem   1024-blocks      Used Available Capacity  Mounted on\n/dev/disk1s1   488245288 204110220 258842820    45%    /\n", "/x",
			fs("/", "/dev/disk1s1", 488245288<<10, 258842820<<10),
		},
		"AIX": {
			"Filesystem    1024-blocks      Used Available Capacity Mounted on\n/dev/fslv00      10485760  10400000     85760     100% /pgdata\n", "/pgdata/x",
			fs("/pgdata", "/dev/fslv00", 10485760<<10, 85760<<10),
		},
		"512": {
			"Filesystem 512-blocks Used Available Capacity Mounted on\n/dev/da0 100 10 90 10% /\n", "/", fs("/", "/dev/da0", 51200, 46080),
		},
		"1K": {
			"Filesystem 1K-blocks Used Available Capacity Mounted on\n/dev/da0 100 10 90 10% /\n", "/", fs("/", "/dev/da0", 102400, 92160),
		},
		"wrapped": {
			gnu + "/dev/mapper/a-very-long-name-of-a-volume-group-and-volume\n             1000 400 600 40% /data\n", "/data",
			fs("/data", "/dev/mapper/a-very-long-name-of-a-volume-group-and-volume", 1000, 600),
		},
		"spaces": {
			gnu + "//nas/my share 1000 400 600 40% /mnt/my disk\n", "/mnt/my disk/pg", fs("/mnt/my disk", "//nas/my share", 1000, 600),
		},
		"numbers in the device": {
			gnu + "//nas/1 2 3 4% /x 1000 400 600 40% /mnt\n", "/mnt/pg", fs("/mnt", "//nas/1 2 3 4% /x", 1000, 600),
		},
		"numbers in the mount point": {
			gnu + "/dev/sda 1000 400 600 40% /mnt/1 2 3 4% /x\n", "/mnt/1 2 3 4% /x/pg", fs("/mnt/1 2 3 4% /x", "/dev/sda", 1000, 600),
		},
		"numbers in both": {
			gnu + "a 1 2 3 4% /x 1000 400 600 40% /mnt/1 2 3 4% /y\n", "/mnt/1 2 3 4% /y/pg", fs("/mnt/1 2 3 4% /y", "a 1 2 3 4% /x", 1000, 600),
		},
		"behind a link": {
			gnu + "a 1 2 3 4% /x 1000 400 600 40% /mnt\n", "/var/lib/postgresql", fs("/mnt", "a 1 2 3 4% /x", 1000, 600),
		},
		"negative": {
			gnu + "/dev/sda 1000 1050 -50 105% /\n", "/", fs("/", "/dev/sda", 1000, 0),
		},
		"dashes": {
			gnu + "- 1000 - - - /\n", "/", &sample.FileSystem{MountPoint: "/", Total: known(1000)},
		},
		"nothing in it": {
			gnu + "proc 0 0 0 - /proc\n", "/proc", fs("/proc", "proc", 0, 0),
		},
		"noise around": {
			"Welcome!\n" + gnu + "motd: 3 updates\n/dev/sda 1000 400 600 40% /\nbye\n", "/", fs("/", "/dev/sda", 1000, 600),
		},
		"no text": {
			gnu + "/dev/s\xffda\x1b[31m 1000 400 600 40% /m\xc3\x28\u00fc\n", "/m", fs(`/m\xc3(`+"\u00fc", `/dev/s\xffda\x1b[31m`, 1000, 600),
		},
		"large":      {gnu + "x 9223372036854775807 0 9223372036854775807 0% /\n", "/", fs("/", "x", math.MaxInt64, math.MaxInt64)},
		"too large":  {gnu + "x 9223372036854775808 0 1 0% /\n", "/", nil},
		"overflow":   {"Filesystem 1024-blocks Used Available Capacity Mounted on\nx 9223372036854775807 0 1 0% /\n", "/", nil},
		"no total":   {gnu + "x - - - - /\n", "/", nil},
		"no header":  {"/dev/sda 1000 400 600 40% /\n", "/", nil},
		"no row":     {gnu, "/", nil},
		"other unit": {"Filesystem Size Used Avail Capacity Mounted on\n/dev/sda 1000 400 600 40% /\n", "/", nil},
		"local":      {"Файловая система 1-блоков Использовано Доступно Вместимость Cмонтировано в\n/dev/sda 1000 400 600 40% /\n", "/", nil},
		"empty":      {"", "/", nil},
	} {
		got, ok := parseSpace(strings.Split(c.text, "\n"), c.path)
		switch {
		case ok != (c.want != nil):
			t.Errorf("%s: %v, %+v", name, ok, got)
		case ok:
			if diff := cmp.Diff(*c.want, got); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", name, diff)
			}
		}
	}
}

func TestParseInodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text        string
		total, free sample.Int
	}{
		"GNU":     {"Filesystem       Inodes  IUsed    IFree IUse% Mounted on\n/dev/vda       16777216 570870 16206346    4% /\n", known(16777216), known(16206346)},
		"BusyBox": {"Filesystem              Inodes      Used Available Capacity Mounted on\n/dev/vda              16777216    570863  16206353   3% /\n", known(16777216), known(16206353)},
		"btrfs":   {"Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/vdb 0 0 0 - /\n", sample.Int{}, sample.Int{}},
		"unknown": {"Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/vdb - - - - /\n", sample.Int{}, sample.Int{}},
		"macOS": {
			"Filesystem 512-blocks Used Available Capacity iused ifree %iused Mounted on\n/dev/disk1 100 10 90 10% 5 4 55% /\n", sample.Int{}, sample.Int{},
		},
		"none": {"", sample.Int{}, sample.Int{}},
	} {
		total, free := parseInodes(strings.Split(c.text, "\n"), "/")
		if total != c.total || free != c.free {
			t.Errorf("%s: %+v, %+v", name, total, free)
		}
	}
}

// Whatever a host prints, the reader does not fall over, and what it believes
// makes sense.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"\nword look 0\nword bytes\nFilesystem 1-blocks Used Available Capacity Mounted on\n/dev/sda 1000 400 600 40% /\nword inodes\nFilesystem Inodes IUsed IFree IUse% Mounted on\n/dev/sda 10 4 6 40% /\nword done\nword end\n",
		"\nword look 1\nword error\ndf: /a: Permission denied\nword done\nword slow\nword look 9\nword done\nword end",
		"word look 0\nword slow\nword done\nword done\nword look -1\nword bytes\n\nword look 1",
		"word look 0\nword bytes\nFilesystem 1024-blocks x x x x\n 1 1 -1 1% /\r\nword done\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		paths := []string{"/a", "/b c"}
		looks := map[string]look{}
		read("word", []byte(text), paths, looks)
		for path, seen := range looks {
			fs := seen.fs
			if path != paths[0] && path != paths[1] {
				t.Errorf("a path that nobody asked for: %q", path)
			}
			if seen.reason != sample.None {
				continue
			}
			if !fs.Total.Known || fs.Total.V < 0 || fs.Free.V < 0 || fs.Inodes.V < 0 || fs.InodesFree.V < 0 || !strings.HasPrefix(fs.MountPoint, "/") {
				t.Errorf("%q: %+v", path, fs)
			}
			for _, name := range []string{fs.MountPoint, fs.Device} {
				if !utf8.ValidString(name) || strings.ContainsFunc(name, isControl) {
					t.Errorf("%q: name %q", path, name)
				}
			}
		}
	})
}
