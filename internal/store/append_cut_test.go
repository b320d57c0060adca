package store

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
)

// TestAppendLostReplies loses the connection around the commit, often before
// and often after it: what is retried until it succeeds is there once.
func TestAppendLostReplies(t *testing.T) {
	t.Parallel()
	direct, dsn := openStore(t)
	server := newServer(t, direct, "db1")
	through, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(through.Port())
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultnet.NewMessageProxy(t, through.Hostname(), port, nil)
	through.Host = proxy.Address()
	s := openStoreAt(t, through.String())
	partitionsAround(t, direct, noon)
	if err := s.mark.learn(t.Context(), s.pool); err != nil { // no batch
		t.Fatal(err)
	}

	const batches = 60
	lost := 0
	for i := range batches {
		at := noon.Add(time.Duration(i) * 15 * time.Second)
		b := plainWindow(server, at)
		b.Visits[0].Databases = []sample.DatabaseStat{distinctStat(at)}
		proxy.Set([]faultnet.Fault{faultnet.LoseReply, faultnet.LoseCommit, faultnet.LoseReply, faultnet.Pass}[i%4])
		for try := 0; ; try++ {
			err := s.Append(t.Context(), b)
			if err == nil {
				break
			}
			if !errors.Is(err, statsdb.ErrUnavailable) || try > 3 {
				t.Fatalf("batch %d, try %d: %v", i, try, err)
			}
			lost++
		}
	}
	if lost != 45 {
		t.Fatalf("%d errors, want one a loss: 15 before the commit, 30 after it", lost)
	}
	for table, want := range map[string]int{"activity_window": batches, "database_stat": batches, "session": 2, "activity_minute": batches / 4} {
		if n := pgtest.Value[int](t, dsn, "select count(*) from history."+table); n != want {
			t.Errorf("%d rows in %s, want %d", n, table, want)
		}
	}
	var want []string
	for m := range batches / 4 {
		want = append(want, fmt.Sprintf("%d 12:%02d: 60 planned, 52/4/4/0, 76 samples, cpu 56, lock 20, max 2 of 7", server, m))
	}
	if diff := cmp.Diff(want, strings.Split(minutes(t, dsn), "\n")); diff != "" {
		t.Errorf("minutes (-want +got):\n%s", diff)
	}
}
