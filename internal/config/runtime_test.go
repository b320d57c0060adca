package config_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/config"
)

func TestChangeable(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range config.Changeable() {
		names = append(names, s.Name)
		if s.Default == "" || s.Description == "" || s.Secret {
			t.Errorf("%+v", s)
		}
		if got, err := config.CheckChange(s.Name, " "+s.Default+" "); err != nil || got != s.Default {
			t.Errorf("the default of %s: %q, %v", s.Name, got, err)
		}
	}
	for _, want := range []string{"PGAM_RETENTION_ACTIVITY", "PGAM_BURST_ACTIVE", "PGAM_BURST_PAUSE", "PGAM_BURST_LENGTH"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s cannot be changed", want)
		}
	}
	for _, never := range []string{"PGAM_STATS_DSN", "PGAM_DATA_DIR", "PGAM_RETENTION_DETACH_CONCURRENTLY", "PGAM_MAX_PROCS"} {
		if slices.Contains(names, never) {
			t.Errorf("%s can be changed", never)
		}
	}
	for given, want := range map[string]string{"retention_activity": "PGAM_RETENTION_ACTIVITY", "PGAM_BURST_LENGTH": "PGAM_BURST_LENGTH", "Burst_Active": "PGAM_BURST_ACTIVE"} {
		if got, err := config.ChangeableName(given); got != want || err != nil {
			t.Errorf("%s: %q, %v", given, got, err)
		}
	}
	if _, err := config.ChangeableName("stats_dsn"); !errors.Is(err, config.ErrNotChangeable) || !strings.Contains(err.Error(), "PGAM_BURST_LENGTH") {
		t.Errorf("%v", err)
	}
}

func TestCheckChange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, value, says string }{
		{"PGAM_RETENTION_ACTIVITY", "14d", ""},
		{"PGAM_RETENTION_ACTIVITY", "14", "its unit"},
		{"PGAM_RETENTION_ACTIVITY", "1s", "1h to 36500d"},
		{"PGAM_RETENTION_ACTIVITY", "", "empty"},
		{"PGAM_BURST_ACTIVE", "0", ""},
		{"PGAM_BURST_ACTIVE", "-1", "0 to 1000000"},
		{"PGAM_BURST_CONNECTIONS_PERCENT", "101", "0 to 100"},
		{"PGAM_BURST_PAUSE", "0s", ""},
		{"PGAM_LISTEN", "127.0.0.1:1", "no setting"},
		{"PGAM_DATA_DIR", "/tmp", "no setting"},
	} {
		_, err := config.CheckChange(tt.name, tt.value)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s=%q: %v, want %q", tt.name, tt.value, err, tt.says)
		}
		if err != nil && !errors.Is(err, config.ErrValue) && !errors.Is(err, config.ErrNotChangeable) {
			t.Errorf("%s=%q: %v", tt.name, tt.value, err)
		}
	}
}

func TestCollectorWith(t *testing.T) {
	t.Parallel()
	base, err := config.LoadCollector(required("PGAM_RETENTION_DISKS=10d"))
	if err != nil {
		t.Fatal(err)
	}
	got, faults := base.With(map[string]string{
		"PGAM_RETENTION_ACTIVITY": "2d", "PGAM_BURST_PAUSE": "3m", "PGAM_BURST_ACTIVE": "7", "PGAM_RETENTION_MINUTES": "1s", "PGAM_DATA_DIR": "/tmp", "PGAM_GONE": "1",
	})
	if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "PGAM_RETENTION_MINUTES: ") {
		t.Errorf("faults %v", faults)
	}
	if got.RetentionActivity.Std() != 48*time.Hour || got.BurstPause.Std() != 3*time.Minute || got.BurstActive != 7 || got.RetentionMinutes != base.RetentionMinutes ||
		got.RetentionDisks.Std() != 240*time.Hour || got.DataDir != base.DataDir {
		t.Errorf("%+v", got)
	}
	if base.RetentionActivity.Std() != 30*24*time.Hour || base.BurstPause.Std() != 5*time.Minute {
		t.Errorf("the environment's own changed: %+v", base)
	}
	// What is in force is what With reads.
	again, faults := base.With(got.InForce())
	if len(faults) != 0 || !maps.Equal(again.InForce(), got.InForce()) || got.InForce()["PGAM_RETENTION_DISKS"] != "10d" {
		t.Errorf("%v %v", faults, got.InForce())
	}
}
