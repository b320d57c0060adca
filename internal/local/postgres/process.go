package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

const (
	// maxLogBytes is the size above which a start puts the old log aside.
	maxLogBytes = 16 << 20
	// shownLogBytes is how much of a log is looked at for its last lines.
	shownLogBytes = 64 << 10
	// shownLines is how many of them an error carries.
	shownLines = 6
)

// Command is a program to run as a child.
type Command struct {
	Name string   // for people, such as "pgam-api"
	Path string   // of the program
	Args []string // without the name
	Env  []string // all of its environment
	Log  string   // file that takes what it says
	// OnDeath is the signal that it gets when this process is gone (Linux).
	OnDeath syscall.Signal

	as owner // who runs it; zero: who runs this process
}

// Process is a child that was started.
type Process struct {
	command Command
	pid     int
	offset  int64         // where in the log it begins
	done    chan struct{} // closed when it is gone
	err     error         // how it ended; valid then
}

// Run starts a program and returns before it is ready.
//
// The thread that starts the child waits for it too: Linux sends OnDeath when
// that thread ends, not when the process does.
func Run(c Command) (*Process, error) {
	log, offset, err := openLog(c.Log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{command: c, offset: offset, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = log.Close() }()
		cmd := exec.Command(c.Path, c.Args...) //nolint:gosec,noctx // It outlives the context that starts it; Stop ends it.
		cmd.Env = c.Env
		if c.as.switched {
			cmd.Dir = "/" // That user may not be let into ours.
		}
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = processAttributes(c.as, c.OnDeath)
		if err := cmd.Start(); err != nil {
			started <- err

			return
		}
		p.pid = cmd.Process.Pid
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}

	return p, nil
}

// openLog opens a log for appending, and returns where that begins. A big one is
// put aside first.
func openLog(path string) (*os.File, int64, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, fmt.Errorf("put old log aside: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600) //nolint:gosec // The path is the caller's.
	if err != nil {
		return nil, 0, fmt.Errorf("%w: open log: %w", ErrDataDir, err)
	}
	offset, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}

	return file, offset, nil
}

// Done is closed when the process is gone.
func (p *Process) Done() <-chan struct{} { return p.done }

func (p *Process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Stop sends a signal and waits until the process is gone, or kills it when ctx
// ends before: that is the error. It may be repeated.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal) error {
	if !p.running() {
		return nil
	}
	_ = syscall.Kill(p.pid, sig) // It may have ended meanwhile.
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	_ = syscall.Kill(p.pid, syscall.SIGKILL)
	<-p.done

	return fmt.Errorf("%s did not stop in time and was killed", p.command.Name)
}

// Ended tells of a process that is gone how it ended and what it said last.
// The error wraps that of exec.
func (p *Process) Ended() error {
	how := p.err
	if how == nil {
		how = errors.New("without an error")
	}
	said := LastLines(p.said())
	if said == "" {
		return fmt.Errorf("%s ended (%w) and said nothing", p.command.Name, how)
	}

	return fmt.Errorf("%s ended (%w); it said (all of it in %s): %s", p.command.Name, how, p.command.Log, said)
}

// said returns the end of what the process said.
func (p *Process) said() string {
	file, err := os.Open(p.command.Log)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	offset := p.offset
	if info, err := file.Stat(); err == nil {
		offset = max(offset, info.Size()-shownLogBytes)
	}
	content, _ := io.ReadAll(io.NewSectionReader(file, offset, shownLogBytes)) // What can be read is enough.

	return string(content)
}

// LastLines returns the lines of an output that say why a program ended, in one:
// from a panic on, or else the last ones that are more than a remark, or else the
// last one.
func LastLines(text string) string {
	var lines, kept []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	for i, line := range lines {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.Join(lines[i:min(i+shownLines, len(lines))], " | ")
		}
		if !isRemark(line) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		kept = lines[max(0, len(lines)-1):]
	}

	return strings.Join(kept[max(0, len(kept)-shownLines):], " | ")
}

// isRemark tells whether a line of our programs' logs is below a warning.
func isRemark(line string) bool {
	for _, level := range []string{" level=INFO ", " level=DEBUG ", `"level":"INFO"`, `"level":"DEBUG"`} {
		if strings.Contains(line, level) {
			return true
		}
	}

	return false
}
