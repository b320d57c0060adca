package schema_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/migrations"
)

var update = flag.Bool("update", false, "rewrite migrations/schema.sql")

const dumpFile = "../../migrations/schema.sql"

const dumpHead = `-- The schema of stats_db after all migrations, for reading: what pg_dump 15 says.
-- A test keeps it so; rewrite it with: go test ./internal/schema -run TestDump -update
`

// TestDump keeps migrations/schema.sql equal to what the migrations make.
func TestDump(t *testing.T) {
	t.Parallel()
	got := dumpHead + cleanDump(dump(t, pgtest.StatsDB(t)))
	if *update {
		if err := os.WriteFile(dumpFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(dumpFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("migrations/schema.sql is not what the migrations make; go test ./internal/schema -run TestDump -update rewrites it (-file +migrations):\n%s", diff)
	}
}

func dump(t *testing.T, dsn string) string {
	t.Helper()
	local := pgtest.Local(t)
	if local.Major != "15" {
		t.Skipf("pg_dump %s may write the same schema in other words than version 15", local.Major)
	}
	program := filepath.Join(local.Dir, "pg_dump")
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" { //nolint:forbidigo // As pgtest does.
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "--schema-only", "--no-owner", "--dbname", dsn)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return string(out)
}

// noise is what tells of the version of pg_dump, of its session or of nothing.
var noise = regexp.MustCompile(`^(--.*|SET .*|SELECT pg_catalog\.set_config\(.*|\\(un)?restrict .*)?$`)

// cleanDump drops the noise, puts one empty line between statements and none
// between the comments on one thing.
func cleanDump(dump string) string {
	var (
		b       strings.Builder
		comment string
		gap     bool
	)
	for line := range strings.Lines(dump) {
		line = strings.TrimRight(line, " \n")
		if noise.MatchString(line) {
			gap = true
			continue
		}
		next, _, _ := strings.Cut(line, " IS '")
		next, isComment := strings.CutPrefix(next, "COMMENT ON ")
		if gap && (!isComment || comment == "") {
			b.WriteByte('\n')
		}
		gap = false
		comment = ""
		if isComment {
			comment = next
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func TestCleanDump(t *testing.T) {
	t.Parallel()
	const in = `--
-- PostgreSQL database dump
--

\restrict x4F

-- Dumped from database version 15.18
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

CREATE TABLE a (
    b integer
);


--
-- Name: TABLE a; Type: COMMENT
--

COMMENT ON TABLE a IS 'one';


--
-- Name: COLUMN a.b; Type: COMMENT
--

COMMENT ON COLUMN a.b IS 'two';

CREATE VIEW c AS
 SELECT 1;

\unrestrict x4F
`
	const want = `
CREATE TABLE a (
    b integer
);

COMMENT ON TABLE a IS 'one';
COMMENT ON COLUMN a.b IS 'two';

CREATE VIEW c AS
 SELECT 1;
`
	if diff := cmp.Diff(want, cleanDump(in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMigrationFiles keeps the dump out of the programs, and the numbers
// without gaps.
func TestMigrationFiles(t *testing.T) {
	t.Parallel()
	if _, err := fs.Stat(migrations.FS(), "schema.sql"); err == nil {
		t.Error("schema.sql is embedded")
	}
	files, err := fs.Glob(migrations.FS(), "*")
	if err != nil || len(files) == 0 || len(files) != int(migrations.Latest()) {
		t.Fatalf("files %v, latest %d, %v", files, migrations.Latest(), err)
	}
	for i, name := range files {
		if !strings.HasPrefix(name, pad(i+1)+"_") {
			t.Errorf("file %d is %s", i+1, name)
		}
	}
	onDisk, err := filepath.Glob("../../migrations/[0-9]*.sql")
	if err != nil || len(onDisk) != len(files) {
		t.Errorf("embedded %v, there are %v, %v", files, onDisk, err)
	}
}

func pad(n int) string {
	return string([]byte{'0' + byte(n/100), '0' + byte(n/10%10), '0' + byte(n%10)})
}
