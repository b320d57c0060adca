package probe

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pgam/pgam/internal/sample"
)

// row is one line of df: of the device only the text, of the numbers the text
// as well, because a dash stands for what is not known.
type row struct {
	device, total, used, free, mount string
}

var (
	// blocks is the header of the second column.
	blocks = regexp.MustCompile(`(?i)^(\d+)([kmg]?)b?-blocks$`)
	// numbers are the columns between two texts that may hold anything.
	numbers = regexp.MustCompile(`[ \t](\d+|-)[ \t]+(-?\d+|-)[ \t]+(-?\d+|-)[ \t]+(-?\d+%|-)[ \t]+/`)
)

// parseSpace reads what df -P printed about the file system of a path.
func parseSpace(lines []string, path string) (sample.FileSystem, bool) {
	header, r, ok := parseTable(lines, path)
	if !ok {
		return sample.FileSystem{}, false
	}
	unit, ok := parseUnit(header[1])
	if !ok {
		return sample.FileSystem{}, false
	}
	total, okTotal := parseCount(r.total, unit)
	free, okFree := parseCount(r.free, unit)
	if !okTotal || !okFree || !total.Known {
		return sample.FileSystem{}, false
	}
	return sample.FileSystem{MountPoint: printable(r.mount), Device: device(r.device), Total: total, Free: free}, true
}

// parseInodes reads what df -P -i printed; unknown where that is something
// else, as on systems whose -i adds columns.
func parseInodes(lines []string, path string) (total, free sample.Int) {
	header, r, ok := parseTable(lines, path)
	if !ok || !strings.EqualFold(header[1], "inodes") {
		return sample.Int{}, sample.Int{}
	}
	total, okTotal := parseCount(r.total, 1)
	free, okFree := parseCount(r.free, 1)
	if !okTotal || !okFree || !total.Known || total.V == 0 || !free.Known {
		return sample.Int{}, sample.Int{} // No fixed number of them.
	}
	return total, free
}

// maxRowLines is how many lines a row may be broken into: old programs break
// it after a long device name.
const maxRowLines = 3

// parseTable finds the words of the header and the first row after it that can
// be read, in as few lines as possible.
func parseTable(lines []string, path string) (header []string, r row, ok bool) {
	for i, text := range lines {
		words := strings.Fields(text)
		if len(words) < 5 || !strings.EqualFold(words[0], "Filesystem") {
			continue
		}
		rest := lines[i+1:]
		for width := 1; width <= maxRowLines; width++ {
			for from := 0; from+width <= len(rest); from++ {
				if r, ok := parseRow(strings.TrimRight(strings.Join(rest[from:from+width], " "), " \t"), path); ok && r.device != "" {
					return words, r, true
				}
			}
		}
		return nil, row{}, false
	}
	return nil, row{}, false
}

// parseUnit reads the header of the second column: 1-blocks, 1024-blocks,
// 1K-blocks.
func parseUnit(word string) (int64, bool) {
	match := blocks.FindStringSubmatch(word)
	if match == nil {
		return 0, false
	}
	unit, err := strconv.ParseInt(match[1], 10, 32)
	if err != nil || unit == 0 {
		return 0, false
	}
	shift := map[string]uint{"": 0, "k": 10, "m": 20, "g": 30}[strings.ToLower(match[2])]
	return unit << shift, true
}

// parseRow finds the numbers in a line. Devices and mount points may hold
// anything, numbers too: of several readings the one whose mount point is above
// the path is taken, else the last one, because a device's name is easier to
// choose than a mount point.
func parseRow(line, path string) (row, bool) {
	var (
		best  row
		found bool
	)
	for start := 0; ; {
		at := numbers.FindStringSubmatchIndex(line[start:])
		if at == nil {
			return best, found
		}
		for i := range at {
			at[i] += start
		}
		r := row{
			device: strings.TrimSpace(line[:at[0]]),
			total:  line[at[2]:at[3]], used: line[at[4]:at[5]], free: line[at[6]:at[7]],
			mount: line[at[1]-1:],
		}
		if !found || !above(best.mount, path) || above(r.mount, path) {
			best, found = r, true
		}
		start = at[2]
	}
}

// above reports whether a path lies in a mount point, as far as names tell.
func above(mount, path string) bool {
	return mount == path || mount == "/" || strings.HasPrefix(path, mount+"/")
}

// parseCount reads a number in units; a dash is unknown, and less than nothing
// is nothing: some systems count what is reserved for root that way.
func parseCount(text string, unit int64) (sample.Int, bool) {
	if text == "-" {
		return sample.Int{}, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return sample.Int{}, false
	}
	return sample.Int{V: max(n, 0) * unit, Known: true}, true
}

// device gives a device's name, empty for the dash of one that has none.
func device(name string) string {
	if name == "-" {
		return ""
	}
	return printable(name)
}

// printable writes what is no text as \xNN.
func printable(name string) string {
	clean := utf8.ValidString(name) && !strings.ContainsFunc(name, isControl)
	if clean {
		return name
	}
	var b strings.Builder
	for i, r := range name {
		size := utf8.RuneLen(r)
		if r == utf8.RuneError && !strings.HasPrefix(name[i:], string(utf8.RuneError)) {
			size = 1
		} else if !isControl(r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(name[i : i+size]) {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
