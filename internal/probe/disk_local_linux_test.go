package probe

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func localTarget() target.Target {
	return target.Target{ID: 7, Name: "db1", DiskSource: target.DiskLocal}
}

func TestReadLocal(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/proc", link); err != nil {
		t.Fatal(err)
	}
	got, err := NewDiskReader(nil).Read(t.Context(), localTarget(), uses("/", "/usr/..", link, "/proc/1", "/nowhere"))
	if err != nil {
		t.Fatal(err)
	}
	proc, ok := got.Of("u2")
	if !ok || proc.MountPoint != "/proc" || !slices.Equal(proc.Uses, []string{"u2", "u3"}) || proc.Inodes.Known {
		t.Errorf("proc: %+v", proc)
	}
	root, ok := got.Of("u1")
	if !ok || root.MountPoint != "/" || !slices.Equal(root.Uses, []string{"u0", "u1"}) || root.Total.V <= 0 || root.Free.V > root.Total.V {
		t.Errorf("root: %+v", root)
	}
	if want := []sample.MissingLocation{
		{Location: sample.Location{Use: "u4", Path: "/nowhere"}, Reason: sample.NotFound, Detail: "no such file or directory"},
	}; !cmp.Equal(got.Missing, want) {
		t.Errorf("missing: %+v", got.Missing)
	}
	out, err := exec.Command("df", "-P", "-B1", "--", "/").Output()
	if err != nil {
		t.Skipf("no df to compare with: %v", err)
	}
	want, ok := parseSpace(strings.Split(string(out), "\n"), "/")
	if !ok || want.Total != root.Total || want.Device != root.Device {
		t.Errorf("%+v, df has %+v", root, want)
	}
}

// Where the table of mounts does not have the root, as in a chroot, the highest
// folder on the same file system stands for it.
func TestTopOfFileSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink("/proc/self", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/": "/", "/proc/1": "/proc", dir + "/link/fd": "/proc"} {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := topOf(fd, path)
		if seen := stat(path); !ok || got.MountPoint != want || got.Device != seen.fs.Device || seen.fs.MountPoint != want {
			t.Errorf("%s: %+v, want %s as %+v", path, got, want, seen)
		}
		_ = unix.Close(fd)
	}
}

// A dead file server keeps one look busy, however often somebody asks.
func TestReadLocalHangs(t *testing.T) {
	t.Parallel()
	r := NewDiskReader(nil)
	hung := make(chan struct{})
	var asked atomic.Int64
	r.local.stat = func(path string) look {
		if strings.HasPrefix(path, "/hung") {
			asked.Add(1)
			<-hung
		}
		return look{fs: sample.FileSystem{MountPoint: "/", Total: known(10), Free: known(5)}}
	}
	locations := uses("/hung", "/", "/hung")
	var readers sync.WaitGroup
	for range 10 {
		readers.Go(func() {
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				got, err := r.Read(ctx, localTarget(), locations)
				cancel()
				if err != nil || len(got.FileSystems) != 1 || len(got.Missing) != 2 || got.Missing[0].Reason != sample.Timeout {
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
	}
	readers.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d looks under way, want 1", n)
	}
	close(hung)
	got, err := r.Read(t.Context(), localTarget(), locations)
	if err != nil || len(got.Missing) > 0 {
		t.Errorf("after it came back: %+v, %v", got, err)
	}
}

func TestFindMount(t *testing.T) {
	t.Parallel()
	const table = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:5 / /with\040space\134n rw,nosuid shared:2 master:1 - tmpfs none rw
31 22 0:6 /sub /bind rw - fuse.sshfs user@host:/a\040b rw
32 22 0:7 / /short rw
`
	for id, want := range map[string]sample.FileSystem{
		"22": {MountPoint: "/", Device: "/dev/vda"},
		"30": {MountPoint: `/with space\n`},
		"31": {MountPoint: "/bind", Device: "user@host:/a b"},
		"32": {}, "33": {}, "": {},
	} {
		got, ok := findMount([]byte(table), id)
		if diff := cmp.Diff(want, got); diff != "" || ok != (want.MountPoint != "") {
			t.Errorf("%s: %v\n%s", id, ok, diff)
		}
	}
}

func FuzzFindMount(f *testing.F) {
	f.Add([]byte("22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"), "22")
	f.Add([]byte(`30 22 0:5 / /a\040b\ rw shared:2 - tmpfs none rw`), "30")
	f.Fuzz(func(t *testing.T, table []byte, id string) {
		if fs, ok := findMount(table, id); ok && strings.ContainsFunc(fs.MountPoint+fs.Device, isControl) {
			t.Errorf("%+v", fs)
		}
	})
}

func TestReasonOf(t *testing.T) {
	t.Parallel()
	if got := reasonOf(errors.Join(os.ErrInvalid)); got != sample.Other {
		t.Errorf("%s", got)
	}
	if os.Geteuid() == 0 {
		return // Root may look everywhere.
	}
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/a", 0o700), os.Mkdir(dir+"/a/b", 0o700), os.Chmod(dir+"/a", 0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir+"/a", 0o700) })
	if got := stat(dir + "/a/b"); got.reason != sample.NoPrivilege {
		t.Errorf("%+v", got)
	}
}
