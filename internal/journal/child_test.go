//go:build unix

package journal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgam/pgam/internal/sample"
)

// childEnv makes this test binary another program, with a folder for the
// journal after a colon.
const childEnv = "PGAM_TEST_JOURNAL_CHILD"

func runChild(what string) int {
	name, dir, _ := strings.Cut(what, ":")
	var err error
	switch name {
	case "append":
		err = appendForever(dir)
	case "full":
		err = appendToFullDisk(dir)
	case "compact":
		err = compactOnFullDisk(dir)
	case "salvage":
		err = salvageOnFullDisk(dir)
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

func child(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+name+":"+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// appendForever says which visit is on disk, one a line.
func appendForever(dir string) error {
	s, err := Open(Config{Dir: dir, MaxBytes: plenty, Log: quiet()})
	if err != nil {
		return err
	}
	records, err := s.Next(0, plenty)
	if err != nil {
		return err
	}
	n := int64(0)
	for _, r := range records {
		for _, v := range r.Visits {
			n = max(n, v.Tick.NextXID)
		}
	}
	for {
		n++
		s.Append(numbered(n))
		if err := s.Sync(); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestKill kills a process that writes, again and again: every visit that it
// said was on disk is there, once.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	dir, said := t.TempDir(), int64(0)
	d := newDice(7)
	for round := range rounds {
		cmd := child(t, "append", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, killAt := bufio.NewScanner(out), 5+d.IntN(60)
		for n := 0; lines.Scan(); n++ {
			v, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				t.Fatalf("round %d: the child says %q", round, lines.Text())
			}
			said = v
			if n == killAt {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatalf("round %d: the child ended by itself", round)
		}
		s := mustOpen(t, dir, plenty)
		got, _ := numbers(t, s, 0, plenty)
		mustClose(t, s)
		if int64(len(got)) < said {
			t.Fatalf("round %d: %d visits are there, %d were on disk", round, len(got), said)
		}
		for i, visits := range got {
			if len(visits) != 1 || visits[0] != int64(i)+1 {
				t.Fatalf("round %d: record %d has the visits %v", round, i, visits)
			}
		}
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "*.damaged-*")); len(kept) > 0 {
		t.Errorf("set aside: %v", kept)
	}
}

// limitFiles makes files longer than n bytes impossible, like a full disk.
func limitFiles(n uint64) error {
	signal.Ignore(unix.SIGXFSZ)
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &lim); err != nil {
		return err
	}
	lim.Cur = min(n, lim.Max)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &lim)
}

// expect compares the numbers of the visits in records.
func expect(records []sample.Record, want string) error {
	var got []string
	for _, r := range records {
		for _, v := range r.Visits {
			got = append(got, strconv.FormatInt(v.Tick.NextXID, 10))
		}
	}
	if s := strings.Join(got, " "); s != want {
		return fmt.Errorf("visits %s wait, want %s", s, want)
	}
	return nil
}

func appendToFullDisk(dir string) error {
	s, err := Open(Config{Dir: dir, MaxBytes: plenty, Log: quiet()})
	if err != nil {
		return err
	}
	s.Append(numbered(0))
	if err := s.Sync(); err != nil {
		return err
	}
	if err := limitFiles(1); err != nil {
		return err
	}
	for n := int64(1); n <= 5; n++ {
		s.Append(numbered(n))
		if err := s.Sync(); err == nil {
			return fmt.Errorf("sync %d went well on a full disk", n)
		}
	}
	if st := s.Stats(); !st.Failing || st.MemoryBytes == 0 || st.Records != 6 {
		return fmt.Errorf("while the disk is full: %+v", st)
	}
	s.Done(1, 3) // one on disk, one in memory
	_ = s.Sync()
	records, err := s.Next(0, plenty)
	if err != nil {
		return err
	}
	if err := expect(records, "1 3 4 5"); err != nil {
		return err
	}
	if err := limitFiles(1 << 40); err != nil {
		return err
	}
	if err := s.Sync(); err != nil {
		return fmt.Errorf("the disk has room again: %w", err)
	}
	if st := s.Stats(); st.Failing || st.MemoryBytes != 0 || st.Records != 4 {
		return fmt.Errorf("after the disk had room again: %+v", st)
	}
	return s.Close()
}

// TestFullDisk has visits wait in memory while the disk takes none, where
// they can be read, and go to disk afterwards.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := child(t, "full", dir).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := openHere(t, dir, plenty)
	wantNumbers(t, s, []int64{1}, []int64{3}, []int64{4}, []int64{5})
}

func compactOnFullDisk(dir string) error {
	if err := limitFiles(4096); err != nil {
		return err
	}
	s, err := Open(Config{Dir: dir, MaxBytes: plenty, Log: quiet()})
	if err != nil {
		return err
	}
	records, err := s.Next(0, plenty)
	if err != nil {
		return err
	}
	if err := limitFiles(1 << 40); err != nil {
		return err
	}
	return errors.Join(expect(records, "0 1"), s.Close())
}

func salvageOnFullDisk(dir string) error {
	if err := limitFiles(128 << 10); err != nil {
		return err
	}
	s, err := Open(Config{Dir: dir, MaxBytes: plenty, Log: quiet()})
	if err != nil {
		return err
	}
	return errors.Join(expect(nil, ""), s.Close())
}

// TestCompactionOnFullDisk says that a copy that did not get whole never takes
// the place of the journal.
func TestCompactionOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outage(t, dir)
	begun := time.Now()
	out, err := child(t, "compact", dir).Output()
	if err != nil {
		t.Fatalf("%v after %s: %s", err, time.Since(begun), out)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "journal*")); len(left) != 1 {
		t.Errorf("left in the folder: %v", left)
	}
	s := openHere(t, dir, plenty)
	wantNumbers(t, s, []int64{0}, []int64{1})
}
