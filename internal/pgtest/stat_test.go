package pgtest

import (
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pid, parent int
		ok          bool
	}{
		"12 (postgres) S 7 12 12 0":     {12, 7, true},
		"12 (a ) S 9 (b) R 7 12 12 0\n": {12, 7, true},
		"":                              {},
		"12 (x":                         {},
		"12 (x) S":                      {},
	}
	for line, want := range tests {
		pid, parent, ok := parseStat([]byte(line))
		if ok != want.ok || ok && (pid != want.pid || parent != want.parent) {
			t.Errorf("parseStat(%q) = %d, %d, %v, want %+v", line, pid, parent, ok, want)
		}
	}
}

func TestDatabaseName(t *testing.T) {
	t.Parallel()
	for test, want := range map[string]string{
		"TestX/ä b":                           "t7_testx___b",
		"TestY/" + strings.Repeat("long", 50): "t7_testy_" + strings.Repeat("long", 11),
	} {
		if got := databaseName(test, 7); got != want || len(got) > 63 {
			t.Errorf("databaseName(%q) = %q, want %q", test, got, want)
		}
	}
}
