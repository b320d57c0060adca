package postgres

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
)

// makeDataDir makes the data folder, or does nothing if there is one of the
// version of the binaries. It runs initdb on a folder beside it, which is renamed
// when it is complete.
func (c *Cluster) makeDataDir(ctx context.Context, o owner) error {
	if exists, err := c.checkDataDir(); err != nil || exists {
		return err
	}
	parent, prefix := filepath.Dir(c.cfg.Dir), filepath.Base(c.cfg.Dir)+".unfinished"
	if err := os.MkdirAll(parent, 0o755); err != nil { //nolint:gosec // The data folder itself is 0700.
		return fmt.Errorf("%w: make %s: %w: choose a place that you may write to", ErrDataDir, parent, err)
	}
	if err := o.checkPath(c.cfg.Dir); err != nil {
		return err
	}
	left, _ := filepath.Glob(filepath.Join(parent, prefix+"*"))
	for _, path := range left {
		_ = os.RemoveAll(path) // what cannot go now goes the next time
	}
	// The folder's name is new each time: an initdb that outlived a kill of this
	// process may still be writing into the one before.
	unfinished, err := os.MkdirTemp(parent, prefix+"-")
	if err != nil {
		return fmt.Errorf("%w: %w: choose a place that you may write to", ErrDataDir, err)
	}
	if err = o.give(unfinished); err == nil {
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
			ErrDataDir, c.cfg.Dir, major, c.cfg.Binaries.Dir, c.cfg.Binaries.Major, major)
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

// initdb runs the program of that name.
func (c *Cluster) initdb(ctx context.Context, o owner, dir string) error {
	args := []string{"-D", dir, "-U", Superuser, "-E", "UTF8", "--locale=C"}
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
	if c.cfg.Settings["fsync"] == "off" {
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

		return fmt.Errorf("run initdb as user %s: %w: %s", o.name, err, LastLines(output.String()))
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
