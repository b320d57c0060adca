package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/pgtest"
)

// acts cancels a statement and ends a session from the page of what goes on now;
// there are no buttons for it until somebody allows it, and the audit tells of both.
func (c *consoleScene) acts(t *testing.T, target *pgtest.Server) {
	t.Helper()
	target.Exec(t, "create role e2e_app login password '"+pgtest.Password+"'", "grant pg_signal_backend to "+pgtest.User)
	conn, err := pgx.Connect(t.Context(), target.DSN("e2e_app"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	ended := make(chan string, 1)
	sleep := func() {
		go func() {
			_, err := conn.Exec(context.WithoutCancel(t.Context()), "select pg_sleep(600)")
			code := "none"
			if said, ok := errors.AsType[*pgconn.PgError](err); ok {
				code = said.Code
			}
			ended <- code
		}()
	}
	const (
		cancel = `//aside//button[contains(., "Cancel its statement")]`
		end    = `//aside//button[contains(., "End session")]`
	)
	pid := conn.PgConn().PID()
	page := c.APIURL + c.path + fmt.Sprintf("/live?pid=%d", pid)

	sleep()
	var shown int
	c.Run(t, "nothing to act with by default", chromedp.Navigate(page), chromedp.WaitVisible(`aside.detail`),
		chromedp.Poll(`performance.getEntriesByType("resource").some((e) => /servers\/[^/]+$/.test(e.name) && e.responseEnd > 0)`, nil),
		chromedp.Evaluate(`document.querySelectorAll("aside .acts").length`, &shown))
	if shown > 0 {
		t.Error("a session can be acted on though nobody allows it")
	}
	c.call(t, http.StatusOK, http.MethodPatch, "/api/v1/servers/"+url.PathEscape(markupServer), map[string]any{"session_control": "terminate"})
	c.Run(t, "cancel", chromedp.Navigate(page), chromedp.WaitVisible(cancel, chromedp.BySearch), chromedp.Click(cancel, chromedp.BySearch),
		see("was told to cancel its statement"))
	if code := <-ended; code != "57014" {
		t.Errorf("the statement ended with %s", code)
	}
	sleep()
	c.Run(t, "end, after its pid was typed", chromedp.Navigate(page), chromedp.WaitVisible(cancel, chromedp.BySearch),
		chromedp.Click(`aside .doom summary`), chromedp.WaitVisible(end+`[@disabled]`, chromedp.BySearch),
		chromedp.SendKeys(`aside input[name=confirm]`, fmt.Sprint(pid)), chromedp.WaitVisible(end+`[not(@disabled)]`, chromedp.BySearch),
		chromedp.Click(end, chromedp.BySearch), see("was told to end"))
	if code := <-ended; code != "57P01" {
		t.Errorf("the session ended with %s", code)
	}
	c.Run(t, "the audit", chromedp.Navigate(c.APIURL+"/ui/audit?action=session.terminate"), chromedp.WaitVisible(`main table`),
		see("session.terminate"), see(fmt.Sprintf("session %d of e2e_app", pid)))
}
