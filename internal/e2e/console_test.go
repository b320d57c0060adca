package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/browsertest"
	"github.com/pgam/pgam/internal/pgtest"
)

// The pictures of docs/CONSOLE.md are taken of a make demo that has run for an hour.
var (
	consolePictures = flag.String("console-pictures", "", "folder to keep pictures of a running make demo in")
	consoleURL      = flag.String("console-url", "http://127.0.0.1:8000", "where it runs")
	consolePassword = flag.String("console-password", "", "the password of admin there")
)

const (
	// markup is a name that must stay a text wherever it is shown.
	markup       = `<img src=x onerror=alert(1)>"'&lt;<script>alert(2)</script>`
	markupServer = `prod <b onmouseover=alert(3)>db & "co"`
)

// consoleScene is a server in trouble that pgam watches, and a browser before the
// console.
type consoleScene struct {
	*everything
	*browsertest.Browser
	path  string // of the server's page
	on    *pgtest.Server
	scene scene
	at    time.Time
}

func startConsole(t *testing.T) *consoleScene {
	t.Helper()
	target := startTarget(t)
	played := target.play(t)
	hostile, err := pgx.ParseConfig(target.SuperuserDSN())
	if err != nil {
		t.Fatal(err)
	}
	hostile.RuntimeParams["application_name"] = markup
	conn, err := pgx.ConnectConfig(t.Context(), hostile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), `begin; select count(*) as "<script>alert(4)</script>" from pg_class`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}

	c := &consoleScene{everything: up(t, dataFolder(t)), path: "/ui/s/" + url.PathEscape(markupServer), on: target.Server, scene: played}
	c.login(t, c.Password)
	c.call(t, http.StatusCreated, http.MethodPost, "/api/v1/servers", map[string]any{
		"name": markupServer, "host": target.Host(), "port": target.Port(), "user": pgtest.User, "password": pgtest.Password, "query_texts": "full",
	})
	pgtest.WaitFor(t, func() bool {
		now := get[momentAnswer](t, c.everything, "/api/v1/servers/%s/history/at", url.PathEscape(markupServer))
		if now.SampledAt == nil || now.Blocking.Waiting < 2 || now.Total < 5 {
			return false
		}
		c.at = *now.SampledAt
		return true
	}, "the trouble to be in the history")
	target.bench(t, "-n", "-c", "3", "-T", "6")
	host := strings.TrimPrefix(c.APIURL, "http://")
	c.Browser = browsertest.Start(t, host)
	// The browser tells of each 401; what the page does about it is what is tested.
	c.Allow("status of 401")
	return c
}

// logIn fills in the form, which is there because nobody is logged in.
func (c *consoleScene) logIn(t *testing.T) {
	t.Helper()
	c.Run(t, "log in",
		chromedp.WaitVisible(`input[name=username]`), chromedp.SendKeys(`input[name=username]`, c.Login),
		chromedp.SendKeys(`input[name=password]`, c.Password+kb.Enter), chromedp.WaitVisible(`header.top`))
}

// see waits for a text on the page.
func see(text string) chromedp.Action {
	quoted := `"` + text + `"`
	if strings.Contains(text, `"`) {
		quoted = `'` + text + `'`
	}
	return chromedp.WaitVisible(`//*[contains(normalize-space(.), `+quoted+`)][not(self::script)]`, chromedp.BySearch)
}

