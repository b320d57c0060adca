package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
)

// process is one running pgam-api or pgam-collector, with what it has logged.
type process struct {
	program string
	cmd     *exec.Cmd
	address string // host:port it listens on, in its own words
	ended   chan struct{}

	mu  sync.Mutex
	log strings.Builder
}

// startProcess starts a program with these settings and returns when it says
// that it is ready. It is ended with the owner, which may be a test above t.
func startProcess(t, owner *testing.T, program string, settings ...string) *process {
	t.Helper()
	p, ready := launch(t, owner, program, settings)
	select {
	case p.address = <-ready:
	case <-p.ended:
		t.Fatalf("%s ended with %d before it was ready:\n%s", program, p.cmd.ProcessState.ExitCode(), p.logged())
	case <-time.After(pgtest.Patience):
		t.Fatalf("%s is not ready after %s:\n%s", program, pgtest.Patience, p.logged())
	}

	return p
}

// startSilent is startProcess for one that may not say when it is ready: it
// listens on this address.
func startSilent(t *testing.T, program, address string, settings ...string) *process {
	t.Helper()
	p, _ := launch(t, t, program, settings)
	p.address = address
	pgtest.WaitFor(t, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%s ended with %d before it was ready:\n%s", program, p.cmd.ProcessState.ExitCode(), p.logged())
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}

		return err == nil
	}, program+" to listen")

	return p
}

// launch starts a program; ready gets the address it listens on.
func launch(t, owner *testing.T, program string, settings []string) (p *process, ready <-chan string) {
	t.Helper()
	p = &process{program: program, ended: make(chan struct{})}
	p.cmd = exec.Command(programs.path(t, program))
	p.cmd.Env = append(append(plainEnvironment(owner), slowStop), settings...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go p.follow(stderr, said)
	owner.Cleanup(func() { p.end(owner) })

	return p, said
}

// follow keeps the log, finds the line that says ready, and waits for the end.
func (p *process) follow(stderr io.Reader, ready chan<- string) {
	pattern := regexp.MustCompile(`msg"?[=:]"?ready\b.*\b(?:address|health)"?[=:]"?([^"\s,}]+)`)
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		p.log.WriteString(line)
		p.mu.Unlock()
		if m := pattern.FindStringSubmatch(line); m != nil {
			select {
			case ready <- m[1]:
			default:
			}
		}
		if err != nil {
			break
		}
	}
	_ = p.cmd.Wait() // ProcessState tells how.
	close(p.ended)
}

// logged returns all that the process has said so far.
func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.log.String()
}

func (p *process) url() string { return "http://" + p.address }

// signal asks the process for something, usually to end.
func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", p.program, err))
	}
}

// stop asks for the end as systemd does, and checks that it is a clean one.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	p.awaitEnd(t)
}

// awaitEnd checks that a process that was asked to end does so, with 0.
func (p *process) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(pgtest.Patience):
		t.Fatalf("%s does not stop:\n%s", p.program, p.logged())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s ended with %d after SIGTERM, want 0:\n%s", p.program, code, p.logged())
	}
}

// end leaves nothing running, however the test went.
func (p *process) end(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	default:
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
		<-p.ended
	}
	if t.Failed() {
		log := p.logged()
		t.Logf("end of the log of %s at %s:\n%s", p.program, p.address, log[max(0, len(log)-4096):])
	}
}
