package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

func newReader(t *testing.T, timeout time.Duration) *DiskReader {
	t.Helper()
	shells, err := remote.NewShells(remote.ShellsConfig{Timeout: timeout, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shells.Close)
	return NewDiskReader(shells)
}

func overSSH(shell target.Shell) target.Target {
	w := target.Target{ID: 7, Name: "db1", Shell: shell}
	w.Endpoint.Host = "db1.example"
	w.Defaults()
	return w
}

// uses makes locations of paths, with the uses u0, u1 and so on.
func uses(paths ...string) []sample.Location {
	locations := make([]sample.Location, len(paths))
	for i, path := range paths {
		locations[i] = sample.Location{Use: fmt.Sprintf("u%d", i), Path: path}
	}
	return locations
}

// shellWith runs sh -s with noise around it and with variables.
func shellWith(before, after string, variables ...string) sshtest.Command {
	return func(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) int {
		for _, w := range []io.Writer{stdout, stderr} {
			_, _ = io.WriteString(w, before)
		}
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
		cmd.Env = append(os.Environ(), variables...)
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		for _, w := range []io.Writer{stdout, stderr} {
			_, _ = io.WriteString(w, after)
		}
		if err != nil {
			return 1
		}
		return 0
	}
}

// same compares file systems but for what changes while a test runs.
func same(a, b []sample.FileSystem) string {
	return cmp.Diff(a, b, cmp.Comparer(func(x, y sample.Int) bool {
		return x.Known == y.Known && max(x.V, y.V)-min(x.V, y.V) <= max(x.V, y.V)/5
	}))
}

// rootIsMounted reports whether the table of mounts has the root, which it has
// not in a chroot. df then names any other mount of the same device.
func rootIsMounted() bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == "/" {
			return true
		}
	}
	return false
}

// Over SSH the same is seen as on the machine itself.
func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	locations := []sample.Location{
		{Use: "wal", Path: dir},
		{Use: "data", Path: "/"},
		{Use: "tablespace:a", Path: "/usr"},
		{Use: "data", Path: "/"},
		{Use: "tablespace:shm", Path: "/dev/shm"},
		{Use: "tablespace:gone", Path: dir + "/gone"},
		{Use: "tablespace:relative", Path: "pg_tblspc/1"},
		{Use: "tablespace:break", Path: "/a\nb"},
		{Use: "tablespace:nul", Path: "/a\x00b"},
		{Use: "tablespace:empty"},
	}
	fake := fakeDF(t, `if [ "$LC_ALL" = C ]; then exec "$real" "$@"; fi; echo 'Файловая система'; echo "/dev/sda 1 1 1 1% /"`)
	noise := "Filesystem 1-blocks Used Available Capacity Mounted on\n/dev/fake 1 1 1 1% /fake\npgam-X look 0\r\n\x1b[31mbanner"
	inProcess := func(opts ...sshtest.Option) func(*testing.T) target.Shell {
		return func(t *testing.T) target.Shell {
			t.Helper()
			return sshtest.InProcess(t, opts...).Shell()
		}
	}
	for name, host := range map[string]func(*testing.T) target.Shell{
		"plain":        inProcess(),
		"noise":        inProcess(sshtest.WithCommand(shellWith(noise, noise))),
		"other locale": inProcess(sshtest.WithCommand(shellWith("", "", "LANG=ru_RU.UTF-8", "LC_ALL=ru_RU.UTF-8", "LANGUAGE=ru", fake))),
		"other units":  inProcess(sshtest.WithEnvironment("BLOCKSIZE=1M", "DF_BLOCK_SIZE=1G", "POSIXLY_CORRECT=1")),
		"old df": inProcess(sshtest.WithEnvironment(
			fakeDF(t, `case " $* " in *" -B1 "* | *" -i "*) echo "df: unknown option" >&2; exit 1 ;; esac; exec "$real" "$@"`))),
		"BusyBox": func(t *testing.T) target.Shell {
			t.Helper()
			path, err := exec.LookPath("busybox")
			if err != nil {
				t.Skip("needs busybox")
			}
			bin := t.TempDir()
			for _, applet := range []string{"sh", "df", "timeout", "true", "ls"} {
				if err := os.Symlink(path, filepath.Join(bin, applet)); err != nil {
					t.Fatal(err)
				}
			}
			return sshtest.InProcess(t, sshtest.WithEnvironment("PATH="+bin+":/usr/bin:/bin")).Shell()
		},
		"OpenSSH": func(t *testing.T) target.Shell {
			t.Helper()
			return sshtest.Start(t, sshtest.WithEnvironment("LANG=ru_RU.UTF-8 LC_ALL=ru_RU.UTF-8")).Shell()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReader(t, time.Minute)
			w := overSSH(host(t))
			got, err := r.Read(t.Context(), w, locations)
			if err != nil {
				t.Fatalf("%v (%s)", err, remote.Describe(err))
			}
			w.DiskSource = target.DiskLocal
			want, err := r.Read(t.Context(), w, locations)
			if err != nil {
				t.Fatal(err)
			}
			if name == "old df" {
				for i := range want.FileSystems {
					want.FileSystems[i].Inodes, want.FileSystems[i].InodesFree = sample.Int{}, sample.Int{}
				}
			}
			for _, missing := range [][]sample.MissingLocation{want.Missing, got.Missing} {
				for i := range missing {
					missing[i].Detail = "" // as the system puts it, and as df does
				}
			}
			if !rootIsMounted() {
				if a, ok := got.Of("data"); !ok || !a.Total.Known {
					t.Errorf("of data: %+v", a)
				}
				return
			}
			if diff := same(want.FileSystems, got.FileSystems); diff != "" {
				t.Errorf("file systems (-local +ssh)\n%s", diff)
			}
			if diff := cmp.Diff(want.Missing, got.Missing); diff != "" || len(got.Missing) != 5 {
				t.Errorf("missing %+v (-local +ssh)\n%s", got.Missing, diff)
			}
			if online := processors(t); got.CPUs != online || want.CPUs <= 0 || want.CPUs > online {
				t.Errorf("%d processors over SSH, %d here, want %d, or those that are left to us", got.CPUs, want.CPUs, online)
			}
			if got.Source != target.DiskSSH || want.Source != target.DiskLocal || got.At.Location() != time.UTC || got.Duration <= 0 {
				t.Errorf("%+v", got)
			}
			if root, ok := got.Of("data"); !ok || root.MountPoint != "/" || !slices.IsSorted(root.Uses) || root.Total.V < root.Free.V {
				t.Errorf("of data: %+v", root)
			}
		})
	}
}

