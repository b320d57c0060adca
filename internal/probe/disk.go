package probe

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// DiskReader looks at the file systems of servers' hosts.
//
// The folders that PostgreSQL names itself go in; sizes of the file systems that
// hold them come out, each file system once. A folder that cannot be looked at is
// named with the reason, and the others are answered all the same. Whatever hangs,
// a look ends in time.
type DiskReader struct {
	shells *remote.Shells
	local  *local
}

// NewDiskReader returns a DiskReader that reaches hosts through shells; nil is
// enough where no server asks for SSH.
func NewDiskReader(shells *remote.Shells) *DiskReader {
	return &DiskReader{shells: shells, local: newLocal()}
}

// look is what was seen at one path.
type look struct {
	fs     sample.FileSystem // without Uses
	reason sample.Reason     // not None: why there is nothing in fs
	detail string            // what the system says of that
}

// Read looks at the file systems that hold locations, over SSH or on this
// machine as t.Disks() says. Each location is in the answer: with a file system
// or among the missing. The error, for remote.Classify and remote.Describe, is
// for a look that saw nothing at all; one that was cut short gives what it saw.
func (r *DiskReader) Read(ctx context.Context, t target.Target, locations []sample.Location) (sample.Disks, error) {
	started := time.Now()
	disks := sample.Disks{At: started.UTC(), Source: t.Disks()}
	looks, paths := refuse(locations)
	var err error
	switch {
	case disks.Source == target.DiskSSH && r.shells == nil:
		err = fmt.Errorf("%w: disks are looked at over SSH, but this program makes no SSH connections", target.ErrInvalid)
	case len(paths) == 0:
	case disks.Source == target.DiskSSH:
		disks.CPUs, err = r.overSSH(ctx, t, paths, looks)
	case disks.Source == target.DiskLocal:
		r.local.read(ctx, paths, looks)
		disks.CPUs = int32(min(runtime.NumCPU(), target.MaxCPUs))
	default:
		err = fmt.Errorf("%w: the disk source is none", target.ErrInvalid)
	}
	disks.FileSystems, disks.Missing = gather(locations, looks, remote.Classify(err))
	disks.Duration = time.Since(started)
	if err != nil && len(disks.FileSystems) == 0 {
		return disks, fmt.Errorf("look at disks of %s: %w", t.Name, err)
	}
	return disks, nil
}

// refuse gives the paths to look at, each once, and a look for those that are
// no paths.
func refuse(locations []sample.Location) (looks map[string]look, paths []string) {
	looks = make(map[string]look, len(locations))
	for _, location := range locations {
		path := location.Path
		if _, ok := looks[path]; ok || slices.Contains(paths, path) {
			continue
		}
		if !strings.HasPrefix(path, "/") || len(path) > maxPath || strings.ContainsFunc(path, isControl) {
			looks[path] = look{reason: sample.Malformed}
			continue
		}
		paths = append(paths, path)
	}
	return looks, paths
}

// isControl reports bytes that have no place in a path: line breaks above all.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// gather merges the looks by file system. Paths without a look get the reason.
func gather(locations []sample.Location, looks map[string]look, otherwise sample.Reason) ([]sample.FileSystem, []sample.MissingLocation) {
	if otherwise == sample.None {
		otherwise = sample.Malformed
	}
	var (
		systems []sample.FileSystem
		missing []sample.MissingLocation
	)
	for _, location := range locations {
		seen, ok := looks[location.Path]
		if !ok {
			seen.reason = otherwise
		}
		if seen.reason != sample.None {
			missing = append(missing, sample.MissingLocation{Location: location, Reason: seen.reason, Detail: seen.detail})
			continue
		}
		i := slices.IndexFunc(systems, func(f sample.FileSystem) bool { return f.MountPoint == seen.fs.MountPoint })
		if i < 0 {
			i = len(systems)
			systems = append(systems, seen.fs)
		}
		if !slices.Contains(systems[i].Uses, location.Use) {
			systems[i].Uses = append(systems[i].Uses, location.Use)
		}
	}
	for i := range systems {
		slices.Sort(systems[i].Uses)
	}
	slices.SortFunc(systems, func(a, b sample.FileSystem) int { return strings.Compare(a.MountPoint, b.MountPoint) })
	return systems, missing
}