// A person logs in, finds the server in trouble, and who started it, in four
// steps; nothing that a server says becomes markup; who is logged out comes back
// to where they were.
func TestConsole(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	c.Run(t, "open", chromedp.Navigate(c.APIURL+"/"))
	c.logIn(t)

	var alerts string
	c.Run(t, "from the fleet to the blocker",
		see("sessions wait for another"),
		chromedp.Click(`//a[contains(@class, "name")][contains(., "onmouseover")]`, chromedp.BySearch), // 1
		chromedp.WaitVisible(`//h2[contains(., "Top by")]`, chromedp.BySearch), chromedp.WaitVisible(`.chart canvas`),
	)
	// The newest second that was seen; where it is not told yet who waits, the next.
	pgtest.WaitFor(t, func() bool {
		var told bool
		c.Run(t, "the newest second", chromedp.Focus(`.plot`), chromedp.KeyEvent(kb.End), chromedp.KeyEvent(kb.Enter), // 2, 3
			chromedp.WaitVisible(`.panel`), chromedp.Poll(`!document.querySelector('[aria-busy="true"]')`, nil),
			chromedp.Evaluate(`!!document.querySelector(".panel table[role=treegrid]")`, &told))
		return told
	}, "a second with its tree")
	c.Run(t, "to the blocker",
		chromedp.Click(`//a[contains(., "Open this second")]`, chromedp.BySearch), // 4
		chromedp.WaitVisible(`h1`), chromedp.WaitVisible(`table[role=treegrid]`),
		see(`<img src=x onerror=alert(1)>`), see(`as "<script>alert(4)</script>"`),
	)
	for level, application := range []string{"e2e-holder", "e2e-waiter-1", "e2e-waiter-2"} {
		var found []*cdp.Node
		c.Run(t, application, chromedp.Nodes(fmt.Sprintf(`//tr[@aria-level=%d][contains(., %q)]`, level+1, application), &found, chromedp.BySearch))
	}
	c.Run(t, "markup stays text",
		chromedp.Evaluate(`String(document.querySelectorAll("main img, main script, [onmouseover], [onerror]").length)`, &alerts))
	if alerts != "0" {
		t.Errorf("%s elements were made of names", alerts)
	}

	c.Run(t, "log out in the middle", network.ClearBrowserCookies(),
		chromedp.KeyEvent("g"), chromedp.KeyEvent("l"), chromedp.WaitVisible(`input[name=password]`))
	c.logIn(t)
	var where string
	c.Run(t, "be where one was", chromedp.WaitVisible(`.chart canvas`), chromedp.Location(&where))
	if at, err := url.Parse(where); err != nil || at.Path != "/ui/s/"+markupServer {
		t.Errorf("after logging in again the page is %s, %v, want that of %s", where, err, markupServer)
	}
	c.forgotten(t)
	c.byKeys(t)
	c.stillAndPrinted(t)
	c.acts(t, c.on)
	c.looks(t)
}

// heldUpBy gives the query_id of the statement that the longest episode's blocker ran.
func (c *consoleScene) heldUpBy(t *testing.T) string {
	t.Helper()
	held := get[struct {
		Episodes []struct {
			Root struct {
				QueryID *string `json:"query_id"`
			} `json:"root"`
		} `json:"episodes"`
	}](t, c.everything, "/api/v1/servers/%s/history/blocking", url.PathEscape(markupServer))
	if len(held.Episodes) == 0 || held.Episodes[0].Root.QueryID == nil {
		t.Fatalf("nobody who held others up, or not what they ran: %+v", held.Episodes)
	}
	return *held.Episodes[0].Root.QueryID
}

// looks opens every page at the widths of a phone, a notebook and a wall, in
// light and dark.
func (c *consoleScene) looks(t *testing.T) {
	t.Helper()
	instant := c.at.Format(time.RFC3339Nano)
	var inaccessible []string
	for _, p := range []struct {
		name, path string
		shows      string // what says that it is there
	}{
		{"fleet", "/ui/", `table tbody tr`},
		{"load", c.path + "?last=15m", `.chart canvas`},
		{"load-by-query", c.path + "?by=query&f=user:postgres&f=!application:nobody&compare=before&peak=1&last=15m", `.chart canvas`},
		{"load-last-week", c.path + "?by=query&compare=week&last=15m", `.two`},
		{"disks", "/ui/s/local/disks?last=15m", `.chart canvas`},
		{"no-disks", c.path + "/disks", `.empty`},
		{"instant", c.path + "/at/" + instant, `table[role=treegrid]`},
		{"incident", c.path + "/incident?window=2m&at=" + instant, `.chart canvas`},
		{"incident-which", c.path + "/incident?last=15m", `.at-form`},
		{"locks", c.path + "/locks?last=15m", `.chart canvas`},
		{"live", c.path + "/live?tab=blocking", `table[role=treegrid]`},
		{"session", c.path + "/session?last=15m&pid=" + strconv.Itoa(int(c.scene["e2e-holder"].pid)), `.gantt`},
		{"session-which", c.path + "/session", `main form`},
		{"query", c.path + "/q/123?last=15m", `.query-head`},
		{"query-that-held", c.path + "/q/" + c.heldUpBy(t) + "?last=15m", `table[aria-label="whom it held up"] tbody tr`},
		{"databases", c.path + "/databases", `main table`},
		{"database", c.path + "/databases/postgres?last=15m", `.chart canvas`},
		{"all-databases", "/ui/databases", `main table`},
		{"servers", "/ui/servers", `main table`},
		{"new-server", "/ui/servers/new", `main form`},
		{"edit-server", c.path + "/edit", `main form`},
		{"keys", "/ui/ssh-keys", `main form`},
		{"settings", "/ui/settings", `main table, main form`},
		{"users", "/ui/users", `.cards section`},
		{"password", "/ui/password", `main form`},
		{"audit", "/ui/audit", `main table`},
		{"monitor", "/ui/monitor", `main table`},
		{"nothing", "/ui/s/nobody", `.problem`},
	} {
		if p.name == "nothing" {
			c.Allow("status of 404")
		}
		for _, width := range []int64{375, 1280, 2560} {
			c.Run(t, p.name, emulation.SetDeviceMetricsOverride(width, 900, 1, false), chromedp.Navigate(c.APIURL+p.path))
			for _, theme := range []string{"light", "dark"} {
				what := fmt.Sprintf("%s at %d, %s", p.name, width, theme)
				var beyond int
				var wide string
				c.Run(t, what,
					emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}),
					chromedp.WaitVisible(p.shows),
					chromedp.Poll(`!document.querySelector('[aria-busy="true"]')`, nil),
					chromedp.Evaluate(`document.documentElement.scrollWidth - innerWidth`, &beyond),
					chromedp.Evaluate(`[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + "." + e.className).slice(0, 5).join(" ")`, &wide))
				if beyond > 0 {
					t.Errorf("%s: the page scrolls sideways by %d px: %s", what, beyond, wide)
				}
				if width == 1280 {
					inaccessible = append(inaccessible, c.Inaccessible(t, what)...)
				}
			}
		}
	}
	for _, found := range inaccessible {
		t.Error(found)
	}
}

