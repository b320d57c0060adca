package stack

import "strings"

// lastLines returns the end of an output, in one line, for an error.
func lastLines(text string) string {
	lines := nonEmpty(text)

	return strings.Join(lines[max(0, len(lines)-shownLines):], " | ")
}

// telling returns the lines of a log that say why a program ended: from a panic
// on, or else the last ones that are more than a remark, or else the last one.
func telling(text string) string {
	lines := nonEmpty(text)
	var kept []string
	for i, line := range lines {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.Join(lines[i:min(i+shownLines, len(lines))], " | ")
		}
		if !isRemark(line) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		kept = lines[max(0, len(lines)-1):]
	}

	return strings.Join(kept[max(0, len(kept)-shownLines):], " | ")
}

// isRemark tells whether a line of our programs' logs is below a warning.
func isRemark(line string) bool {
	for _, level := range []string{" level=INFO ", " level=DEBUG ", `"level":"INFO"`, `"level":"DEBUG"`} {
		if strings.Contains(line, level) {
			return true
		}
	}

	return false
}

func nonEmpty(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}

	return lines
}
