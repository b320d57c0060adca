package history

import (
	"flag"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/schema"
)

// answersTest is the name under which tests run on other versions.
const answersTest = "TestConformanceAnswers"

// elsewhere are the servers of other versions, by version, while tests run on
// them.
var elsewhere sync.Map

// TestConformanceAnswers asks the questions about the past, each by its own
// test, of a stats_db of every version that was asked for.
func TestConformanceAnswers(t *testing.T) {
	t.Parallel()
	local, everything := pgtest.Local(t).Major, flag.Lookup("test.run").Value.String() == ""
	for _, version := range pgtest.StatsVersions(t) {
		if everything && version == local {
			continue // all of these run on it anyway
		}
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithTrust(), pgtest.WithVersion(version), pgtest.WithSettings(map[string]string{"max_connections": "200"}))
			elsewhere.Store(version, &versionServer{Server: server})
			for name, test := range map[string]func(*testing.T){
				"at": TestAt, "at blocking": TestAtBlocking, "blockers": TestBlockers, "blocking": TestBlockingOverIsTrue, "session": TestSessionOverIsTrue, "incident": TestIncident, "fleet": TestFleet,
				"fleet activity": TestFleetActivity, "coverage": TestCoverageJudges, "what is kept": TestCoverageOutlivesTicks,
				"partitions": TestPartitionsAreLeftOut, "while compacting": TestAnswersWhileCompacting, "tails": TestTailsAreTrue,
				"events": TestEvents, "rates": TestDatabaseRates, "sizes": TestDatabaseSizes, "timeline": TestServerTimelineRaw, "disks": TestDisksNow,
			} {
				t.Run(name, test)
			}
		})
	}
}

// versionServer is a server with databases for tests.
type versionServer struct {
	*pgtest.Server

	count atomic.Int32
}

// statsDB gives the DSN of a test's own stats_db: on the server of the version
// that the test runs for under TestConformanceAnswers, else on the shared one.
func statsDB(t *testing.T) string {
	t.Helper()
	under, found := strings.CutPrefix(t.Name(), answersTest+"/")
	if !found {
		return pgtest.StatsDB(t)
	}
	version, _, _ := strings.Cut(under, "/")
	kept, _ := elsewhere.Load(version)
	server, ok := kept.(*versionServer)
	if !ok {
		t.Fatalf("no server of version %q", version)
	}
	name := "stats_" + strconv.Itoa(int(server.count.Add(1)))
	server.Exec(t, "create database "+name)
	dsn := server.DatabaseDSN(pgtest.Superuser, name)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := schema.Up(t.Context(), conn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return dsn
}
