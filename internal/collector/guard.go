package collector

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// errPanicked is what a panic comes to for those who wait for an answer.
var errPanicked = errors.New("panicked")

// guard calls f, and reports whether it came to its end. A fault of ours that
// an answer brings to light costs what f was doing for one server, not every
// server its collector.
func (c *Collector) guard(ctx context.Context, doing string, server target.ID, f func()) (whole bool) {
	defer func() {
		if r := recover(); r != nil {
			c.cfg.Log.ErrorContext(ctx, "panicked; please report this", "doing", doing, "server_id", server,
				"panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	f()
	return true
}

// dial connects, guarded.
func (c *Collector) dial(ctx context.Context, t target.Target, p Purpose) (conn Conn, reason sample.Reason, err error) {
	if !c.guard(ctx, "connect", t.ID, func() { conn, reason, err = c.cfg.Dialer.Dial(ctx, t, p) }) {
		return nil, sample.Malformed, errPanicked
	}
	return conn, reason, err
}
