package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// ErrDataDir tells that the data folder cannot be used as it is. The error
// that wraps it says why and what to do.
var ErrDataDir = errors.New("data folder cannot be used")

// owner is the system user that runs the server.
type owner struct {
	name     string
	uid, gid int
	switched bool // another user than this process's
}

// credential returns what exec needs to become the owner, nil to stay.
func (o owner) credential() *syscall.Credential {
	if !o.switched {
		return nil
	}

	return &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
}

// give makes the owner own a file or folder.
func (o owner) give(path string) error {
	if !o.switched {
		return nil
	}
	if err := os.Lchown(path, o.uid, o.gid); err != nil {
		return fmt.Errorf("give to user %s: %w", o.name, err)
	}

	return nil
}

// User returns the name of the system user that runs the server.
func (c *Cluster) User() (string, error) {
	o, err := c.owner()

	return o.name, err
}

// owner chooses the user that runs the server.
func (c *Cluster) owner() (owner, error) {
	if uid := os.Geteuid(); uid != 0 {
		return c.ownerWithoutRoot(uid)
	}
	if c.cfg.RunAs != "" {
		o, err := lookup(c.cfg.RunAs)
		if err == nil && o.uid == 0 {
			err = errors.New("PostgreSQL refuses to run as root: choose another user")
		}

		return o, err
	}
	if info, err := os.Stat(filepath.Join(c.cfg.Dir, "PG_VERSION")); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 {
			name := strconv.FormatUint(uint64(stat.Uid), 10)
			if u, err := user.LookupId(name); err == nil {
				name = u.Username
			}

			return owner{name: name, uid: int(stat.Uid), gid: int(stat.Gid), switched: true}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		if o, err := lookup(name); err == nil {
			return o, nil
		}
	}

	return owner{}, errors.New("PostgreSQL refuses to run as root and there is no user postgres or nobody to run it: make one, or run as another user than root")
}

func (c *Cluster) ownerWithoutRoot(uid int) (owner, error) {
	o := owner{name: strconv.Itoa(uid), uid: uid, gid: os.Getegid()}
	if u, err := user.LookupId(o.name); err == nil {
		o.name = u.Username
	}
	if c.cfg.RunAs != "" && c.cfg.RunAs != o.name {
		return owner{}, fmt.Errorf("run PostgreSQL as user %s: only root can, and this is %s", c.cfg.RunAs, o.name)
	}

	return o, nil
}

func lookup(name string) (owner, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return owner{}, fmt.Errorf("look up user: %w", err)
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	if err := errors.Join(errUID, errGID); err != nil {
		return owner{}, fmt.Errorf("look up user %s: %w", name, err)
	}

	return owner{name: name, uid: uid, gid: gid, switched: true}, nil
}

// checkPath tells whether the owner can enter every folder above path. It
// knows mode bits only; what it lets pass wrongly the server itself reports.
func (o owner) checkPath(path string) error {
	if !o.switched {
		return nil
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("check folder: %w", err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && !o.canEnter(info.Mode(), stat) {
			return fmt.Errorf("%w: user %s, who runs PostgreSQL for root, cannot enter %s (mode %04o): choose another place, such as /var/lib/pgam, or run as another user than root",
				ErrDataDir, o.name, dir, info.Mode().Perm())
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (o owner) canEnter(mode fs.FileMode, stat *syscall.Stat_t) bool {
	switch {
	case int(stat.Uid) == o.uid:
		return mode&0o100 != 0
	case int(stat.Gid) == o.gid:
		return mode&0o010 != 0
	}

	return mode&0o001 != 0
}

// makeParent makes the folders above path, open to be entered by everyone, and
// says what to do where that is not allowed.
func makeParent(path string) error {
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o755); err != nil { //nolint:gosec // The data folder itself is 0700.
		return fmt.Errorf("%w: make %s: %w: choose a place that you may write to", ErrDataDir, parent, err)
	}

	return nil
}

// prepareSocketDir makes the folder for the socket, or a temporary one where
// the path is too long. temp is what to remove afterwards, if anything.
func (c *Cluster) prepareSocketDir(o owner) (dir, temp string, err error) {
	dir = c.cfg.SocketDir
	if len(dir) > maxSocketDir {
		for _, base := range []string{os.TempDir(), "/tmp"} {
			if dir, err = os.MkdirTemp(base, "pgam-"); err != nil {
				return "", "", fmt.Errorf("make folder for the socket: %w", err)
			}
			if len(dir) <= maxSocketDir {
				break
			}
			_ = os.Remove(dir)
		}
		temp = dir
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", fmt.Errorf("make folder for the socket: %w", err)
	}
	if err := errors.Join(o.give(dir), o.checkPath(dir)); err != nil {
		return "", "", fmt.Errorf("prepare folder for the socket: %w", err)
	}

	return dir, temp, nil
}
