package main

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// dialAs connects to a Unix socket as another user of this machine, so that root
// can enter a PostgreSQL that knows its administrator by that user (peer).
func dialAs(uid int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		dialed := make(chan result, 1)
		go func() {
			// Only this thread becomes the other user, and it ends with the goroutine.
			runtime.LockOSThread()
			keep := ^uintptr(0)
			if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
				dialed <- result{nil, fmt.Errorf("become user %d: %w", uid, errno)}

				return
			}
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			dialed <- result{conn, err}
		}()
		r := <-dialed

		return r.conn, r.err
	}
}
