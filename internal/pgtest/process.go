package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// processes returns the ids of the server's processes, the first one first.
func (s *Server) processes(tb testing.TB) []int {
	tb.Helper()
	first := s.cluster.Pid()
	if first == 0 {
		tb.Fatal("the server does not run")
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		tb.Skip("needs /proc to find the processes of a server")
	}
	all := []int{first}
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // The process has ended.
		}
		if pid, parent, ok := parseStat(content); ok && parent == first {
			all = append(all, pid)
		}
	}

	return all
}

// parseStat reads a line "pid (name) state parent …"; the name may hold
// anything.
func parseStat(line []byte) (pid, parent int, ok bool) {
	start, end := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ')')
	if start < 0 || end < start {
		return 0, 0, false
	}
	fields := bytes.Fields(line[end+1:])
	if len(fields) < 2 {
		return 0, 0, false
	}
	pid, errPid := strconv.Atoi(string(line[:start]))
	parent, errParent := strconv.Atoi(string(fields[1]))

	return pid, parent, errPid == nil && errParent == nil
}

// signal sends a signal to processes, of which some may have ended.
func signal(sig syscall.Signal, pids []int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("send %s to process %d: %w", sig, pid, err)
		}
	}

	return nil
}
