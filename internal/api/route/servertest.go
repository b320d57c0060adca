package route

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// A test connects to wherever a server's row points and tells what it met, so a
// user who may write rows could look around a network with it. These bound how
// fast; every route that tests a server goes through Test.
const (
	testsPerMinute = 20
	testsAtOnce    = 2
)

// userTurns counts what each user has begun in one minute, and what of it is under
// way.
type userTurns struct {
	perMinute, atOnce int

	mu      sync.Mutex
	minute  int64 // since 1970
	begun   map[int64]int
	running map[int64]int
}

// begin counts a turn of a user, and says false where there are too many.
func (u *userTurns) begin(user, minute int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.running == nil {
		u.running = make(map[int64]int)
	}
	if u.minute != minute || u.begun == nil {
		u.minute, u.begun = minute, make(map[int64]int)
	}
	if u.running[user] >= u.atOnce || u.begun[user] >= u.perMinute {
		return false
	}
	u.running[user]++
	u.begun[user]++
	return true
}

func (u *userTurns) end(user int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.running[user]--; u.running[user] <= 0 {
		delete(u.running, user)
	}
}

// Test connects to a server anew and says what is missing. Each user has few at
// a time and a minute, and only an administrator is told of Unix sockets,
// link-local addresses and pgam's own ports, and how exactly a host did not
// answer.
func (g *Group) Test(ctx context.Context, t target.Target) (live.Report, error) {
	user, _ := User(ctx)
	admin := user.Role.Allows(account.Admin)
	if what := g.offLimits(t); what != "" && !admin {
		return live.Report{}, NewError(http.StatusForbidden, "The server is at "+what+": only an administrator may test it")
	}
	if !g.tests.begin(user.ID, g.Now().Unix()/60) {
		return live.Report{}, NewError(http.StatusTooManyRequests, "Too many tests of servers: wait for those under way, or a minute").with("Retry-After", "60")
	}
	defer g.tests.end(user.ID)
	report := g.Live.Test(ctx, t)
	if !admin {
		blur(&report)
	}
	return report, nil
}

// offLimits says what of a server's addresses is none of an operator's; empty:
// nothing.
func (g *Group) offLimits(t target.Target) string {
	if strings.HasPrefix(t.Endpoint.Host, "/") {
		return "a Unix socket"
	}
	shell := t.Shell.Host
	if shell == "" {
		shell = t.Endpoint.Host
	}
	for _, at := range []struct {
		host string
		port int
	}{{t.Endpoint.Host, t.Endpoint.Port}, {shell, t.Shell.Port}} {
		host := strings.Trim(at.host, "[]")
		ip, err := netip.ParseAddr(host)
		switch {
		case err == nil && ip.IsLinkLocalUnicast():
			return "a link-local address"
		case (err == nil && (ip.IsLoopback() || ip.IsUnspecified()) || strings.EqualFold(host, "localhost")) && slices.Contains(g.OwnPorts, at.port):
			return "a port of pgam's own"
		}
	}
	return ""
}

// nobodyAnswers is all that an operator is told of an address at which there is
// no PostgreSQL: whether something listens there, and what, is not said.
const nobodyAnswers = "no PostgreSQL answers at this address: check host, port, firewall and TLS mode; an administrator is told more"

// blur takes out of a report what tells one silent address from another.
func blur(report *live.Report) {
	switch report.Status.Reason {
	case sample.Timeout, sample.Unreachable, sample.Refused, sample.ConnectionLost, sample.TLSFailed, sample.Malformed, sample.Other, sample.Oversized:
	default:
		return
	}
	if report.Status.Version != nil {
		return // one that answered and then failed
	}
	report.Status.Explanation, report.Duration = nobodyAnswers, 0
	for i := range report.Findings {
		if report.Findings[i].Name == "connection" {
			report.Findings[i].Detail = nobodyAnswers
		}
	}
}
