package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
)

// keepGuide is where TestGuide leaves what the guide's commands print.
var keepGuide = flag.String("guide-answers", "", "folder to keep what the commands of docs/API.md print in")

const (
	documents = "../.."
	guideFile = "docs/API.md"
)

// TestGuide pastes every command of docs/API.md, and every curl line of the
// other documents, into a shell beside a running demo: none fails, and the
// answers that the guide shows are such as come. What the API can and the guide
// does not use is listed in leftToDocs.
func TestGuide(t *testing.T) { //nolint:tparallel // The parts are one story.
	t.Parallel()
	db1 := pgtest.Target(t)
	e := up(t, dataFolder(t), "--demo")
	r := newGuideReader(t, []string{
		"PASSWORD=" + e.Password, "DB1_PASSWORD=" + pgtest.Password,
		"PGAM_STATS_DSN=" + e.StatsDSN, "PGAM_KEY_FILE=" + filepath.Join(e.DataDir, "keys", "keyring.json"),
	})
	r.places = strings.NewReplacer(
		"http://127.0.0.1:8000", r.asked.through(t, e.APIURL, true), "http://127.0.0.1:8001", r.asked.through(t, e.CollectorURL, false),
		"http://localhost:8000", r.asked.through(t, e.APIURL, true),
		"db1.example.org", db1.Host(), `"port": 5432`, fmt.Sprintf(`"port": %d`, db1.Port()), "pgam_monitor", pgtest.User,
		"shop-prod", "local", "password=PASSWORD", `password="$PASSWORD"`, "--max-time 3 ", "--max-time 1.5 ",
	)
	e.login(t, e.Password)
	awaitScene(t, e)
	t.Run("guide", func(t *testing.T) { r.readGuide(t, e) })
	t.Run("other documents", func(t *testing.T) { r.readOthers(t) })
	t.Run("routes", func(t *testing.T) {
		r.checkRoutes(t, newClient(t, e.APIURL, &record{statuses: map[string]map[int]int{}}))
	})
}

// awaitScene waits until the demo has all that the guide asks for.
func awaitScene(t *testing.T, e *everything) {
	t.Helper()
	const path = "/api/v1/servers/local"
	e.call(t, http.StatusOK, http.MethodPatch, path, map[string]any{"intervals": map[string]any{"disks_seconds": 5, "sizes_seconds": 10}})
	for what, known := range map[string]func() bool{
		"a session that waits": func() bool {
			return len(get[momentAnswer](t, e, "%s/history/at", path).Blocking.Edges) > 0
		},
		"databases": func() bool {
			return len(get[struct {
				Timeline []any `json:"connection_timeline"`
			}](t, e, "/server/local/stats").Timeline) > 0
		},
		"sizes": func() bool {
			return len(get[struct {
				Databases []any `json:"databases"`
			}](t, e, "%s/history/sizes", path).Databases) > 0
		},
		"disks": func() bool {
			return len(get[struct {
				FileSystems []any `json:"file_systems"`
			}](t, e, "%s/history/disks", path).FileSystems) > 0
		},
	} {
		pgtest.WaitFor(t, known, what+" in the history")
	}
}

// readGuide pastes the guide, block by block.
func (r *guideReader) readGuide(t *testing.T, e *everything) {
	blocks, _ := parseBlocks(guideFile, read(t, guideFile))
	n := 0
	for _, b := range blocks {
		switch b.language {
		case "sh":
			n++
			if slices.Contains(b.statuses, gone) {
				added := aged(t, e, "2019-01-01T00:00:00Z")
				r.readBlock(t, b)
				aged(t, e, added)

				continue
			}
			r.readBlock(t, b)
		case "json", "text":
		default:
			t.Errorf("%s: a block of the language %q: the guide has sh, and json or text for answers", b, b.language)
		}
	}
	if n < 20 {
		t.Errorf("the guide has %d blocks of commands only: is it read at all?", n)
	}
}

// gone is the status of a range that is no longer kept.
const gone = "410"

// aged gives the server local another time of its addition, and returns the one
// it had: one that was just added has lost nothing yet.
func aged(t *testing.T, e *everything, added string) (before string) {
	t.Helper()
	before = pgtest.Value[time.Time](t, e.StatsDSN, "select created_at from pgam.server where name = 'local'").Format(time.RFC3339Nano)
	pgtest.Exec(t, e.StatsDSN, "update pgam.server set created_at = '"+added+"', revision = nextval('pgam.revision') where name = 'local'")
	e.call(t, http.StatusOK, http.MethodPatch, "/api/v1/servers/local", map[string]any{}) // The API looks at once.

	return before
}

