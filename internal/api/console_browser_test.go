package api_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/browsertest"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// awayFleet is a history that is away until it is told to be back.
type awayFleet struct {
	route.History
	back atomic.Bool
}

func (f *awayFleet) Fleet(ctx context.Context, now time.Time) (map[target.ID]*history.FleetServer, error) {
	if !f.back.Load() {
		return nil, fmt.Errorf("read fleet: %w", statsdb.ErrUnavailable)
	}
	return f.History.Fleet(ctx, now)
}

// While stats_db is away the page says so and what it does about it, and it mends
// itself; a fleet without servers says what to do.
func TestConsoleWhileStatsDBIsAway(t *testing.T) {
	t.Parallel()
	fleet := new(awayFleet)
	a := startAPI(t, func(c *api.Config) { fleet.History, c.Services.History = c.Services.History, fleet })
	b := browsertest.Start(t, strings.TrimPrefix(a.URL, "http://"))
	b.Allow("status of 401", "status of 503") // the browser tells of them, too
	var said, empty string
	b.Run(t, "a wrong password", chromedp.Navigate(a.URL+"/ui/"), chromedp.WaitVisible(`input[name=username]`),
		chromedp.SendKeys(`input[name=username]`, "viewer"), chromedp.SendKeys(`input[name=password]`, "guessed"+kb.Enter),
		chromedp.WaitVisible(`.login .problem`))
	b.Run(t, "stats_db is away",
		chromedp.SendKeys(`input[name=password]`, password+kb.Enter),
		chromedp.WaitVisible(`main > div > .problem`), chromedp.Text(`.problem`, &said))
	if !strings.Contains(said, "stats_db is not available") || !strings.Contains(said, "asked again") {
		t.Errorf("the page says %q", said)
	}
	fleet.back.Store(true)
	b.Run(t, "stats_db is back", chromedp.WaitVisible(`.empty`), chromedp.Text(`.empty`, &empty))
	if !strings.Contains(empty, "grant pg_monitor to pgam") || !strings.Contains(empty, "pgam server add") {
		t.Errorf("a fleet without servers says %q", empty)
	}
}

// Who logs out is told where that did not happen, and who logs in next on the same
// page sees nothing of what was asked before.
func TestConsoleForgetsWhoWasThere(t *testing.T) {
	t.Parallel()
	fleet := new(awayFleet)
	fleet.back.Store(true)
	a := startAPI(t, func(c *api.Config) { fleet.History, c.Services.History = c.Services.History, fleet })
	b := browsertest.Start(t, strings.TrimPrefix(a.URL, "http://"))
	b.Allow("status of 401", "status of 500", "status of 503")
	logIn := func(who account.Role) chromedp.Action {
		return chromedp.Tasks{
			chromedp.WaitVisible(`input[name=username]`), chromedp.SendKeys(`input[name=username]`, string(who)),
			chromedp.SendKeys(`input[name=password]`, password+kb.Enter),
		}
	}
	const logOut = `//button[contains(., "Log out")]`
	b.Run(t, "log in", chromedp.Navigate(a.URL+"/ui/"), logIn(account.Viewer), chromedp.WaitVisible(`.empty`))
	pgtest.Exec(t, a.dsn, "alter table pgam.session rename to session_away")
	b.Run(t, "stay logged in", chromedp.Click(logOut, chromedp.BySearch), chromedp.WaitVisible(`//*[contains(text(), "Not logged out")]`, chromedp.BySearch))
	pgtest.Exec(t, a.dsn, "alter table pgam.session_away rename to session")

	fleet.back.Store(false)
	var left int
	b.Run(t, "another one comes", network.ClearBrowserCookies(), logIn(account.Operator), chromedp.WaitVisible(`main > div > .problem`),
		chromedp.Evaluate(`document.querySelectorAll(".empty").length`, &left))
	if left != 0 {
		t.Error("the page shows what the one before was answered")
	}
	b.Run(t, "log out", chromedp.Click(logOut, chromedp.BySearch), chromedp.WaitVisible(`input[name=username]`))
}
