package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFrame_Reloads(t *testing.T) {
	read := systemd(t, 0)
	frame, ctx, out := newFrame(t)
	log := frame.Configure(Options{Level: slog.LevelWarn})
	refuse := errors.New("PGAM_LOG_LEVEL: must be a level")
	asked := make(chan struct{})
	faults := make(chan error, 1)
	frame.OnReload(ctx, func(context.Context) error {
		asked <- struct{}{}
		err := <-faults
		if err == nil {
			frame.SetLevel(slog.LevelInfo)
		}

		return err
	})
	hangUp := func(fault error) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case <-asked:
		case <-time.After(10 * time.Second):
			t.Fatal("a SIGHUP reloads nothing")
		}
		faults <- fault
	}

	hangUp(refuse) // While it starts: systemd must not take it for ready.
	frame.Ready()
	if got := read(); got != "READY=1" {
		t.Errorf("before it was ready, systemd was told %q", got)
	}
	log.Info("unseen")
	hangUp(nil)
	if got := read(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("reload begins with %q", got)
	}
	if got := read(); got != "READY=1" {
		t.Errorf("reload ends with %q", got)
	}
	log.Info("seen")
	if err := frame.stop.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"not reloaded", "must be a level", "msg=reloaded", "msg=seen"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing from the log: %s", want, out)
		}
	}
	if strings.Contains(out.String(), "unseen") {
		t.Errorf("the level did not hold: %s", out)
	}
}

func TestNewJournalLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newJournalLogger(&out, Options{Level: slog.LevelDebug})
	log.Debug("a")
	log.Info("b", "time", "kept\nlevel=ERROR")
	log.Warn("c")
	log.Error("d")
	want := "<7>level=DEBUG msg=a\n<6>level=INFO msg=b\n<4>level=WARN msg=c\n<3>level=ERROR msg=d\n"
	if got := strings.Replace(out.String(), ` time="kept\nlevel=ERROR"`, "", 1); got != want {
		t.Errorf("%s", out.String())
	}
}
