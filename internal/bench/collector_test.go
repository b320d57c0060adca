package bench

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// How long the collector settles, and is then measured.
const (
	settling  = 6 * time.Second
	measuring = 30 * time.Second
)

// BenchmarkCollector runs the real program against one busy server that is
// registered many times, each as a target of its own with fifty active
// sessions a second: CPU seconds a minute and memory.
func BenchmarkCollector(b *testing.B) {
	program := filepath.Join(b.TempDir(), "pgam-collector")
	build := exec.Command("go", "build", "-trimpath", "-tags", "nomsgpack", "-o", program, "../../cmd/collector")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	server := busyTarget(b, 60, 50)
	for _, n := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("targets=%d", n), func(b *testing.B) {
			dsn := pgtest.StatsDB(b)
			dir := b.TempDir()
			register(b, dsn, dir, server, n)
			for b.Loop() {
				c := startCollector(b, program, dsn, dir)
				wait(settling)
				cpu, ticks := c.cpu(b), c.metric(b, `pgam_ticks_total{outcome="ok"}`)
				begin := time.Now()
				wait(measuring)
				minutes := time.Since(begin).Minutes()
				done := c.metric(b, `pgam_ticks_total{outcome="ok"}`) - ticks
				b.ReportMetric((c.cpu(b)-cpu).Seconds()/minutes, "cpu-s/min")
				b.ReportMetric((c.cpu(b)-cpu).Seconds()*1e3/done, "cpu-ms/visit")
				b.ReportMetric(c.memory(b, "VmRSS:"), "rss-MB")
				b.ReportMetric(c.memory(b, "VmHWM:"), "peak-MB")
				b.ReportMetric(100*done/(minutes*60*float64(n)), "%answered")
				c.stop(b)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(pgtest.Value[float64](b, dsn, `
select pg_total_relation_size('history.activity_recent')::float8 / nullif(sum(samples), 0)::float8 from history.activity_recent`), "recent-bytes/sample")
		})
	}
}

func register(tb testing.TB, dsn, dir string, server *pgtest.Server, n int) {
	tb.Helper()
	key := filepath.Join(dir, "keyring.json")
	if err := secret.WriteKeyring(key); err != nil {
		tb.Fatal(err)
	}
	ring, err := secret.ReadKeyring(key)
	if err != nil {
		tb.Fatal(err)
	}
	db := pgtest.OpenStatsDB(tb, statsdb.Config{DSN: secret.New(dsn)})
	defer db.Close()
	stored := catalog.New(db, ring)
	for i := range n {
		if _, err := stored.CreateServer(tb.Context(), targetOf(server, target.ID(i+1))); err != nil {
			tb.Fatal(err)
		}
	}
}

// running is the collector as a process.
type running struct {
	cmd  *exec.Cmd
	addr string
}

func startCollector(tb testing.TB, program, dsn, dir string, settings ...string) *running {
	tb.Helper()
	r := &running{cmd: exec.Command(program), addr: "127.0.0.1:" + strconv.Itoa(30000+os.Getpid()%20000)}
	r.cmd.Env = append([]string{
		"PGAM_STATS_DSN=" + dsn, "PGAM_KEY_FILE=" + filepath.Join(dir, "keyring.json"), "PGAM_DATA_DIR=" + dir,
		"PGAM_HEALTH_LISTEN=" + r.addr, "PGAM_LOG_LEVEL=error",
	}, settings...)
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.cmd.Process.Kill() })
	pgtest.WaitFor(tb, func() bool {
		resp, err := http.Get("http://" + r.addr + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		return resp.StatusCode == http.StatusOK
	}, "the collector")
	return r
}

func (r *running) stop(tb testing.TB) {
	tb.Helper()
	_ = r.cmd.Process.Signal(os.Interrupt)
	if err := r.cmd.Wait(); err != nil {
		tb.Errorf("collector: %v", err)
	}
}

// cpu gives the CPU time of the process, user and system.
func (r *running) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	if err != nil {
		tb.Skip("no /proc on this system")
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // ticks of 1/100 s
}

func (r *running) memory(tb testing.TB, field string) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), field)
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kb / 1024
}

func (r *running) metric(tb testing.TB, name string) float64 {
	tb.Helper()
	resp, err := http.Get("http://" + r.addr + "/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				tb.Fatal(err)
			}
			return v
		}
	}
	tb.Fatalf("no metric %s", name)
	return 0
}

// wait is for a stretch of time that is measured, not for something to happen.
func wait(d time.Duration) { <-time.After(d) }
