package remote

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/target"
)

var (
	// errOutput says that a command printed more than is read.
	errOutput = fmt.Errorf("the command prints more than %d bytes", maxOutputBytes)
	// errNoCommands says that a host admits the user but runs no commands.
	errNoCommands = errors.New("the SSH server runs no commands for this user")
	// errSilent says that a host answers no question whether it lives.
	errSilent = errors.New("the host answers no more")
)

// link is one SSH connection.
type link struct {
	shells *Shells
	t      target.Target

	opened chan struct{} // closed when the attempt to enter has ended
	entry  entry         // valid once opened, if err is nil
	err    error
	closed context.Context //nolint:containedctx // Ends when the connection must.
	end    context.CancelFunc

	// Guarded by shells.mu.
	users   int
	retired bool
	idle    *time.Timer
	tunnels map[io.Closer]struct{}
}

func newLink(s *Shells, t target.Target) *link {
	l := &link{shells: s, t: t, opened: make(chan struct{}), tunnels: make(map[io.Closer]struct{})}
	l.closed, l.end = context.WithCancel(s.ctx)
	l.idle = time.AfterFunc(s.cfg.Idle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if l.users == 0 {
			s.retireLocked(l)
		}
	})
	l.idle.Stop()
	return l
}

// use counts a user. The mutex is held.
func (l *link) use() {
	l.users++
	l.idle.Stop()
}

// close has the connection end; live does the rest.
func (l *link) close() {
	l.idle.Stop()
	l.end()
}

// live opens the connection and stays with it to its end.
func (l *link) live() {
	s := l.shells
	ctx, cancel := s.step(l.closed, "enter the host of "+l.t.Name)
	l.entry, l.err = s.enter(ctx, l.t)
	cancel()
	if l.closed.Err() == nil {
		s.remember(l.t, l.err)
	}
	if l.err != nil {
		s.forsake(l)
		close(l.opened)
		return
	}
	close(l.opened)
	s.cfg.Log.Debug("ssh connected", "server", l.t.Name)
	ended := make(chan error, 1)
	s.wg.Go(func() { ended <- l.entry.client.Wait() })
	err := l.watch(ended)
	_ = l.entry.conn.Close()
	s.forsake(l)
	s.cfg.Log.Debug("ssh connection ended", "server", l.t.Name, "reason", err)
}

// watch waits for the connection to end, to be closed, or to fall silent.
func (l *link) watch(ended <-chan error) error {
	tick := time.NewTicker(l.shells.cfg.KeepAlive)
	defer tick.Stop()
	var answered chan struct{}
	var silent <-chan time.Time
	for {
		select {
		case err := <-ended:
			return err
		case <-l.closed.Done():
			return l.closed.Err()
		case <-silent:
			return errSilent
		case <-answered:
			answered, silent = nil, nil
		case <-tick.C:
			if answered != nil {
				continue
			}
			answered = make(chan struct{})
			silent = time.After(l.shells.cfg.Timeout)
			l.shells.wg.Go(func() { l.ping(answered) })
		}
	}
}

// ping asks the host for any answer, and tells of it. It returns when the
// connection has ended, at the latest.
func (l *link) ping(answered chan<- struct{}) {
	if _, _, err := l.entry.client.SendRequest("keepalive@openssh.com", true, nil); err == nil {
		close(answered)
	}
}

// forsake takes a link that has ended out of the books, and ends its tunnels.
func (s *Shells) forsake(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retireLocked(l)
	l.close()
	delete(s.all, l)
	for tunnel := range l.tunnels {
		_ = tunnel.Close()
	}
}

// output keeps what a command prints, up to a bound.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	full chan struct{} // closed when the bound is passed
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len()+len(p) > maxOutputBytes {
		select {
		case <-o.full:
		default:
			close(o.full)
		}
		return 0, errOutput
	}
	return o.buf.Write(p)
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.buf.Bytes())
}

// words keep the beginning of what a host says beside its answer.
type words struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements io.Writer.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p[:min(len(p), 4*maxSaidBytes-len(w.buf))]...)
	return len(p), nil
}

// String gives them as they can be shown.
func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Said(string(w.buf))
}

// run runs a script in a session of its own, within the time of one step.
// started says that the host has confirmed to run it. On a link that was idle
// a while, hasty gives the host half of the time to confirm.
//
// The library's calls know no deadline. So they are made on the side; whoever
// gives up on them retires the link, whose end frees them.
func (l *link) run(ctx context.Context, script string, hasty bool) (stdout []byte, started bool, err error) {
	ctx, cancel := l.shells.step(ctx, "run a command on the host of "+l.t.Name)
	defer cancel()
	out, said := &output{full: make(chan struct{})}, &words{}
	confirmed, ended := make(chan *ssh.Session, 1), make(chan error, 1)
	if !l.shells.spawn(func() { ended <- l.session(script, out, said, confirmed) }) {
		return nil, false, ErrShellsClosed
	}

	limit := time.NewTimer(l.shells.cfg.Timeout)
	defer limit.Stop()
	if hasty {
		limit.Reset(l.shells.cfg.Timeout / 2)
	}
	var session *ssh.Session
	for {
		step := "open session"
		if session != nil {
			step = "run command"
		}
		select {
		case session = <-confirmed:
			limit.Stop()
			continue
		case err = <-ended:
			select { // The session may have ended as soon as it was confirmed.
			case session = <-confirmed:
			default:
			}
			if err != nil {
				err = &ShellError{Server: l.t.Name, Step: step, Said: cmp.Or(said.String(), Said(string(out.bytes()))), Err: err}
			}
			return out.bytes(), session != nil, err
		case <-out.full:
			err = errOutput
		case <-limit.C:
			err = fmt.Errorf("%w: the host does not answer", context.DeadlineExceeded)
		case <-ctx.Done():
			err = endedBy(ctx, ctx.Err())
		}
		l.shells.retire(l)
		if session != nil {
			// The host is told, if it listens.
			l.shells.spawn(func() { _ = session.Close() })
		}
		return out.bytes(), session != nil, &ShellError{Server: l.t.Name, Step: step, Said: said.String(), Err: err}
	}
}

// session runs a script and waits for its end, as long as that takes.
func (l *link) session(script string, out, said io.Writer, confirmed chan<- *ssh.Session) error {
	session, err := l.entry.client.NewSession()
	if _, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
		return fmt.Errorf("%w: %w", errNoCommands, err)
	}
	if err != nil {
		return lost(err)
	}
	defer func() { _ = session.Close() }()
	session.Stdin, session.Stdout, session.Stderr = strings.NewReader(script), out, said
	if err := session.Start("sh -s"); err != nil {
		if errors.Is(err, io.EOF) {
			return lost(err)
		}
		return fmt.Errorf("%w: %w", errNoCommands, err)
	}
	confirmed <- session
	err = session.Wait()
	if _, ok := errors.AsType[*ssh.ExitMissingError](err); ok {
		return lost(err)
	}
	if errors.Is(err, io.EOF) { // it ended well, before it had read all of the script
		return nil
	}
	return err
}

// lost says that an error is the end of a connection, which the library puts
// in several ways, unless it is a host's answer.
func lost(err error) error {
	if _, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
		return err
	}
	return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
}
