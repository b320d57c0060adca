package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// shownLines is how many lines of a log an error carries.
const shownLines = 6

// openLog opens the server's log for appending; a big one is put aside first.
func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("put old log aside: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600) //nolint:gosec // The path is the operator's.
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: open log: %w", ErrDataDir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}

	return file, nil
}

// readFrom returns at most 64 kB of a file from an offset on.
func readFrom(path string, offset int64) string {
	file, err := os.Open(path) //nolint:gosec // The log opened before.
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	content, _ := io.ReadAll(io.NewSectionReader(file, offset, 64<<10))

	return string(content)
}

// lastLines returns the end of an output for an error: its last lines, in one.
func lastLines(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "nothing"
	}

	return strings.Join(lines[max(0, len(lines)-shownLines):], " | ")
}
