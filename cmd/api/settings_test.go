package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	stored := catalog.New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(pgtest.StatsDB(t))}), nil)
	s, ctx := settings{stored}, t.Context()
	named := func(name string) route.Setting {
		t.Helper()
		all, err := s.Settings(ctx)
		if err != nil || len(all) != len(config.Changeable()) {
			t.Fatalf("%d settings, %v", len(all), err)
		}
		for _, one := range all {
			if one.Name == name {
				return one
			}
		}
		t.Fatalf("%s is not there", name)
		return route.Setting{}
	}
	const name = "PGAM_RETENTION_ACTIVITY"
	if got := named(name); got.Value != "30d" || got.Source != route.SettingDefault || !got.UpdatedAt.IsZero() || got.Limits == "" || got.Description == "" {
		t.Errorf("at first: %+v", got)
	}
	if err := stored.PublishSettings(ctx, map[string]string{name: "20d"}); err != nil {
		t.Fatal(err)
	}
	if got := named(name); got.Value != "20d" || got.Source != route.SettingEnvironment || !got.UpdatedAt.IsZero() {
		t.Errorf("of the environment: %+v", got)
	}
	fortnight, bad := " 14d ", "1s"
	if err := s.ChangeSettings(ctx, map[string]*string{"retention_activity": &fortnight}, "admin"); err != nil {
		t.Fatal(err)
	}
	if got := named(name); got.Value != "14d" || got.Source != route.SettingChanged || got.UpdatedBy != "admin" || got.UpdatedAt.IsZero() {
		t.Errorf("changed: %+v", got)
	}
	for wrong, says := range map[string]string{name: "1h to 36500d", "PGAM_TOKEN_KEY": "no setting that can be changed"} {
		err := s.ChangeSettings(ctx, map[string]*string{wrong: &bad, "PGAM_BURST_PAUSE": nil}, "admin")
		if !errors.Is(err, route.ErrSetting) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if err := s.ChangeSettings(ctx, map[string]*string{name: nil}, "admin"); err != nil {
		t.Fatal(err)
	}
	if got := named(name); got.Value != "20d" || got.Source != route.SettingEnvironment {
		t.Errorf("taken back: %+v", got)
	}
}
