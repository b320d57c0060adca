package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// systemd listens as systemd does, and sets the variables it would set.
func systemd(t *testing.T, watchdog time.Duration) (read func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	if watchdog > 0 {
		t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	}
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		state := make([]byte, 256)
		n, err := conn.Read(state)
		if err != nil {
			t.Fatal(err)
		}
		return string(state[:n])
	}
}

func TestFrame_TellsSystemd(t *testing.T) {
	read := systemd(t, 0)
	frame, ctx, out := newFrame(t)
	frame.Ready("address", "127.0.0.1:1")
	if got := read(); got != "READY=1" || !strings.Contains(out.String(), "msg=ready address=127.0.0.1:1") {
		t.Errorf("%q, %s", got, out)
	}
	frame.Watch(ctx, func() error { return errors.New("never asked") })
	if err := frame.stop.Stop(t.Context()); err != nil || strings.Contains(out.String(), "never asked") {
		t.Errorf("%v, %s", err, out)
	}
	frame.notify(stateStopping)
	if got := read(); got != "STOPPING=1" {
		t.Errorf("%q", got)
	}
}

func TestFrame_WatchFeedsOnlyWhileWorkGoesOn(t *testing.T) {
	read := systemd(t, 30*time.Millisecond)
	frame, ctx, out := newFrame(t)
	var dead atomic.Bool
	asked := make(chan struct{}, 1000)
	frame.Watch(ctx, func() error {
		asked <- struct{}{}
		if dead.Load() {
			return errors.New("no tick for 10 s")
		}
		return nil
	})
	for range 3 {
		if got := read(); got != "WATCHDOG=1" {
			t.Fatalf("%q", got)
		}
	}
	dead.Store(true)
	for len(asked) > 0 {
		<-asked
	}
	for range 3 {
		<-asked // At least the last two of these were answered with an error.
	}
	if err := frame.stop.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "no tick for 10 s") {
		t.Errorf("log: %s", out)
	}
	// Whatever was fed before the heart stopped comes first; then this.
	frame.notify("STATUS=end")
	for fed := 0; ; fed++ {
		got := read()
		if got == "STATUS=end" {
			break
		}
		if fed > 2 {
			t.Fatalf("fed after the heart stopped: %q", got)
		}
	}
}

func TestFrame_WithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	frame, ctx, out := newFrame(t)
	frame.Ready()
	frame.Watch(ctx, func() error { return errors.New("never asked") })
	if strings.Contains(out.String(), "WARN") || len(frame.stop.parts) != 0 {
		t.Errorf("log: %s", out)
	}
}

func TestNewLogger(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("here", 3*3600)
	record := slog.NewRecord(time.Date(2026, 1, 2, 3, 4, 5, 6e6, zone), slog.LevelInfo, "visited", 0)
	record.AddAttrs(slog.Group("inner", slog.String("time", "kept")))
	var text, wire bytes.Buffer
	if err := NewLogger(&text, Options{}).Handler().Handle(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); got != "time=2026-01-02T00:04:05.006Z level=INFO msg=visited inner.time=kept\n" {
		t.Errorf("text: %s", got)
	}
	if err := NewLogger(&wire, Options{Format: "json"}).Handler().Handle(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	if err := json.Unmarshal(wire.Bytes(), &line); err != nil || line["time"] != "2026-01-02T00:04:05.006Z" || line["level"] != "INFO" {
		t.Errorf("json: %s", wire.String())
	}
	var quiet bytes.Buffer
	log := NewLogger(&quiet, Options{Level: slog.LevelError})
	log.Warn("unseen")
	log.Error("seen")
	if got := quiet.String(); strings.Contains(got, "unseen") || !strings.Contains(got, "seen") {
		t.Errorf("level: %s", got)
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	if build := Build(); build.Version == "" || build.Revision == "" || !strings.HasPrefix(build.GoVersion, "go1") {
		t.Errorf("%+v", build)
	}
}