// readBlock pastes a block and compares what it prints with the answer that is
// shown. What the demo does not do at this moment it does in the next, so that
// what only reads is pasted again.
func (r *guideReader) readBlock(t *testing.T, b *block) {
	t.Helper()
	var (
		got    pasted
		faults []string
	)
	told := func() bool {
		got = r.paste(t, b.text)
		faults = append(got.faults(b.text, b.statuses), b.answerFaults(got.stdout)...)

		return len(faults) == 0
	}
	deadline := time.After(pgtest.Patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for again := !told() && got.reads(); again; {
		select {
		case <-deadline:
			again = false
		case <-tick.C:
			again = !told()
		}
	}
	if dir := *keepGuide; dir != "" {
		text := b.text + "---\n" + got.stdout + got.stderr
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.txt", b.line)), []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	if len(faults) > 0 {
		t.Errorf("%s:\n%s\n%s", b, b.text, strings.Join(faults, "\n"))
	}
}

// answerFaults compares the answer that is shown with what was printed.
func (b *block) answerFaults(printed string) []string {
	switch {
	case b.answer == nil:
		return nil
	case strings.TrimSpace(printed) == "":
		return []string{"it prints nothing, where an answer is shown"}
	case b.answer.language == "json":
		return jsonFaults(b.answer.text, printed)
	}

	return textFaults(b.answer.text, printed)
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(documents, file))
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

// notPasted are commands of other documents that cannot be run here, each with
// the reason. The key is the file and a part of the command.
func notPasted() map[[2]string]string {
	return map[[2]string]string{}
}

// readOthers pastes the curl lines of all documents but the guide, in the
// reader's shell of the guide. Their instants become such as the demo knows.
func (r *guideReader) readOthers(t *testing.T) {
	at, err := time.Parse(time.RFC3339, r.variable(t, "at"))
	if err != nil {
		t.Fatalf("the guide sets no instant: %v", err)
	}
	left := notPasted()
	n := 0
	for _, file := range markdown(t) {
		list, definitions := commands(file, read(t, file))
		r.functions = definitions
		for _, one := range list {
			if key, ok := isLeft(left, one); ok {
				delete(left, key)

				continue
			}
			n++
			got := r.paste(t, moved(one.text, at))
			faults := got.faults(one.text, nil)
			assigns := strings.Contains(strings.SplitN(one.text, " ", 2)[0], "=")
			if said := strings.TrimSpace(got.stdout); !assigns && (said == "" || said == "null") {
				faults = append(faults, fmt.Sprintf("it prints %q", said))
			}
			if len(faults) > 0 {
				t.Errorf("%s: %s\n%s", file, one.text, strings.Join(faults, "\n"))
			}
		}
	}
	for key := range left {
		t.Errorf("%s has no command with %q any more: take it out of notPasted", key[0], key[1])
	}
	if n < 5 {
		t.Errorf("%d commands were found only: are they found at all?", n)
	}
}

func isLeft(left map[[2]string]string, one command) (key [2]string, ok bool) {
	for key := range left {
		if key[0] == one.file && strings.Contains(one.text, key[1]) {
			return key, true
		}
	}

	return key, false
}

// markdown lists the documents but the guide.
func markdown(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(documents, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			file, err := filepath.Rel(documents, path)
			if err != nil {
				t.Fatal(err)
			}
			if file = filepath.ToSlash(file); file != guideFile {
				files = append(files, file)
			}
		}
	}
	if len(files) < 6 {
		t.Fatalf("only %q are documents", files)
	}

	return files
}

// checkRoutes looks for operations that the guide does not use.
func (r *guideReader) checkRoutes(t *testing.T, c *client) {
	used := map[string]bool{}
	for _, one := range r.asked.since(0) {
		if !one.api {
			continue
		}
		path, err := url.PathUnescape(one.path)
		if err != nil {
			t.Fatal(err)
		}
		route, _, err := c.routes.FindRoute(&http.Request{Method: one.method, URL: &url.URL{Path: path, RawPath: one.path}})
		if err == nil {
			used[route.Operation.OperationID] = true
		}
	}
	left := leftToDocs()
	for path, item := range c.document.Paths.Map() {
		for method, operation := range item.Operations() {
			_, isLeft := left[operation.OperationID]
			switch {
			case used[operation.OperationID] && isLeft:
				t.Errorf("%s %s is in the guide: take %s out of leftToDocs", method, path, operation.OperationID)
			case !used[operation.OperationID] && !isLeft:
				t.Errorf("%s %s (%s) is not in %s: add it there, or to leftToDocs with a reason", method, path, operation.OperationID, guideFile)
			}
			delete(left, operation.OperationID)
		}
	}
	for id := range left {
		t.Errorf("leftToDocs has %s, which is no operation", id)
	}
}

// leftToDocs are operations that the guide leaves to /docs, with the reason.
func leftToDocs() map[string]string {
	const twice = "the same as without /api, and the guide says so"

	const later = "of the later Python version: docs/MIGRATION.md says what its client can do"

	return map[string]string{
		"refresh": later, "refresh-api": later, "logout": later, "logout-api": later, "me": later, "test-postgresql": later, "test-ssh": later,
		"keys": later, "generate-key": later, "import-key": later, "key": later, "update-key": later, "delete-key": later, "key-servers": later, "download-key": later,
		"token-api": twice, "list-servers-api": twice, "add-server-api": twice, "update-server-api": twice, "delete-server-api": twice,
		"server-sessions-api": twice, "server-stats-api": twice, "database-now-api": twice, "database-stats-api": twice,
	}
}
