package sshtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// processAttributes has the server end with the test binary.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// inNamespace gives the server a view of the mounted file systems of its own.
func inNamespace(attr *syscall.SysProcAttr) { attr.Unshareflags = syscall.CLONE_NEWNS }

// descendants returns the processes that a process and its own have made.
func descendants(first int) []int {
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // The process has ended.
		}
		// A line "pid (name) state parent …"; the name may hold anything.
		start, end := bytes.IndexByte(content, ' '), bytes.LastIndexByte(content, ')')
		if start < 0 || end < start {
			continue
		}
		fields := bytes.Fields(content[end+1:])
		if len(fields) < 2 {
			continue
		}
		pid, errPid := strconv.Atoi(string(content[:start]))
		parent, errParent := strconv.Atoi(string(fields[1]))
		if errPid == nil && errParent == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	var all []int
	for next := []int{first}; len(next) > 0; next = next[1:] {
		all = append(all, children[next[0]]...)
		next = append(next, children[next[0]]...)
	}

	return all
}
