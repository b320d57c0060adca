package config_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/pgtest"
)

// An address means the same, whatever stands in the environment and in HOME.
func TestWithoutLibpq(t *testing.T) {
	const dsn = "host=db1 user=pgam dbname=stats_db"
	set := append(pgtest.LibpqEnvironment(t), "PGSERVICE=nosuch", "PGAM_KEY_FILE=kept")
	for _, entry := range set {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	if _, err := pgx.ParseConfig(dsn); err == nil {
		t.Error("the environment is not as wrong as it is meant to be")
	}
	names := config.WithoutLibpq(append(set, "PGSSLCRL="))
	if len(names) != len(set)-2 || !slices.Contains(names, "PGSERVICE") || slices.Contains(names, "HOME") || slices.Contains(names, "PGAM_KEY_FILE") || slices.Contains(names, "PGSSLCRL") {
		t.Errorf("it names %q", names)
	}
	if os.Getenv("PGAM_KEY_FILE") != "kept" { //nolint:forbidigo // the test's own
		t.Error("a setting of ours is gone")
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil || cfg.Host != "db1" || cfg.Port != 5432 || cfg.User != "pgam" || cfg.Password != "" || cfg.ConnectTimeout != 0 || len(cfg.RuntimeParams) != 0 {
		t.Errorf("%+v, %v", cfg, err)
	}
}
