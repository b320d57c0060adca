package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/pgtest"
)

// TestDemo: the load is there until it is stopped, and what is wrong with the
// address is said.
func TestDemo(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{"": "must hold one line", "a\nb\n": "must hold one line", "port=no\n": "cannot be understood"} {
		file := filepath.Join(t.TempDir(), "dsn")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errOut := (desk{}).try(t, "demo", "--dsn-file", file); code != 2 || !strings.Contains(errOut, want) {
			t.Errorf("%q gives %d: %s", content, code, errOut)
		}
	}
	if code, _, errOut := (desk{}).try(t, "demo"); code != 2 || !strings.Contains(errOut, "--dsn-file") {
		t.Errorf("without a file it gives %d: %s", code, errOut)
	}

	dsn := pgtest.EmptyDB(t)
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte(dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, &tool{in: os.Stdin, out: io.Discard, errOut: io.Discard}, []string{"demo", "--dsn-file", file})
	}()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, dsn, "select count(*)::int from pg_stat_activity where application_name ~ '^shop-' and datname = current_database()") >= 8
	}, "load")
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestHealthcheck_URLFlag(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	desk{}.do(t, "healthcheck", "--url", server.URL+"/readyz")
	if code, _, errOut := (desk{}).try(t, "healthcheck", "--url", server.URL+"/else"); code != 1 {
		t.Errorf("gives %d: %s", code, errOut)
	}
	if code, _, errOut := (desk{}).try(t, "healthcheck", "--url", server.URL, server.URL); code != 2 || !strings.Contains(errOut, "twice") {
		t.Errorf("two URLs give %d: %s", code, errOut)
	}
}
