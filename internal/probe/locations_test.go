package probe_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/sample"
)

// testLocations: the server tells where its data are, as far as the role may
// know, and a locked pg_tablespace costs nothing but this question.
func testLocations(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	setup := session(t, server, "postgres", "setup")
	var data string
	if err := setup.QueryRow(t.Context(), "show data_directory").Scan(&data); err != nil {
		t.Fatal(err)
	}
	wal := data + "/pg_wal"
	if b.conn.Version() < 100000 {
		wal = data + "/pg_xlog"
	}
	want := []sample.Location{{Use: "data", Path: data}, {Use: "wal", Path: wal}}
	ask := sample.Ask{Inventory: true, Locations: true}
	if diff := cmp.Diff(want, b.must(t, ask).Locations); diff != "" {
		t.Errorf("without tablespaces (-want +got):\n%s", diff)
	}
	odd := data + `/a "place"; №1 $(x)`
	exec(t, setup, "copy (select) to program 'cat >/dev/null; mkdir ''"+odd+"'''")
	exec(t, setup, `create tablespace "od""d Ёж" location '`+odd+"'")
	want = append(want, sample.Location{Use: `tablespace:od"d Ёж`, Path: odd})
	// Known to some minor versions only, as a setting for developers.
	if _, err := setup.Exec(t.Context(), "set allow_in_place_tablespaces = on"); err == nil {
		exec(t, setup, "create tablespace inside location ''")
		place := data + "/pg_tblspc/" + pgtest.Value[string](t, server.SuperuserDSN(), "select oid::text from pg_tablespace where spcname = 'inside'")
		want = append(want, sample.Location{Use: "tablespace:inside", Path: place})
	}
	if diff := cmp.Diff(want, b.must(t, ask).Locations); diff != "" {
		t.Errorf("with tablespaces (-want +got):\n%s", diff)
	}
	if v := b.must(t, sample.Ask{Inventory: true}); v.Locations != nil {
		t.Errorf("not asked: %v", v.Locations)
	}

	exec(t, setup, "create role beggar login password '"+pgtest.Password+"'")
	poor := newBench(t, server, "beggar")
	v, err := poor.visit(t, ask)
	if err != nil || v.Tick.Outcome != sample.Degraded || v.Tick.Reason != sample.NoPrivilege {
		t.Errorf("without privilege: outcome %s, reason %s: %v", v.Tick.Outcome, v.Tick.Reason, err)
	}
	if diff := cmp.Diff(want[2:3], v.Locations); diff != "" {
		t.Errorf("without privilege (-want +got):\n%s", diff)
	}

	locker := session(t, server, "postgres", "locker")
	exec(t, locker, "begin; lock table pg_tablespace in access exclusive mode")
	v, err = b.visit(t, ask)
	if v.Tick.Outcome != sample.Degraded || v.Tick.Reason != sample.LockTimeout || v.Locations != nil || v.Inventory == nil || !b.conn.Alive() {
		t.Errorf("locked pg_tablespace: outcome %s, reason %s, locations %v, inventory %v: %v", v.Tick.Outcome, v.Tick.Reason, v.Locations, v.Inventory, err)
	}
	exec(t, locker, "rollback")
	b.must(t, ask)
	exec(t, setup, `drop tablespace "od""d Ёж"`)
}

func TestLocationPath(t *testing.T) {
	t.Parallel()
	for told, want := range map[string]string{
		"/srv/pg":                          "/srv/pg",
		"/srv/two\nlines":                  "/srv/two\nlines",
		"pg_tblspc/16384":                  "/data/pg_tblspc/16384",
		"":                                 "",
		"relative":                         "",
		`C:\data`:                          "",
		"/caf\xe9":                         "",
		"/nul\x00":                         "",
		"/" + strings.Repeat("x", 1<<12):   "",
		"/" + strings.Repeat("x", 1<<12-1): "/" + strings.Repeat("x", 1<<12-1),
	} {
		if got := probe.LocationPath(told, "/data"); got != want {
			t.Errorf("%.40q becomes %.40q, want %.40q", told, got, want)
		}
	}
	if got := probe.LocationPath("pg_tblspc/16384", ""); got != "" {
		t.Errorf("a folder inside a data directory that is not known becomes %q", got)
	}
}
