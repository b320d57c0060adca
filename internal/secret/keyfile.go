package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxKeyFileBytes bounds the reading of a key file; a keyring of a hundred keys is a tenth of it.
const maxKeyFileBytes = 256 << 10

// ReadKeyring reads the key file at path. It refuses a file that anyone but its
// owner and this process's user can read, a file owned by neither this
// process's user nor root, and a file that is not a keyring; each error says
// what to do.
func ReadKeyring(path string) (*Keyring, error) {
	data, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	ring, err := ParseKeyring(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w: restore it from its backup; "+
			"a new one (pgam key generate FILE) cannot open secrets sealed before", path, err)
	}
	return ring, nil
}

func readPrivate(path string) ([]byte, error) {
	// Non-blocking, so that a pipe put in its place cannot hold the process.
	file, err := os.OpenFile(filepath.Clean(path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: make one with: pgam key generate %s", fs.ErrNotExist, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: it must belong to user id %d with mode 600", fs.ErrPermission, os.Geteuid())
	case err != nil:
		return nil, fmt.Errorf("open: %w", errors.Unwrap(err))
	}
	defer file.Close()

	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat: %w", err)
	}
	if err := checkPrivate(file, info, os.Geteuid()); err != nil {
		return nil, fmt.Errorf("%w %s", err, path)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if len(data) > maxKeyFileBytes {
		return nil, fmt.Errorf("larger than %d bytes, so not a keyring", maxKeyFileBytes)
	}
	return data, nil
}

// checkPrivate refuses what others can read or replace. Its errors end in a
// command that lacks only the file's name.
func checkPrivate(file *os.File, info fs.FileInfo, uid int) error {
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file: make a keyring under another name with: pgam key generate FILE; remove")
	}
	if info.Mode().Perm()&0o077 != 0 && !onlyGrantedTo(file, uid) {
		return fmt.Errorf("others can read it (mode %04o): run: chmod 600", info.Mode().Perm())
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("owner unknown on this system: run: ls -l")
	}
	if int(owner.Uid) != uid && owner.Uid != 0 {
		return fmt.Errorf("owned by user id %d, neither this process's (%d) nor root: run: chown %d", owner.Uid, uid, uid)
	}
	return nil
}

// WriteKeyring makes a new keyring in a new file at path, readable by its owner
// only and on disk when it returns. It never overwrites.
func WriteKeyring(path string) error {
	data, err := GenerateKeyring()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("key file %s: %w: secrets sealed with it would be lost; move it away first", path, fs.ErrExist)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("key file %s: its folder does not exist: run: mkdir -p %s", path, filepath.Dir(path))
	case err != nil:
		return fmt.Errorf("key file %s: create: %w", path, errors.Unwrap(err))
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("key file %s: write: %w", path, err), os.Remove(path))
	}
	return nil
}

// syncFolder makes a new name in a folder survive a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
