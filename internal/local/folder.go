package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/pgam/pgam/internal/target"
)

// ErrFolder tells that the data folder cannot be used as it is. The error that
// wraps it says why and what to do.
var ErrFolder = errors.New("data folder cannot be used")

// ErrRunning tells that another process runs the stack of the folder.
var ErrRunning = errors.New("already running")

// folder is the data folder:
//
//	postgres/    the cluster (elsewhere where its user may not come here)
//	run/         its socket
//	keys/        what must stay secret, mode 700
//	journal/     the collector's
//	log/         what the programs say
//	state.json   what was set up
//	lock         held while the stack runs
type folder struct {
	dir   string // absolute
	state state
	lock  *os.File
}

// state is what a start must know of the ones before it.
type state struct {
	ClusterDir   string    `json:"cluster_dir"`     // absolute, or relative to the data folder
	BinariesDir  string    `json:"binaries_dir"`    // of the PostgreSQL it was made with
	Login        string    `json:"login"`           // of the first user; empty until there is one
	LocalServer  target.ID `json:"local_server_id"` // the cluster itself as a server; 0 until it was registered
	DemoDatabase bool      `json:"demo_database"`   // the demo's data are complete
}

func (f *folder) path(elements ...string) string {
	return filepath.Join(append([]string{f.dir}, elements...)...)
}

func (f *folder) clusterDir() string {
	if filepath.IsAbs(f.state.ClusterDir) {
		return f.state.ClusterDir
	}

	return f.path(f.state.ClusterDir)
}

// openFolder makes the folder where there is none, locks it and reads its
// state.
func openFolder(dir string) (*folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find data folder: %w", err)
	}
	f := &folder{dir: dir}
	if err := f.make(); err != nil {
		return nil, err
	}
	if err := f.takeLock(); err != nil {
		return nil, err
	}
	if err := f.readState(); err != nil {
		return nil, errors.Join(err, f.close())
	}

	return f, nil
}

// make makes the folders. The outermost may be entered by everyone, because the
// user who runs PostgreSQL must come through.
func (f *folder) make() error {
	if err := os.MkdirAll(f.dir, 0o755); err != nil { //nolint:gosec // See above; what is secret lies deeper.
		return unusable(err)
	}
	for name, mode := range map[string]fs.FileMode{"keys": 0o700, "journal": 0o700, "log": 0o755} {
		if err := os.MkdirAll(f.path(name), mode); err != nil {
			return unusable(err)
		}
	}

	return nil
}

func unusable(err error) error {
	return fmt.Errorf("%w: %w: choose another with --data", ErrFolder, err)
}

// takeLock keeps other processes off the folder for as long as this one lives.
func (f *folder) takeLock() error {
	file, err := os.OpenFile(f.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return unusable(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(f.path("lock"))
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%w: process %s runs pgam up on %s: stop it first, or choose another folder with --data",
				ErrRunning, strings.TrimSpace(string(holder)), f.dir)
		}

		return unusable(fmt.Errorf("lock: %w", err))
	}
	_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	if err = errors.Join(err, file.Truncate(int64(len(strconv.Itoa(os.Getpid()))+1))); err != nil {
		return errors.Join(unusable(err), file.Close())
	}
	f.lock = file

	return nil
}

func (f *folder) close() error {
	if f.lock == nil {
		return nil
	}
	lock := f.lock
	f.lock = nil

	return lock.Close()
}

func (f *folder) readState() error {
	content, err := os.ReadFile(f.path("state.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unusable(err)
	}
	if err := json.Unmarshal(content, &f.state); err != nil {
		return fmt.Errorf("%w: %s is damaged: restore it, or choose another folder with --data", ErrFolder, f.path("state.json"))
	}

	return nil
}

// save stores the state.
func (f *folder) save() error {
	content, err := json.MarshalIndent(f.state, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}

	return replaceFile(f.path("state.json"), append(content, '\n'))
}

// replaceFile writes a file of mode 600 that is there in whole or not at all.
func replaceFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // Made with mode 0600.
	if err != nil {
		return unusable(err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(unusable(err), os.Remove(file.Name()))
	}
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return unusable(err)
	}
	if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
		return unusable(err)
	}

	return nil
}
