package local

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, dir string) *folder {
	t.Helper()
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.close() })

	return f
}

func TestOpenFolder_state(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "yet")
	f := open(t, dir)
	f.state = state{ClusterDir: "postgres", Login: "admin", LocalServer: 7}
	if err := f.save(); err != nil {
		t.Fatal(err)
	}
	want := f.state
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, dir).state; got != want {
		t.Errorf("state = %+v, want %+v", got, want)
	}
}

func TestOpenFolder_locked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir)
	if _, err := openFolder(dir); !errors.Is(err, ErrRunning) {
		t.Errorf("a second start gives %v, want ErrRunning", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestOpenFolder_unusable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"a file": file, "below a file": filepath.Join(file, "x"), "damaged state": damaged} {
		if _, err := openFolder(dir); !errors.Is(err, ErrFolder) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v, want one line that is ErrFolder", name, err)
		}
	}
	// The fault must not keep the lock.
	if err := os.Remove(filepath.Join(damaged, "state.json")); err != nil {
		t.Fatal(err)
	}
	open(t, damaged)
}

// content returns what the key files hold, by name, and checks their modes.
func content(t *testing.T, f *folder) map[string]string {
	t.Helper()
	got := map[string]string{}
	entries, err := os.ReadDir(f.path("keys"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", entry.Name(), info.Mode())
		}
		data, err := os.ReadFile(f.path("keys", entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[entry.Name()] = string(data)
	}

	return got
}

func TestOpenKeys(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir())
	f.state.ClusterDir = "postgres"
	first, err := f.openKeys()
	if err != nil {
		t.Fatal(err)
	}
	made := content(t, f)
	if len(made) != 6 {
		t.Errorf("%d key files, want 6", len(made))
	}
	second, err := f.openKeys()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, content(t, f)); diff != "" {
		t.Errorf("the second start changed keys:\n%s", diff)
	}
	if !first.superuser.Equal(second.superuser) || first.superuser.Equal(first.stats) || first.superuser.IsZero() {
		t.Error("passwords are not kept, or not different, or empty")
	}

	// Once there is a cluster, what it depends on must not be made anew.
	if err := os.Mkdir(f.path("postgres"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path("postgres", "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, lasting := range map[string]bool{
		superuserFile: true, keyringFile: true, statsFile: false, monitorFile: false, demoFile: false, tokenKeyFile: false,
	} {
		path := f.path("keys", name)
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		_, err = f.openKeys()
		if lasting != errors.Is(err, ErrFolder) {
			t.Errorf("without %s: error is %v", name, err)
		}
		if now, err := os.ReadFile(path); lasting == (err == nil) || bytes.Equal(now, kept) {
			t.Errorf("without %s: made anew: %t, want %t", name, err == nil, !lasting)
		}
		if err := os.WriteFile(path, kept, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriteTokenKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := WriteTokenKey(path); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 65 {
		t.Errorf("key has %d bytes, want 64 and a line end", len(first))
	}
	if err := WriteTokenKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second key gives %v, want fs.ErrExist", err)
	}
	if second, _ := os.ReadFile(path); !bytes.Equal(first, second) {
		t.Error("the key was replaced")
	}
	if err := WriteTokenKey(filepath.Join(path, "x")); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("an impossible path gives %v", err)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir())
	if _, _, err := Access(f.dir); !errors.Is(err, ErrFolder) {
		t.Errorf("a folder that was never up gives %v", err)
	}
	if err := replaceFile(f.path("keys", statsDSNFile), []byte("x")); err != nil {
		t.Fatal(err)
	}
	dsn, key, err := Access(f.dir)
	if err != nil || dsn != f.path("keys", "stats.dsn") || key != f.path("keys", "keyring.json") {
		t.Errorf("Access = %s, %s, %v", dsn, key, err)
	}
}

func TestPlaceCluster(t *testing.T) {
	t.Parallel()
	open755 := func(dir string) *Stack {
		t.Helper()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}

		return &Stack{folder: open(t, dir), cfg: Config{Say: t.Logf}}
	}
	made, err := os.MkdirTemp("", "pgam-place-") //nolint:usetesting // Nobody else may enter t.TempDir.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(made) })
	s := open755(made)
	if err := s.placeCluster(); err != nil || s.folder.clusterDir() != filepath.Join(made, "postgres") {
		t.Errorf("the cluster goes to %s, %v, want into the data folder", s.folder.clusterDir(), err)
	}

	if os.Geteuid() != 0 {
		t.Skip("only root runs PostgreSQL as another user")
	}
	barred := filepath.Join(t.TempDir(), "root")
	if err := os.MkdirAll(filepath.Join(barred, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s = open755(filepath.Join(barred, "data"))
	if err := s.placeCluster(); err != nil {
		t.Fatal(err)
	}
	dir := s.folder.clusterDir()
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(dir)) })
	if got := barredFolder(dir); got != "" || strings.HasPrefix(dir, barred) {
		t.Errorf("the cluster goes to %s, below %s", dir, got)
	}
	if err := s.placeCluster(); err != nil || s.folder.clusterDir() != dir {
		t.Errorf("the next start places it in %s, %v", s.folder.clusterDir(), err)
	}
}
