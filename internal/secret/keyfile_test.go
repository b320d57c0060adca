package secret_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgam/pgam/internal/secret"
)

func TestWriteKeyring(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyring.json")
	if err := secret.WriteKeyring(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	first, err := secret.ReadKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := secret.WriteKeyring(path); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "lost") {
		t.Errorf("second write: %v", err)
	}
	again, err := secret.ReadKeyring(path)
	if err != nil || again.PrimaryKeyID() != first.PrimaryKeyID() {
		t.Errorf("the first keyring is gone: %v", err)
	}
	err = secret.WriteKeyring(filepath.Join(t.TempDir(), "no", "such", "file"))
	if err == nil || !strings.Contains(err.Error(), "mkdir -p") {
		t.Errorf("no folder: %v", err)
	}
}

func TestReadKeyring_Refuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	good := func(name string) string {
		path := filepath.Join(folder, name)
		if err := secret.WriteKeyring(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	garbled := filepath.Join(folder, "garbled")
	if err := os.WriteFile(garbled, []byte("not a keyring"), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := good("huge")
	if err := os.Truncate(huge, 1<<20); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(folder, "missing")
	cases := map[string][]string{
		missing: {"pgam key generate " + missing},
		garbled: {"not a Tink keyset", "pgam key generate"},
		folder:  {"not a regular file", "pgam key generate"},
		pipe:    {"not a regular file"},
		huge:    {"not a keyring"},
	}
	for name, mode := range map[string]fs.FileMode{"others": 0o604, "group": 0o640, "group may write": 0o620, "anyone runs": 0o601} {
		path := good(name)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		cases[path] = []string{"chmod 600 " + path}
	}
	for path, wants := range cases {
		ring, err := secret.ReadKeyring(path)
		if err == nil || ring != nil {
			t.Errorf("%s: accepted", path)
			continue
		}
		for _, want := range append(wants, path) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is missing from: %v", want, err)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %v", err)
		}
	}
}

func TestReadKeyring_RefusesAStrangersFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyring.json")
	if err := secret.WriteKeyring(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, os.Geteuid()+4711, -1); err != nil {
		t.Skipf("only root can give a file away: %v", err)
	}
	if _, err := secret.ReadKeyring(path); err == nil || !strings.Contains(err.Error(), "chown") {
		t.Errorf("another's file: %v", err)
	}
}
