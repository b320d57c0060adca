package local

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgam/pgam/internal/secret"
)

// The files in keys/.
const (
	keyringFile   = "keyring.json"
	tokenKeyFile  = "token.key"
	superuserFile = "superuser.password"
	statsFile     = "stats.password"
	monitorFile   = "monitor.password"
	demoFile      = "demo.password"
	statsDSNFile  = "stats.dsn"
)

// tokenKeyBytes is the size of a generated token key before it is written as
// text: more than the 32 bytes that HS256 asks for.
const tokenKeyBytes = 48

// keys are what the parts of the stack prove themselves with.
type keys struct {
	ring      *secret.Keyring
	superuser secret.Value // of the cluster
	stats     secret.Value // owner of stats_db
	monitor   secret.Value // samples the cluster
	demo      secret.Value // makes the demo's load
}

// Access names the files with which other commands reach the stats_db of a
// stack: its DSN, as of the last start, and the keyring.
func Access(dataDir string) (dsnFile, keyFile string, err error) {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return "", "", fmt.Errorf("find data folder: %w", err)
	}
	dsnFile = filepath.Join(dir, "keys", statsDSNFile)
	if _, err := os.Stat(dsnFile); err != nil {
		return "", "", fmt.Errorf("%w: %s is no data folder that pgam up has used, or not yours to read: %w", ErrFolder, dir, err)
	}

	return dsnFile, filepath.Join(dir, "keys", keyringFile), nil
}

// Journal gives the folder of the collector's journal in a data folder.
func Journal(dataDir string) string { return filepath.Join(dataDir, "journal") }

// openKeys reads the keys and makes those that are missing. Two of them cannot
// be made again once something depends on them: that is an error.
func (f *folder) openKeys() (keys, error) {
	_, err := os.Stat(filepath.Join(f.clusterDir(), "PG_VERSION"))
	used := err == nil
	var k keys
	if k.superuser, err = f.password(superuserFile, !used); err != nil {
		return keys{}, err
	}
	for name, into := range map[string]*secret.Value{statsFile: &k.stats, monitorFile: &k.monitor, demoFile: &k.demo} {
		if *into, err = f.password(name, true); err != nil {
			return keys{}, err
		}
	}
	if err := f.makeOnce(tokenKeyFile, newTokenKey); err != nil {
		return keys{}, err
	}
	ring := f.path("keys", keyringFile)
	if _, err := os.Stat(ring); used && errors.Is(err, fs.ErrNotExist) {
		return keys{}, f.lost(ring)
	}
	if err := f.makeOnce(keyringFile, secret.GenerateKeyring); err != nil {
		return keys{}, err
	}
	k.ring, err = secret.ReadKeyring(ring)

	return k, err
}

// makeOnce writes a key file where there is none.
func (f *folder) makeOnce(name string, generate func() ([]byte, error)) error {
	path := f.path("keys", name)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // Whoever reads it says what is wrong with it.
	}
	content, err := generate()
	if err != nil {
		return err
	}

	return replaceFile(path, content)
}

// password reads a password from its file, or makes one.
func (f *folder) password(name string, mayMake bool) (secret.Value, error) {
	path := f.path("keys", name)
	content, err := os.ReadFile(path) //nolint:gosec // In our data folder.
	text := strings.TrimSpace(string(content))
	switch {
	case err == nil && text != "":
		return secret.New(text), nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return secret.Value{}, unusable(err)
	case !mayMake:
		return secret.Value{}, f.lost(path)
	}
	made := NewPassword()

	return made, replaceFile(path, []byte(made.Reveal()+"\n"))
}

func (f *folder) lost(path string) error {
	return fmt.Errorf("%w: %s is missing and its cluster cannot be used without: restore it from a backup, or start afresh with another --data",
		ErrFolder, path)
}

// NewPassword returns a password of 130 random bits that needs no quoting
// anywhere.
func NewPassword() secret.Value { return secret.New(strings.ToLower(rand.Text())) }

// newTokenKey returns a key for signing tokens, as a line of text.
func newTokenKey() ([]byte, error) {
	key := make([]byte, tokenKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make token key: %w", err)
	}

	return []byte(base64.StdEncoding.EncodeToString(key) + "\n"), nil
}

// WriteTokenKey makes a key for signing tokens in a new file of mode 600. It
// never overwrites: the error then matches fs.ErrExist.
func WriteTokenKey(path string) error {
	key, err := newTokenKey()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("token key %s: %w: tokens signed with it would end; move it away first", path, fs.ErrExist)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("token key %s: its folder does not exist: run: mkdir -p %s", path, filepath.Dir(path))
	case err != nil:
		return fmt.Errorf("token key %s: create: %w", path, errors.Unwrap(err))
	}
	_, err = file.Write(key)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("token key %s: write: %w", path, err), os.Remove(path))
	}

	return nil
}
