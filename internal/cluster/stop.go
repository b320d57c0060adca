package cluster

import (
	"context"
	"fmt"
	"os"
	"syscall"
)

// Stop stops the server and waits until it is gone, as long as ctx allows. A
// server that does not run is no error, so Stop may be repeated.
func (c *Cluster) Stop(ctx context.Context, mode StopMode) error {
	c.serial.Lock()
	defer c.serial.Unlock()

	return c.stop(ctx, mode)
}

func (c *Cluster) stop(ctx context.Context, mode StopMode) error {
	c.mu.Lock()
	r := c.run
	c.mu.Unlock()
	if r == nil {
		return nil
	}
	sig := syscall.SIGINT
	if mode == Immediate {
		sig = syscall.SIGQUIT
	}
	if err := r.signal(sig); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	if err := r.wait(ctx); err != nil {
		return fmt.Errorf("stop PostgreSQL in %s: %w", c.cfg.Dir, err)
	}
	c.mu.Lock()
	c.run = nil
	c.mu.Unlock()
	c.removeTempSocket()
	c.log.InfoContext(ctx, "stopped cluster", "pid", r.pid)

	return nil
}

// Restart stops the server and starts it on the same port.
func (c *Cluster) Restart(ctx context.Context, mode StopMode) error {
	c.serial.Lock()
	defer c.serial.Unlock()

	if err := c.stop(ctx, mode); err != nil {
		return err
	}

	return c.start(ctx)
}

// Running tells whether the server's process exists.
func (c *Cluster) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.run != nil && c.run.running()
}

// Pid returns the id of the server's first process, 0 if it does not run.
func (c *Cluster) Pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil || !c.run.running() {
		return 0
	}

	return c.run.pid
}

// Done returns a channel that is closed when the server that runs now ends, by
// Stop or by itself. Without a server it is closed already.
func (c *Cluster) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run != nil {
		return c.run.done
	}
	done := make(chan struct{})
	close(done)

	return done
}

func (c *Cluster) removeTempSocket() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tempSocket != "" {
		_ = os.RemoveAll(c.tempSocket)
		c.tempSocket = ""
	}
}
