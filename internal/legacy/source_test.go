package legacy

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func TestOpenSourceFaults(t *testing.T) {
	t.Parallel()
	limits := remote.Limits{Application: "pgam-test", Connect: 20 * time.Second, Statement: time.Minute, Lock: time.Second}
	empty := pgtest.EmptyDB(t)
	open := func(e target.Endpoint, layout Layout) error {
		s, err := OpenSource(t.Context(), target.Target{Name: "x", Endpoint: e}, layout, limits)
		if err == nil {
			s.Close(t.Context())
		}
		return err
	}
	for _, layout := range []Layout{June, Later} {
		if err := open(endpointOf(t, empty), layout); !errors.Is(err, ErrNoTables) {
			t.Errorf("no tables give %v", err)
		}
	}
	missing := endpointOf(t, empty)
	missing.Database = "no such database"
	if err := open(missing, June); remote.Classify(err) != sample.NoDatabase {
		t.Errorf("no database gives %v", err)
	}
	refused := endpointOf(t, empty)
	refused.Port = 1
	if err := open(refused, June); remote.Classify(err) != sample.Refused {
		t.Errorf("no server gives %v", err)
	}
	// Installations that lack what is not needed.
	pgtest.Exec(t, empty, "create table pg_statistics (id int, ts timestamptz, datname text, numbackends int, xact_commit bigint); insert into pg_statistics values (1, now() - interval '1 hour', 'a', 1, 1)")
	src := openSource(t, empty, June)
	if creations, err := src.Creations(t.Context(), ""); err != nil || creations != nil {
		t.Errorf("no db_creation gives %v, %v", creations, err)
	}
	counts, _, err := importAll(t, src, "", openStore(t, pgtest.StatsDB(t)), 1, nil)
	if err != nil || counts.Samples != 1 || counts.Sizes+counts.Disks != 0 {
		t.Errorf("a bare table gives %+v, %v", counts, err)
	}
}

// Reading that is cut leaves what was read, and says so.
func TestCopyReadFault(t *testing.T) {
	t.Parallel()
	source, dsn := pgtest.EmptyDB(t), pgtest.StatsDB(t)
	pgtest.Exec(t, source, juneTables, juneRows)
	stats := openStore(t, dsn)
	src := smallPages(openSource(t, source, June), 300)
	chunks := 0
	_, _, err := importAll(t, src, "", stats, 1, func() error {
		if chunks++; chunks == 2 {
			pgtest.Exec(t, source, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgam-test' and datname = current_database()")
		}
		return nil
	})
	var fault *ReadError
	if !errors.As(err, &fault) || remote.Classify(err) != sample.ConnectionLost {
		t.Errorf("a cut connection gives %v", err)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.database_stat"); n < 200 {
		t.Errorf("only %d rows were kept", n)
	}
}

// More rows of one instant than a page holds are still one instant's.
func TestPagesKeepInstantsWhole(t *testing.T) {
	t.Parallel()
	source := pgtest.EmptyDB(t)
	pgtest.Exec(t, source, juneTables, `insert into pg_statistics (ts, datname, numbackends)
select timestamptz '2025-01-01+00' + n / 30 * interval '10 minutes', 'd' || n, 1 from generate_series(0, 99) n`)
	src := smallPages(openSource(t, source, June), 10)
	var sizes []int
	err := src.Pages(t.Context(), "", func(page []Row) error {
		sizes = append(sizes, len(page))
		return nil
	})
	if diff := cmp.Diff([]int{30, 30, 30, 10}, sizes); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
