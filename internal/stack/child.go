package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// fastDeath is how long a program must live for its end not to count
	// towards giving up.
	fastDeath = 10 * time.Second
	// maxFastDeaths is how many ends in a row are enough.
	maxFastDeaths = 5
	// firstPause doubles with each of them.
	firstPause = 500 * time.Millisecond
	// maxLogBytes is the size above which a start puts the old log aside.
	maxLogBytes = 16 << 20
	// shownLogBytes is how much of a log is looked at for its last lines.
	shownLogBytes = 16 << 10
	// shownLines is how many lines of an output an error carries.
	shownLines = 5
	// exitConfiguration is the code with which our programs end where starting
	// them again is no use.
	exitConfiguration = 2
)

// childConfig says what to run.
type childConfig struct {
	name string   // for people, such as "pgam-api"
	path string   // of the program
	args []string // none for the programs of ours
	env  []string // all of its environment
	log  string   // file for what it says
	// pause is firstPause but for tests.
	pause time.Duration
	say   func(format string, args ...any)
	// failed is called at most once, when the child is given up.
	failed func(error)
}

// child is a program that is started again when it ends.
type child struct {
	cfg childConfig

	mu       sync.Mutex
	process  *os.Process // nil while none runs
	stopping bool
	steady   bool // it has answered once: from now on an end is not the last

	stop chan struct{} // closed to end the pauses
	done chan struct{} // closed when nothing runs and nothing will
}

// startChild starts a program; it returns before that is ready.
func startChild(cfg childConfig) *child {
	if cfg.pause == 0 {
		cfg.pause = firstPause
	}
	c := &child{cfg: cfg, stop: make(chan struct{}), done: make(chan struct{})}
	go c.supervise()

	return c
}

// supervise keeps the thread to itself: Linux sends a child its signal when the
// thread that started it ends, not when the process does.
func (c *child) supervise() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.done)
	for deaths := 0; ; {
		started := time.Now()
		said, err := c.runOnce()
		if c.isStopping() {
			return
		}
		if time.Since(started) >= fastDeath {
			deaths = 0
		}
		deaths++
		if c.isFinal(err, deaths) {
			c.cfg.failed(c.obituary(err, said))

			return
		}
		pause := c.cfg.pause << (deaths - 1)
		c.cfg.say("%s: starting it again in %s", c.obituary(err, said), pause)
		select {
		case <-time.After(pause):
		case <-c.stop:
			return
		}
	}
}

// isFinal tells whether starting the program again is no use.
func (c *child) isFinal(err error, deaths int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var exit *exec.ExitError
	if !errors.As(err, &exit) && err != nil {
		return true // It cannot be started at all.
	}

	return !c.steady || deaths >= maxFastDeaths || exit != nil && exit.ExitCode() == exitConfiguration
}

func (c *child) obituary(err error, said string) error {
	how := "without an error"
	if err != nil {
		how = err.Error()
	}
	if said == "" {
		return fmt.Errorf("%s ended (%s) and said nothing", c.cfg.name, how)
	}

	return fmt.Errorf("%s ended (%s); it said (all of it in %s): %s", c.cfg.name, how, c.cfg.log, said)
}

// runOnce runs the program to its end and returns the last lines it said.
func (c *child) runOnce() (said string, err error) {
	log, offset, err := openLog(c.cfg.log)
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(c.cfg.path, c.cfg.args...) //nolint:gosec,noctx // A program of ours; Stop ends it.
	cmd.Env = c.cfg.env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes()
	c.mu.Lock()
	if c.stopping {
		c.mu.Unlock()

		return "", nil
	}
	err = cmd.Start()
	if err == nil {
		c.process = cmd.Process
	}
	c.mu.Unlock()
	if err != nil {
		return "", fmt.Errorf("start %s: %w", c.cfg.name, err)
	}
	err = cmd.Wait()
	c.mu.Lock()
	c.process = nil
	c.mu.Unlock()

	return c.tail(log, offset), err
}

// tail returns what matters of a log from an offset on.
func (c *child) tail(log *os.File, offset int64) string {
	info, err := log.Stat()
	if err != nil {
		return ""
	}
	offset = max(offset, info.Size()-shownLogBytes)
	content, _ := io.ReadAll(io.NewSectionReader(log, offset, shownLogBytes)) // What can be read is enough.

	return telling(string(content))
}

// openLog opens a log for appending, and returns where that begins. A big one
// is put aside first.
func openLog(path string) (*os.File, int64, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, unusable(err)
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600) //nolint:gosec // In our data folder.
	if err != nil {
		return nil, 0, unusable(err)
	}
	offset, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, errors.Join(unusable(err), file.Close())
	}

	return file, offset, nil
}

func (c *child) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.stopping
}

// settle says that the program is ready: from now on it is started again when
// it ends.
func (c *child) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steady = true
}

// Stop asks the program to end, and makes it when ctx ends.
func (c *child) Stop(ctx context.Context) error {
	c.mu.Lock()
	first := !c.stopping
	c.stopping = true
	if first {
		close(c.stop)
	}
	process := c.process
	c.mu.Unlock()
	if first && process != nil {
		_ = process.Signal(syscall.SIGTERM) // It may have ended meanwhile.
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	}
	if process != nil {
		_ = process.Kill() // It may have ended meanwhile.
		<-c.done
	}

	return fmt.Errorf("%s did not stop in time and was killed", c.cfg.name)
}
