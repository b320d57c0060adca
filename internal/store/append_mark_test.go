package store

import (
	"errors"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
)

// TestAppendNoticesAnotherStatsDB: a stats_db that was restored from an older dump,
// or made anew, is given nothing before its writer knows.
func TestAppendNoticesAnotherStatsDB(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	windows := func() int { return pgtest.Value[int](t, dsn, "select count(*) from history.activity_window") }
	at := noon
	next := func() error {
		at = at.Add(15 * time.Second)
		return s.Append(t.Context(), plainWindow(server, at))
	}
	for range 3 {
		if err := next(); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]string{
		"older":      "update pgam.written set batches = batches - 1",
		"made anew":  "update pgam.written set id = 'another', batches = 0",
		"much newer": "update pgam.written set id = 'a third', batches = batches + 1000",
	} {
		pgtest.Exec(t, dsn, change)
		before := windows()
		if err := next(); !errors.Is(err, ErrReplaced) || windows() != before {
			t.Errorf("%s: %v, %d windows more", name, err, windows()-before)
		}
		for range 2 {
			if err := next(); err != nil {
				t.Errorf("%s, and noticed: %v", name, err)
			}
		}
	}

	// Another writer makes it no other one, nor does a resume that knows it already.
	other := openStoreAt(t, dsn)
	if _, err := other.Resume(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		at = at.Add(15 * time.Second)
		mustAppend(t, other, plainWindow(server, at))
	}
	if err := next(); err != nil {
		t.Error(err)
	}
	pgtest.Exec(t, dsn, "update pgam.written set batches = 0")
	if _, err := other.Resume(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	for _, writer := range []*Store{s, other} {
		if err := writer.Append(t.Context(), plainWindow(server, at)); !errors.Is(err, ErrReplaced) {
			t.Errorf("restored: %v", err)
		}
	}
}
