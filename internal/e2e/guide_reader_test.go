package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// guideReader does what a reader of the documents does: she pastes their
// commands into a shell, one after the other.
type guideReader struct {
	dir       string
	env       []string
	places    *strings.Replacer // what she puts for the names in the documents
	functions []string          // defined so far
	asked     *requests
}

// requests are those that came by, in their order.
type requests struct {
	mu   sync.Mutex
	list []request
}

type request struct {
	method, path string // the path as it was sent
	status       int
	api          bool // not the collector
}

func (r *requests) add(one request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, one)
}

// since gives the requests after the first n.
func (r *requests) since(n int) []request {
	r.mu.Lock()
	defer r.mu.Unlock()

	return slices.Clone(r.list[n:])
}

// through lets requests to a program through, and notes what was answered.
func (r *requests) through(t *testing.T, to string, api bool) string {
	t.Helper()
	base, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(base); p.Out.Host = base.Host },
		ModifyResponse: func(response *http.Response) error {
			r.add(request{response.Request.Method, response.Request.URL.EscapedPath(), response.StatusCode, api})

			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, q *http.Request, err error) {
			if q.Context().Err() == nil { // The client is still there.
				t.Errorf("%s %s: %v", q.Method, q.URL.Path, err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)

	return server.URL
}

// curl is how she calls it: a failure is not lost in a pipeline, and nothing
// waits for ever, least of all for the end of a stream.
const curl = `#!/bin/sh
PATH=$REAL_PATH
case "$*" in *"/stream"*) most=2 ;; *) most=20 ;; esac
curl --max-time $most "$@" && exit 0
code=$?
echo $code >>"$FAILED"
exit $code
`

// newGuideReader makes her a working folder.
func newGuideReader(t *testing.T, env []string) *guideReader {
	t.Helper()
	for _, name := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("no %s: install it (.ci/install-test-deps.sh does)", name)
		}
	}
	dir := t.TempDir()
	r := &guideReader{dir: filepath.Join(dir, "work"), asked: &requests{}}
	for _, folder := range []string{r.dir, filepath.Join(dir, "bin")} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.write(t, filepath.Join(dir, "bin", "curl"), curl, 0o700)
	r.write(t, r.state(), "", 0o600)
	plain := plainEnvironment(t)
	path := strings.TrimPrefix(plain[0], "PATH=")
	r.env = append(plain[1:], append(env, "REAL_PATH="+path, "FAILED="+r.failed(), "STATE="+r.state(), "LC_ALL=C",
		"PATH="+strings.Join([]string{filepath.Join(dir, "bin"), filepath.Dir(programs.path(t, "pgam")), path}, ":"))...)

	return r
}

func (r *guideReader) write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// state holds the variables that were set so far.
func (r *guideReader) state() string { return r.dir + ".state" }

// failed holds the exit codes of curls that failed.
func (r *guideReader) failed() string { return r.dir + ".failed" }

// pasted is what came of commands.
type pasted struct {
	stdout, stderr string
	err            error
	asked          []request
	curlCodes      []string // of curls that failed
}

// paste runs commands in a shell that knows what earlier ones set.
func (r *guideReader) paste(t *testing.T, text string) pasted {
	t.Helper()
	definitions, _ := functions(text)
	r.functions = append(r.functions, definitions...)
	before := len(r.asked.since(0))
	r.write(t, r.failed(), "", 0o600)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// -a: what is set is exported, and so is written down by export.
	script := "set -a\n. \"$STATE\"\n" + r.places.Replace(strings.Join(r.functions, "\n")+"\n"+text) + "\nexport -p >\"$STATE\"\n"
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	cmd.Dir, cmd.Env = r.dir, r.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	codes, errRead := os.ReadFile(r.failed())
	if errRead != nil {
		t.Fatal(errRead)
	}

	return pasted{stdout.String(), stderr.String(), errors.Join(err, ctx.Err()), r.asked.since(before), strings.Fields(string(codes))}
}

// reads says whether nothing was asked for but answers.
func (p pasted) reads() bool {
	return len(p.asked) > 0 && !slices.ContainsFunc(p.asked, func(one request) bool { return one.method != http.MethodGet })
}

// variable gives one that commands have set.
func (r *guideReader) variable(t *testing.T, name string) string {
	t.Helper()
	r.write(t, r.failed(), "", 0o600)
	got := r.paste(t, `printf %s "$`+name+`"`)
	if got.err != nil {
		t.Fatalf("variable %s: %v: %s", name, got.err, got.stderr)
	}

	return got.stdout
}

const (
	curlHTTPError = "22"
	curlTimeout   = "28"
)

// endless are commands that go on until they are ended.
var endless = regexp.MustCompile(`/stream\b|--max-time`)

// faults says what is wrong with what came of commands that should get these
// statuses beside good ones.
func (p pasted) faults(text string, statuses []string) []string {
	var faults []string
	ended := endless.MatchString(text) && slices.Equal(p.curlCodes, []string{curlTimeout}) // As was asked for.
	if p.err != nil && !ended {
		faults = append(faults, fmt.Sprintf("it fails: %v", p.err))
	}
	for _, code := range p.curlCodes {
		if code == curlTimeout && endless.MatchString(text) || code == curlHTTPError && len(statuses) > 0 {
			continue
		}
		faults = append(faults, "curl ends with "+code)
	}
	got := map[string]bool{}
	for _, one := range p.asked {
		status := strconv.Itoa(one.status)
		got[status] = true
		if one.status >= http.StatusBadRequest && !slices.Contains(statuses, status) {
			faults = append(faults, fmt.Sprintf("%s %s is answered with %s", one.method, one.path, status))
		}
	}
	for _, status := range statuses {
		if !got[status] {
			faults = append(faults, "nothing is answered with "+status)
		}
	}
	if asks.MatchString(text) && !function.MatchString(text) && len(p.asked) == 0 {
		faults = append(faults, "nobody was asked")
	}
	if len(faults) > 0 {
		faults = append(faults, "standard error: "+p.stderr, fmt.Sprintf("standard output: %.500s", p.stdout))
	}

	return faults
}