// processors are those that this machine has online.
func processors(t *testing.T) int32 {
	t.Helper()
	out, err := exec.Command("getconf", "_NPROCESSORS_ONLN").Output()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return int32(n)
}

// A host that does not tell its processors, or nonsense, has none that are known.
func TestReadProcessors(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]int32{
		"word cpus 8": 8, "word cpus 65536": 65536, "word cpus 8\nword cpus": 8, "word cpus": 0, "word cpus ": 0, "word cpus 0": 0, "word cpus -1": 0,
		"word cpus 65537": 0, "word cpus 99999999999999999999": 0, "word cpus eight": 0, "other cpus 8": 0,
	} {
		if got, complete := read("word", []byte("\n"+said+"\nword end\n"), nil, nil); got != want || !complete {
			t.Errorf("%q: %d, %v, want %d", said, got, complete, want)
		}
	}
}

// fakeDF puts a df before the real one, which it finds in $real. It returns
// the setting of PATH.
func fakeDF(t *testing.T, body string) string {
	t.Helper()
	df, err := exec.LookPath("df")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "df"), []byte("#!/bin/sh\nreal="+df+"\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return "PATH=" + dir + ":/usr/bin:/bin"
}

// One dead file system does not cost the others.
func TestReadHangs(t *testing.T) {
	t.Parallel()
	hangs := `case "$*" in *hung*) exec sleep 600 ;; esac; exec "$real" "$@"`
	want := []sample.MissingLocation{
		{Location: sample.Location{Use: "u1", Path: "/hung"}, Reason: sample.Timeout},
		{Location: sample.Location{Use: "u2", Path: "/hung/too"}, Reason: sample.Timeout},
	}
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		host := sshtest.InProcess(t, sshtest.WithEnvironment(fakeDF(t, hangs)))
		got, err := newReader(t, time.Minute).Read(t.Context(), overSSH(host.Shell()), uses("/", "/hung", "/hung/too", "/usr"))
		if err != nil {
			t.Fatal(err)
		}
		root, ok := got.Of("u3")
		if diff := cmp.Diff(want, got.Missing); diff != "" || !ok || rootIsMounted() && !slices.Contains(root.Uses, "u0") {
			t.Errorf("%+v\n%s", got, diff)
		}
	})
	t.Run("no timeout", func(t *testing.T) {
		t.Parallel()
		path := fakeDF(t, hangs)
		dir := strings.TrimSuffix(strings.TrimPrefix(path, "PATH="), ":/usr/bin:/bin")
		if err := os.WriteFile(filepath.Join(dir, "timeout"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		host := sshtest.InProcess(t, sshtest.WithCommand(shellWith("", "", path)))
		reader := newReader(t, 2*time.Second)
		got, err := reader.Read(t.Context(), overSSH(host.Shell()), uses("/", "/hung", "/hung/too"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Missing); diff != "" || len(got.FileSystems) != 1 {
			t.Errorf("%+v\n%s", got, diff)
		}
		_, err = reader.Read(t.Context(), overSSH(host.Shell()), uses("/hung"))
		if remote.Classify(err) != sample.Timeout {
			t.Errorf("error %v", err)
		}
	})
}

// A private data folder hides what is in it, and itself is seen.
func TestReadPrivate(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	base, err := os.MkdirTemp("", "pgam-disk-") //nolint:usetesting // A test's own is closed to others.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	data := filepath.Join(base, "data")
	if err := errors.Join(os.Chmod(base, 0o755), os.MkdirAll(filepath.Join(data, "pg_wal"), 0o700), os.Chmod(data, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"/bin/sh", "busybox"} {
		program, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		host := sshtest.InProcess(t, sshtest.WithCommand(func(ctx context.Context, _ string, stdin io.Reader, stdout, stderr io.Writer) int {
			cmd := exec.CommandContext(ctx, program, "-s")
			if shell == "busybox" {
				cmd.Args = []string{"sh", "-s"}
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = stdin, stdout, stderr, "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			if cmd.Run() != nil {
				return 1
			}
			return 0
		}))
		got, err := newReader(t, time.Minute).Read(t.Context(), overSSH(host.Shell()),
			[]sample.Location{{Use: "data", Path: data}, {Use: "wal", Path: data + "/pg_wal"}})
		want := []sample.MissingLocation{{Location: sample.Location{Use: "wal", Path: data + "/pg_wal"}, Reason: sample.NoPrivilege}}
		for i := range got.Missing {
			if !strings.Contains(got.Missing[i].Detail, "denied") {
				t.Errorf("%s says %q", shell, got.Missing[i].Detail)
			}
			got.Missing[i].Detail = ""
		}
		if _, ok := got.Of("data"); err != nil || !ok || !cmp.Equal(got.Missing, want) {
			t.Errorf("%s: %+v, %v", shell, got, err)
		}
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	silent := sshtest.InProcess(t, sshtest.WithCommand(func(_ context.Context, _ string, _ io.Reader, stdout, _ io.Writer) int {
		_, _ = io.WriteString(stdout, "This account is not available.\n")
		return 1
	}))
	chatty := sshtest.InProcess(t, sshtest.WithCommand(func(context.Context, string, io.Reader, io.Writer, io.Writer) int { return 0 }))
	unknown := overSSH(chatty.Shell())
	unknown.Shell.HostKey = ""
	none := overSSH(chatty.Shell())
	none.DiskSource = target.DiskNone
	r := newReader(t, time.Minute)
	for name, c := range map[string]struct {
		reader *DiskReader
		t      target.Target
		reason sample.Reason
		text   string
	}{
		"no shell": {
			r, overSSH(silent.Shell()), sample.Malformed,
			"the host does not answer as a POSIX shell does: may the user run sh there?: the host says: This account is not available.",
		},
		"no answer": {newReader(t, time.Minute), overSSH(chatty.Shell()), sample.Malformed, "the host does not answer as a POSIX shell does: may the user run sh there?"},
		"unknown": {
			newReader(t, time.Minute), unknown, sample.HostKeyUnknown, "",
		},
		"none":      {r, none, sample.Other, ""},
		"no Shells": {NewDiskReader(nil), overSSH(chatty.Shell()), sample.Other, ""},
	} {
		got, err := c.reader.Read(t.Context(), c.t, uses("/", "relative"))
		if err == nil || remote.Classify(err) != c.reason {
			t.Errorf("%s: error %v", name, err)
		}
		if c.text != "" && remote.Describe(err) != c.text {
			t.Errorf("%s: described as %q", name, remote.Describe(err))
		}
		want := []sample.MissingLocation{
			{Location: sample.Location{Use: "u0", Path: "/"}, Reason: c.reason},
			{Location: sample.Location{Use: "u1", Path: "relative"}, Reason: sample.Malformed},
		}
		if diff := cmp.Diff(want, got.Missing); diff != "" {
			t.Errorf("%s: missing (-want +got)\n%s", name, diff)
		}
	}
	// Nothing to look at reaches nobody.
	got, err := NewDiskReader(nil).Read(t.Context(), overSSH(target.Shell{}), nil)
	if diff := cmp.Diff(sample.Disks{Source: target.DiskNone}, got, cmpopts.IgnoreFields(sample.Disks{}, "At", "Duration")); err == nil && diff != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// hostilePaths gives paths that a careless program would run, expand or break.
func hostilePaths(n int, canary string) []string {
	words := []string{
		"$(touch " + canary + ")", "`touch " + canary + "`", "'; touch " + canary + "; '", "\"; touch " + canary + "; \"", "' && touch " + canary + " #",
		"${IFS}", "$HOME", "~", "*", "?", "[a-z]", "{a,b}", "\\", "\\\\", "'", "''", "'\\''", "\"", "`", "$", "$$", "$'\\n'", "\\n", "!", "!!", "#", " ", "  ", " #x",
		"|", "||", "&", "&&", ";", ";;", "<", ">", ">>", "<<EOF", "(", ")", "$((1+1))", "%s", "%n", "-", "--", "-rf", "=", ":", ",", ".", "..", "/", "//",
		"pgam_word", "$pgam_word", "$1", "$2", "\"$2\"", "done", "esac", "}", "{", "a", "Ю", "é", "\u2028", "\u00a0", "\xff", "\xfe'", "\x81'", "\x95\\", "\xe0\x80", "\x80", "\x85",
	}
	random := rand.New(rand.NewPCG(1, 2))
	paths := make([]string, 0, n)
	for _, word := range words {
		paths = append(paths, "/"+word)
	}
	for len(paths) < n {
		var b strings.Builder
		b.WriteByte('/')
		for range 1 + random.IntN(8) {
			if random.IntN(4) > 0 {
				b.WriteString(words[random.IntN(len(words))])
				continue
			}
			c := byte(random.IntN(256))
			if !isControl(rune(c)) {
				b.WriteByte(c)
			}
		}
		paths = append(paths, b.String())
	}
	return paths
}

// Ten thousand hostile paths arrive at df byte for byte, and nothing else
// happens.
func TestHostilePaths(t *testing.T) {
	t.Parallel()
	// In the place of df stands what writes down its arguments.
	const spy = `command() {
	case $1 in -v) return 1 ;; esac
	printf '%s\0' "$#" "$@" >>"$PGAM_TEST_LOG"
}
`
	canary := filepath.Join(t.TempDir(), "canary")
	all := hostilePaths(10_000, canary)
	for _, args := range [][]string{{"sh", "-s"}, {"bash", "--posix", "-s"}, {"busybox", "sh", "-s"}, {"ksh", "-s"}, {"zsh", "--emulate", "sh", "-s"}} {
		if _, err := exec.LookPath(args[0]); err != nil {
			continue
		}
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			paths := all
			if args[0] != "sh" {
				paths = all[:2000] // The others take longer, and are not on every machine.
			}
			var want []string
			for _, path := range paths {
				want = append(want, "5", "df", "-P", "-B1", "--", path, "5", "df", "-P", "-i", "--", path)
			}
			log := filepath.Join(t.TempDir(), "log")
			for batch := range slices.Chunk(paths, 1000) {
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Dir = t.TempDir()
				cmd.Env = append(os.Environ(), "PGAM_TEST_LOG="+log, "LANG=ja_JP.SJIS", "LC_ALL=zh_CN.GBK")
				cmd.Stdin = strings.NewReader(spy + script("word", batch))
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v\n%s", err, stderr.Bytes())
				}
				if _, complete := read("word", out, batch, map[string]look{}); !complete {
					t.Error("the script did not come to its end")
				}
				if left, err := os.ReadDir(cmd.Dir); err != nil || len(left) > 0 {
					t.Errorf("left behind: %v, %v", left, err)
				}
			}
			content, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
			if len(got) != len(want) {
				t.Errorf("%d arguments arrived, want %d", len(got), len(want))
			}
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("argument %d arrived as %q, want %q", i, got[i], want[i])
				}
			}
			if _, err := os.Stat(canary); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something was run: %v", err)
			}
		})
	}
}

// Hostile folders that exist are looked at through a real sshd.
func TestHostileFolders(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	canary := filepath.Join(base, "canary")
	var locations []sample.Location
	for _, path := range hostilePaths(300, "canary") {
		name := strings.ReplaceAll(path[1:], "/", "_")
		if name == "" || name == "." || name == ".." || len(name) > 255 {
			continue
		}
		full := filepath.Join(base, "folders") + "/" + name
		if err := os.MkdirAll(full, 0o755); err != nil {
			t.Fatal(err)
		}
		locations = append(locations, sample.Location{Use: "tablespace:" + name, Path: full})
	}
	host := sshtest.Start(t)
	got, err := newReader(t, 5*time.Minute).Read(t.Context(), overSSH(host.Shell()), locations)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Missing) > 0 || len(got.FileSystems) != 1 || len(got.FileSystems[0].Uses) < 200 {
		t.Errorf("missing %+v of %d, %d file systems", got.Missing, len(locations), len(got.FileSystems))
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{canary, filepath.Join(home, "canary"), "/canary"} {
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("something was run: %s: %v", file, err)
		}
	}
}