// The pictures are as large as a page, and small as files.
func TestConsolePictures(t *testing.T) {
	t.Parallel()
	if *consolePictures == "" {
		t.Skip("takes pictures of a running make demo: -console-pictures, -console-url, -console-password")
	}
	c := &consoleScene{everything: &everything{APIURL: *consoleURL, Login: "admin", Password: *consolePassword}, Browser: browsertest.Start(t, strings.TrimPrefix(*consoleURL, "http://"))}
	c.Allow("status of 401")
	c.Run(t, "open", chromedp.Navigate(c.APIURL+"/ui/"))
	c.logIn(t)
	c.login(t, c.Password)
	incident := get[struct {
		Blockers []struct {
			MostAt time.Time `json:"most_at"`
		} `json:"blockers"`
	}](t, c.everything, "/api/v1/servers/local/incident")
	if len(incident.Blockers) == 0 {
		t.Fatal("nobody was held up in the last ten minutes: wait a little")
	}
	query := *get[struct {
		Rows []struct {
			Key *string `json:"key"`
		} `json:"rows"`
	}](t, c.everything, "/api/v1/servers/local/history/top?by=query&wait_class=lock").Rows[0].Key
	at := incident.Blockers[0].MostAt.Add(2 * time.Millisecond).Format(time.RFC3339Nano)
	for _, p := range []struct{ name, path, shows, theme string }{
		{"fleet", "/ui/", `table tbody tr`, "light"},
		{"load", "/ui/s/made-up-3?last=6h", `.two table`, "light"},
		{"load-dark", "/ui/s/made-up-3?last=1d&by=application&compare=before", `.two table`, "dark"},
		{"instant", "/ui/s/local/at/" + at, `table[role=treegrid]`, "light"},
		{"incident", "/ui/s/local/incident?at=" + at, `.chart canvas`, "light"},
		{"locks", "/ui/s/local/locks?last=15m", `main table`, "light"},
		{"live", "/ui/s/local/live", `main tbody tr`, "dark"},
		{"query", "/ui/s/local/q/" + query + "?last=15m", `.query-head pre`, "light"},
		{"databases", "/ui/databases", `main table`, "light"},
		{"disks", "/ui/s/local/disks?last=1h", `.chart canvas`, "light"},
		{"servers", "/ui/servers", `main table`, "light"},
		{"monitor", "/ui/monitor", `main table`, "light"},
	} {
		var shot []byte
		c.Run(t, p.name,
			emulation.SetDeviceMetricsOverride(1280, 820, 1, false),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: p.theme}}),
			chromedp.Navigate(c.APIURL+p.path), chromedp.WaitVisible(p.shows), chromedp.Poll(`!document.querySelector('[aria-busy="true"]')`, nil),
			chromedp.CaptureScreenshot(&shot))
		shown, err := png.Decode(bytes.NewReader(shot))
		if err != nil {
			t.Fatal(err)
		}
		var small bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, shown); err != nil {
			t.Fatal(err)
		}
		if small.Len() > 150_000 {
			t.Errorf("%s has %d bytes, want at most 150 kB", p.name, small.Len())
		}
		if err := os.WriteFile(filepath.Join(*consolePictures, p.name+".png"), small.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
