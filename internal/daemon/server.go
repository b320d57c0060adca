package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// The bounds of every HTTP server of ours.
const (
	readHeaderTimeout   = 5 * time.Second
	readTimeout         = 10 * time.Second
	defaultWriteTimeout = 30 * time.Second
	idleTimeout         = 60 * time.Second
	maxHeaderBytes      = 32 << 10
)

// ServerOptions is what an HTTP server needs.
type ServerOptions struct {
	Name         string        // for errors, such as "api"
	Listen       string        // host:port; port 0 takes a free one
	Setting      string        // variable that gives Listen, named in errors
	Handler      http.Handler  // never nil
	WriteTimeout time.Duration // 0 is 30 s; negative is none, for streams
	Log          *slog.Logger  // never nil; gets the server's own complaints, at debug
	Failed       func(error)   // called if serving ends by itself; may be nil
}

// Server is an HTTP server with all of its time and size limits set.
type Server struct {
	options ServerOptions
	http    *http.Server
	stop    sync.Once
	stopErr error
}

// NewServer validates options and starts nothing.
func NewServer(options ServerOptions) (*Server, error) {
	if options.Handler == nil || options.Log == nil || options.Name == "" {
		return nil, errors.New("server without a name, a handler or a log")
	}
	if _, _, err := net.SplitHostPort(options.Listen); err != nil {
		return nil, fmt.Errorf("serve %s: the address must be host:port%s", options.Name, options.hint())
	}
	write := options.WriteTimeout
	if write == 0 {
		write = defaultWriteTimeout
	}
	return &Server{
		options: options,
		http: &http.Server{
			Handler:           options.Handler,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      max(write, 0),
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			// Broken handshakes and the like are a client's doing.
			ErrorLog: slog.NewLogLogger(options.Log.Handler(), slog.LevelDebug),
		},
	}, nil
}

// Start listens, begins to serve and returns the address it is bound to. Call
// it once.
func (s *Server) Start(ctx context.Context) (net.Addr, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.options.Listen)
	if err != nil {
		return nil, s.listenFault(err)
	}
	go func() {
		err := s.http.Serve(listener)
		if !errors.Is(err, http.ErrServerClosed) && s.options.Failed != nil {
			s.options.Failed(fmt.Errorf("serve %s: %w", s.options.Name, err))
		}
	}()
	return listener.Addr(), nil
}

// Stop closes the listener, waits for requests under way as long as ctx allows,
// and cuts off those that remain. It may be called again.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		if err := s.http.Shutdown(ctx); err != nil {
			s.stopErr = errors.Join(fmt.Errorf("requests cut off: %w", err), s.http.Close())
		}
	})
	return s.stopErr
}

// Serve makes a server of options and starts it; the frame stops it, and fails
// where serving ends by itself. Log and Failed may be left out. It returns the
// address the server is bound to.
func (f *Frame) Serve(ctx context.Context, options ServerOptions) (net.Addr, error) {
	if options.Log == nil {
		options.Log = f.Log()
	}
	if options.Failed == nil {
		options.Failed = f.Fail
	}
	server, err := NewServer(options)
	if err != nil {
		return nil, Configuration(err)
	}
	address, err := server.Start(ctx)
	if err != nil {
		return nil, err
	}
	f.OnStop(options.Name, server.Stop)
	return address, nil
}

// listenFault turns the reasons an operator can remove into what to do.
func (s *Server) listenFault(err error) error {
	_, port, _ := net.SplitHostPort(s.options.Listen)
	reason := err
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		reason = fmt.Errorf("%w: another process listens there (ss -ltnp 'sport = :%s' names it): stop it, or take another address",
			syscall.EADDRINUSE, port)
	case errors.Is(err, fs.ErrPermission):
		reason = fmt.Errorf("%w: take a port above 1023, or grant CAP_NET_BIND_SERVICE", syscall.EACCES)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		reason = fmt.Errorf("%w: take an address of this host", syscall.EADDRNOTAVAIL)
	}
	return fmt.Errorf("listen for %s on %s: %w%s", s.options.Name, s.options.Listen, reason, s.options.hint())
}

func (o ServerOptions) hint() string {
	if o.Setting == "" {
		return ""
	}
	return " (" + o.Setting + ")"
}
