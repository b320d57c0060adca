package probe

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgam/pgam/internal/sample"
)

// mountTable is where the kernel lists what is mounted.
const mountTable = "/proc/self/mountinfo"

// stat looks at one path of this machine. It may hang for as long as a dead
// file server is away.
func stat(path string) look {
	// O_PATH needs no right to read what is there, only to get there.
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return look{reason: reasonOf(err), detail: err.Error()}
	}
	defer func() { _ = unix.Close(fd) }()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return look{reason: reasonOf(err), detail: err.Error()}
	}
	// Sizes are counted in fragments; f_frsize is 0 on old kernels.
	unit := fs.Frsize
	if unit == 0 {
		unit = fs.Bsize
	}
	total, okTotal := times(fs.Blocks, unit)
	free, okFree := times(fs.Bavail, unit)
	mount, ok := mountOf(fd)
	if !ok {
		mount, ok = topOf(fd, path)
	}
	if !okTotal || !okFree || !ok {
		return look{reason: sample.Malformed}
	}
	mount.Total, mount.Free = total, free
	if fs.Files > 0 {
		mount.Inodes, _ = times(fs.Files, 1)
		mount.InodesFree, _ = times(fs.Ffree, 1)
	}
	return look{fs: mount}
}

func reasonOf(err error) sample.Reason {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return sample.NoPrivilege
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return sample.NotFound
	}
	return sample.Other
}

// times multiplies a count by a unit. Less than nothing, which some file
// systems tell as a huge number, is nothing.
func times(count uint64, unit int64) (sample.Int, bool) {
	if count > math.MaxInt64 {
		count = 0
	}
	if unit <= 0 || int64(count) > math.MaxInt64/unit {
		return sample.Int{}, false
	}
	return sample.Int{V: int64(count) * unit, Known: true}, true
}

// mountOf finds the mount that an open file is on.
func mountOf(fd int) (sample.FileSystem, bool) {
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return sample.FileSystem{}, false
	}
	id := ""
	for line := range strings.Lines(string(info)) {
		if value, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			id = strings.TrimSpace(value)
		}
	}
	table, err := os.ReadFile(mountTable)
	if err != nil {
		return sample.FileSystem{}, false
	}
	return findMount(table, id)
}

// topOf finds the highest folder on the file system of an open file. In a root
// that is no mount point (a chroot, systemd's RootDirectory=) the table of mounts
// does not have the mount that the root is on, or there is no table.
func topOf(fd int, path string) (sample.FileSystem, bool) {
	var at, above unix.Stat_t
	real, err := filepath.EvalSymlinks(path)
	if err != nil || unix.Fstat(fd, &at) != nil {
		return sample.FileSystem{}, false
	}
	for real != "/" {
		if unix.Lstat(filepath.Dir(real), &above) != nil || above.Dev != at.Dev {
			break
		}
		real = filepath.Dir(real)
	}
	device := ""
	if table, err := os.ReadFile(mountTable); err == nil {
		device = deviceOf(table, fmt.Sprintf("%d:%d", unix.Major(at.Dev), unix.Minor(at.Dev)))
	}
	return sample.FileSystem{MountPoint: printable(real), Device: device}, true
}

// deviceOf gives what is mounted of a major:minor anywhere; empty: unknown.
func deviceOf(table []byte, number string) string {
	for line := range bytes.Lines(table) {
		fields := strings.Fields(string(line))
		if len(fields) < 7 || fields[2] != number {
			continue
		}
		if fs, ok := findMount(line, fields[0]); ok {
			return fs.Device
		}
	}
	return ""
}

// findMount reads mountinfo: "id parent major:minor root mount-point options
// [tags …] - type device super-options".
func findMount(table []byte, id string) (sample.FileSystem, bool) {
	for line := range bytes.Lines(table) {
		fields := strings.Fields(string(line))
		if len(fields) < 7 || fields[0] != id {
			continue
		}
		for i := 6; i+2 < len(fields); i++ {
			if fields[i] == "-" {
				return sample.FileSystem{MountPoint: printable(unescape(fields[4])), Device: localDevice(unescape(fields[i+2]))}, true
			}
		}
	}
	return sample.FileSystem{}, false
}

// localDevice drops the words that stand for no device.
func localDevice(name string) string {
	if name == "none" {
		return ""
	}
	return device(name)
}

// unescape undoes the kernel's \040 for a space and its like.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+4 <= len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
