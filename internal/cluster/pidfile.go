package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// pidFile is what a server says of itself in postmaster.pid.
type pidFile struct {
	pid       int
	port      int
	socketDir string
	ready     bool // accepts connections
}

// readPidFile reads postmaster.pid of a data folder, which a running server may
// be about to write.
func readPidFile(dir string) (pidFile, error) {
	content, err := os.ReadFile(filepath.Join(dir, "postmaster.pid")) //nolint:gosec // In our data folder.
	if err != nil {
		return pidFile{}, fmt.Errorf("read postmaster.pid: %w", err)
	}

	return parsePidFile(string(content))
}

// parsePidFile reads the lines: pid, data folder, start time, port, socket
// folder, listen address, shared memory and, the last to come, status.
func parsePidFile(content string) (pidFile, error) {
	lines := strings.Split(content, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return pidFile{}, errors.New("read postmaster.pid: its first line is no process id")
	}
	file := pidFile{pid: pid}
	if len(lines) > 4 {
		file.port, _ = strconv.Atoi(strings.TrimSpace(lines[3]))
		file.socketDir = strings.TrimSpace(lines[4])
	}
	if len(lines) > 7 {
		status := strings.TrimSpace(lines[7])
		file.ready = status == "ready" || status == "standby"
	}

	return file, nil
}

// alive tells whether a process exists.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)

	return err == nil || errors.Is(err, syscall.EPERM)
}
