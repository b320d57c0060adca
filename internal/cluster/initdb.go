package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrVersion tells that the data folder is of another major version than the
// binaries.
var ErrVersion = errors.New("data folder is of another PostgreSQL version")

// Init makes the data folder, or does nothing if there is one of the version of
// the binaries. One of another version gives ErrVersion, a folder with other
// files or without access ErrDataDir.
func (c *Cluster) Init(ctx context.Context) error {
	c.serial.Lock()
	defer c.serial.Unlock()

	o, err := c.owner()
	if err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	exists, err := c.checkDataDir()
	if err != nil || exists {
		return err
	}
	if err := makeParent(c.cfg.Dir); err != nil {
		return err
	}
	if err := o.checkPath(c.cfg.Dir); err != nil {
		return err
	}

	unlock, err := lockFolder(ctx, filepath.Dir(c.cfg.Dir))
	if err != nil {
		return fmt.Errorf("make cluster in %s: %w", c.cfg.Dir, err)
	}
	defer unlock()
	if exists, err := c.checkDataDir(); err != nil || exists {
		return err // Another process was making it.
	}

	return c.makeDataDir(ctx, o)
}

// lockFolder keeps other processes from making a cluster in the same folder.
// The lock goes with the process that holds it.
func lockFolder(ctx context.Context, path string) (unlock func(), err error) {
	folder, err := os.Open(path) //nolint:gosec // The operator's choice.
	if err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = folder.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock folder %s: %w", path, err), folder.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for another process that makes a cluster in %s: %w", path, context.Cause(ctx)), folder.Close())
		}
	}
}

// checkDataDir tells whether the data folder is there and of our version.
func (c *Cluster) checkDataDir() (bool, error) {
	content, err := os.ReadFile(filepath.Join(c.cfg.Dir, "PG_VERSION"))
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return false, c.checkEmpty()
	default:
		return false, fmt.Errorf("%w: %w: choose another place, or run as its owner", ErrDataDir, err)
	}
	if major := strings.TrimSpace(string(content)); major != c.cfg.Binaries.Major {
		return false, fmt.Errorf("%w: %s is of %s, the programs in %s are of %s: install PostgreSQL %s or choose another data folder",
			ErrVersion, c.cfg.Dir, major, c.cfg.Binaries.Dir, c.cfg.Binaries.Major, major)
	}

	return true, nil
}

// checkEmpty makes sure that nothing stands where the data folder goes.
func (c *Cluster) checkEmpty() error {
	entries, err := os.ReadDir(c.cfg.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w: choose another place", ErrDataDir, err)
	case len(entries) > 0:
		return fmt.Errorf("%w: %s holds other files and is no PostgreSQL cluster: choose an empty or a new folder", ErrDataDir, c.cfg.Dir)
	}

	return nil
}

// makeDataDir runs initdb on a folder beside the data folder and renames it
// when it is complete.
func (c *Cluster) makeDataDir(ctx context.Context, o owner) error {
	// The folder's name is new each time: an initdb that outlived a kill of
	// this process may still be writing into the one before.
	parent, prefix := filepath.Dir(c.cfg.Dir), filepath.Base(c.cfg.Dir)+".unfinished"
	entries, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDataDir, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			_ = os.RemoveAll(filepath.Join(parent, e.Name())) // what cannot go now goes the next time
		}
	}
	unfinished, err := os.MkdirTemp(parent, prefix+"-")
	if err != nil {
		return fmt.Errorf("%w: %w: choose a place that you may write to", ErrDataDir, err)
	}
	err = o.give(unfinished)
	if err == nil {
		err = c.initdb(ctx, o, unfinished)
	}
	if err == nil {
		err = os.Rename(unfinished, c.cfg.Dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("make cluster in %s: %w", c.cfg.Dir, err), os.RemoveAll(unfinished))
	}
	c.log.InfoContext(ctx, "made cluster", "version", c.cfg.Binaries.Version, "user", o.name)

	return nil
}

// initdb runs the program of that name.
func (c *Cluster) initdb(ctx context.Context, o owner, dir string) error {
	args := []string{"-D", dir, "-U", c.cfg.Superuser, "-E", "UTF8", "--locale=C"}
	if c.cfg.Password == "" {
		args = append(args, "-A", "trust")
	} else {
		path, err := c.writePassword(o)
		if err != nil {
			return err
		}
		defer func() { _ = os.Remove(path) }()
		args = append(args, "-A", "scram-sha-256", "--pwfile="+path)
	}
	if c.cfg.Volatile {
		args = append(args, "-N")
	}
	cmd := exec.CommandContext(ctx, c.cfg.Binaries.program("initdb"), args...) //nolint:gosec // Programs found by FindBinaries or named by the operator.
	cmd.Env, cmd.Dir = childEnv(), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential(), Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // And the servers that it runs.
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("run initdb as user %s: %w: the folder of the programs must be open to that user", o.name, err)
		}

		return fmt.Errorf("run initdb as user %s: %w: %s", o.name, err, lastLines(output.String()))
	}

	return nil
}

// writePassword writes the superuser's password to a file that only the owner
// can read.
func (c *Cluster) writePassword(o owner) (path string, err error) {
	file, err := os.CreateTemp(filepath.Dir(c.cfg.Dir), ".pgam-password-") // Made with mode 0600.
	if err != nil {
		return "", fmt.Errorf("write password file: %w", err)
	}
	_, errWrite := file.WriteString(c.cfg.Password + "\n")
	if err := errors.Join(errWrite, file.Close(), o.give(file.Name())); err != nil {
		return "", errors.Join(fmt.Errorf("write password file: %w", err), os.Remove(file.Name()))
	}

	return file.Name(), nil
}
