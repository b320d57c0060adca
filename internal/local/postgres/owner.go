package postgres

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

// ErrDataDir tells that the data folder cannot be used as it is. The error that
// wraps it says why and what to do.
var ErrDataDir = errors.New("data folder cannot be used")

// maxSocketDir is the longest folder of a socket, in bytes: the whole path must
// fit into 104 on some systems.
const maxSocketDir = 85

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
func (c *Cluster) User() string {
	o, _ := c.owner()

	return o.name
}

// owner chooses the user that runs the server: this one or, for root, the owner
// of an existing data folder, or else postgres, or else nobody.
func (c *Cluster) owner() (owner, error) {
	if uid := os.Geteuid(); uid != 0 {
		return owner{name: userName(uid), uid: uid, gid: os.Getegid()}, nil
	}
	if info, err := os.Stat(filepath.Join(c.cfg.Dir, "PG_VERSION")); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 {
			return owner{name: userName(int(stat.Uid)), uid: int(stat.Uid), gid: int(stat.Gid), switched: true}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil {
			return owner{name: name, uid: uid, gid: gid, switched: true}, nil
		}
	}

	return owner{}, errors.New("PostgreSQL refuses to run as root and there is no user postgres or nobody to run it: make one, or run as another user than root")
}

func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}

	return id
}

// checkPath tells whether the owner can enter every folder above path. It knows
// mode bits only; what it lets pass wrongly the server itself reports.
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

// makeSocketDir makes the folder for the socket, a temporary one where the path
// is too long.
func (c *Cluster) makeSocketDir(o owner) error {
	dir, temp := filepath.Join(filepath.Dir(c.cfg.Dir), "run"), ""
	var err error
	if len(dir) <= maxSocketDir {
		err = os.MkdirAll(dir, 0o700)
	} else if dir, err = os.MkdirTemp("/tmp", "pgam-"); err == nil {
		temp = dir
	}
	c.mu.Lock()
	c.socketDir, c.tempSocket = dir, temp
	c.mu.Unlock()
	if err != nil {
		return err
	}

	return errors.Join(o.give(dir), o.checkPath(dir))
}

func (c *Cluster) removeTempSocket() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tempSocket != "" {
		_ = os.RemoveAll(c.tempSocket)
		c.tempSocket = ""
	}
}
