package ingest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/sample"
)

func TestResumeOfNothing(t *testing.T) {
	t.Parallel()
	w, _ := openEmpty(t)
	got, err := w.Resume(t.Context(), 77)
	if diff := cmp.Diff(sample.Resume{}, got, cmpopts.IgnoreUnexported(sample.Memory{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	w, _ := openEmpty(t)
	micro := time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Hour).Add(1001 * time.Microsecond)
	// Another server's are its own.
	mustAppend(t, w, 2, &sample.Visit{
		Identity:  &sample.Identity{At: micro.Add(time.Hour), PostmasterStart: micro},
		Inventory: &sample.Inventory{At: micro.Add(time.Hour), Databases: []sample.Database{dbNamed(1, "x")}},
		Settings:  &sample.Settings{At: micro, Set: []sample.Setting{{Name: "fsync", Value: "off"}}},
	})
	old := sample.Identity{At: micro.Add(-time.Hour), VersionNum: 140001, Version: "14.1", SystemIdentifier: 5, TimelineID: 1, PostmasterStart: micro.Add(-48 * time.Hour)}
	identity := sample.Identity{
		At: micro, VersionNum: 150018, Version: "15.18", SystemIdentifier: -5, TimelineID: 2, PostmasterStart: micro.Add(-24 * time.Hour), InRecovery: true,
		CheckpointerStart: micro.Add(-23 * time.Hour),
	}
	counting := sample.DatabaseStat{Planned: micro.Add(time.Second), At: micro.Add(time.Second), OID: 5, StatsReset: micro.UnixMicro() - 77, Instance: identity.Instance()}
	counting.Counters[sample.XactCommit] = number(9)
	mustAppend(t, w, 1,
		&sample.Visit{Identity: &old, Inventory: &sample.Inventory{At: micro.Add(-time.Minute), Databases: []sample.Database{dbNamed(5, "a"), dbNamed(6, "gone")}}},
		&sample.Visit{Identity: &identity, Databases: []sample.DatabaseStat{counting}, Inventory: &sample.Inventory{At: micro.Add(3 * time.Second), Databases: []sample.Database{dbNamed(5, "a")}}},
		&sample.Visit{Settings: &sample.Settings{At: micro, Set: []sample.Setting{{Name: "fsync", Value: "on"}}}},
		&sample.Visit{Sizes: []sample.DatabaseSize{{At: micro, OID: 5}, {At: micro.Add(time.Second), OID: 6, Reason: sample.Timeout}}},
	)
	got, err := w.Resume(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := sample.Resume{
		Identity: &identity, Listed: micro.Add(3 * time.Second), Sized: micro.Add(time.Second),
		Memory: sample.Memory{Identity: &identity, Names: map[uint32]string{5: "a"}, Settings: map[string]string{"fsync": "on"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(sample.Memory{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, at := range []time.Time{got.Identity.At, got.Identity.PostmasterStart, got.Listed, got.Sized} {
		if at.Location() != time.UTC {
			t.Errorf("%s is not in UTC", at)
		}
	}
	// What happened while no collector ran is told, and nothing else.
	next := counting
	next.At, next.StatsReset = micro.Add(10*time.Second), micro.Add(5*time.Second).UnixMicro()
	now := identity
	now.At = next.At
	v := sample.Visit{
		Identity: &now, Databases: []sample.DatabaseStat{next},
		Inventory: &sample.Inventory{At: next.At, Databases: []sample.Database{dbNamed(5, "b")}},
		Settings:  &sample.Settings{At: next.At, Set: []sample.Setting{{Name: "fsync", Value: "off"}}},
	}
	got.Series().Advance(&v)
	var told []string
	for _, e := range v.Events {
		told = append(told, string(e.Kind)+" "+e.Subject)
	}
	if diff := cmp.Diff([]string{"database_renamed b", "statistics_reset b", "setting fsync"}, told); diff != "" || v.Identity != nil || len(v.Databases) != 1 {
		t.Errorf("%+v (-want +got):\n%s", v, diff)
	}
}
