package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/browsertest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sshtest"
)

// settled waits until the page has all that it has asked for.
func settled() chromedp.Action {
	return chromedp.Poll(`!document.querySelector('[aria-busy="true"]') && !!document.querySelector("main > *")`, nil)
}

// press clicks what can be clicked and shows this text.
func press(text string) chromedp.Action {
	return clicked(fmt.Sprintf("normalize-space(.)=%q", text))
}

// pressAt clicks what can be clicked and whose text begins so.
func pressAt(text string) chromedp.Action {
	return clicked(fmt.Sprintf("starts-with(normalize-space(.), %q)", text))
}

func clicked(which string) chromedp.Action {
	return chromedp.Click("//*[self::a or self::button or self::summary]["+which+"][not(@disabled)]", chromedp.BySearch, chromedp.NodeVisible)
}

// fill writes into a field, in place of what is there.
func fill(name, value string) chromedp.Action {
	field := fmt.Sprintf(`main [name=%q]`, name)
	return chromedp.Tasks{
		chromedp.WaitVisible(field), chromedp.WaitEnabled(field), chromedp.Focus(field), chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q).select()`, field), nil),
		chromedp.KeyEvent(kb.Delete), chromedp.SendKeys(field, value),
	}
}

// forgotten goes from the fleet to the transaction that somebody forgot to end,
// in four clicks, as docs/INCIDENT.md reads it.
func (c *consoleScene) forgotten(t *testing.T) {
	t.Helper()
	c.Run(t, "from the fleet to the forgotten transaction",
		chromedp.Navigate(c.APIURL+"/ui/"), see("sessions wait for another"),
		chromedp.Click(`//a[contains(@class, "name")][contains(., "onmouseover")]`, chromedp.BySearch), // 1
		press("Incident"),             // 2
		pressAt("What happened then"), // 3
		see("idle in transaction"),
		chromedp.Click(`//li[contains(., "e2e-holder")]//a[contains(., "Who waited")]`, chromedp.BySearch), // 4
		chromedp.WaitVisible(`//tr[@aria-level=1][contains(., "e2e-holder")][contains(., "idle in transaction")]`, chromedp.BySearch),
		see("update article set pieces = pieces - 1 where id = 1"),
		see(strconv.Itoa(int(c.scene["e2e-holder"].pid))),
	)
}

// byKeys reaches all that can be used on a page with the Tab key alone, and sees
// where it is.
func (c *consoleScene) byKeys(t *testing.T) {
	t.Helper()
	const reach = `(() => {
		const e = document.activeElement;
		if (!e || e === document.body) return "end";
		if (e.dataset.reached) return "again";
		e.dataset.reached = "yes";
		const s = getComputedStyle(e);
		return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0 ? "" : "unseen: " + e.outerHTML.slice(0, 120);
	})()`
	const missed = `[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
		.filter(e => e.tabIndex >= 0 && !e.disabled && !e.matches(":disabled") && e.checkVisibility({visibilityProperty: true}) && !e.dataset.reached)
		.map(e => e.outerHTML.slice(0, 120)).join("\n")`
	span := "?from=" + url.QueryEscape(c.at.Add(-60e9).Format("2006-01-02T15:04:05Z")) + "&to=" + url.QueryEscape(c.at.Add(60e9).Format("2006-01-02T15:04:05Z"))
	c.Run(t, "a screen", emulation.SetDeviceMetricsOverride(1280, 900, 1, false))
	for _, path := range []string{c.path + span, c.path + "/locks" + span, "/ui/servers/new", "/ui/settings"} {
		c.Run(t, path, chromedp.Navigate(c.APIURL+path), settled())
		for said := ""; said != "end" && said != "again"; {
			c.Run(t, path+" by keys", chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(reach, &said))
			if strings.HasPrefix(said, "unseen") {
				t.Errorf("%s: the focus is not shown: %s", path, said)
			}
		}
		var unreached string
		c.Run(t, path, chromedp.Evaluate(missed, &unreached))
		if unreached != "" {
			t.Errorf("%s: the Tab key does not come to\n%s", path, unreached)
		}
	}
}

// stillAndPrinted looks at a page as who asked for no motion, and as paper.
func (c *consoleScene) stillAndPrinted(t *testing.T) {
	t.Helper()
	var moving, printed string
	c.Run(t, "without motion",
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}, {Name: "prefers-color-scheme", Value: "dark"}}),
		chromedp.Navigate(c.APIURL+c.path+"/live"), chromedp.WaitVisible(`main tbody tr`),
		chromedp.Evaluate(`[...document.querySelectorAll("*")].filter(e => { const s = getComputedStyle(e); return s.animationName !== "none" || /[1-9]/.test(s.transitionDuration); }).map(e => e.tagName + "." + e.className).join(" ")`, &moving))
	if moving != "" {
		t.Errorf("who asked for no motion sees %s move", moving)
	}
	c.Run(t, "on paper",
		chromedp.Navigate(c.APIURL+c.path+"/incident?window=2m&at="+url.QueryEscape(c.at.Format("2006-01-02T15:04:05.999Z"))), chromedp.WaitVisible(`.chart canvas`), settled(),
		emulation.SetEmulatedMedia().WithMedia("print").WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
		chromedp.Evaluate(`JSON.stringify({
			frame: [...document.querySelectorAll(".top nav, .top button, .menu, .range .segments, .live, .toast")].filter(e => e.checkVisibility()).map(e => e.className || e.tagName),
			shown: [...document.querySelectorAll("h1, .happened li, .chart canvas")].filter(e => e.checkVisibility()).length > 2,
			paper: getComputedStyle(document.documentElement).backgroundColor, ink: getComputedStyle(document.documentElement).color})`, &printed),
		emulation.SetEmulatedMedia())
	if want := `{"frame":[],"shown":true,"paper":"rgb(255, 255, 255)","ink":"rgb(0, 0, 0)"}`; printed != want {
		t.Errorf("on paper the page is %s, want %s", printed, want)
	}
}

// Somebody who has read nothing begins with no server at all, adds one by the
// form, is told what is wrong and pastes what cures it, pins its host's key,
// pauses it and removes it; whoever may only look meets no button that is refused.
func TestConsoleStories(t *testing.T) {
	t.Parallel()
	target := startTarget(t)
	c := &consoleScene{everything: up(t, dataFolder(t))}
	c.login(t, c.Password)
	c.Browser = browsertest.Start(t, strings.TrimPrefix(c.APIURL, "http://"))
	c.Allow("status of 401")
	c.Run(t, "open", chromedp.Navigate(c.APIURL+"/ui/s/local/edit"))
	c.logIn(t)

	c.removed(t, "local")
	c.added(t, target)
	c.pinned(t)
	c.paused(t)
	c.onlyLooks(t)
}

// removed takes a server away with its history: only after its name was typed.
func (c *consoleScene) removed(t *testing.T, name string) {
	t.Helper()
	const sure = `.doom button.danger`
	c.Run(t, "remove "+name,
		press("Remove this server"), chromedp.Click(`input[name=purge]`),
		fill("confirm", name+"x"), chromedp.WaitVisible(sure+":disabled"),
		fill("confirm", name), chromedp.Click(sure+":enabled"),
		see("No server is watched yet"), see("grant pg_monitor to pgam;"))
	c.call(t, http.StatusNotFound, http.MethodGet, "/api/v1/servers/"+url.PathEscape(name), nil)
}

// added is a server that is added with a wrong password, then with a role that
// may not see others, then with what the page said to paste.
func (c *consoleScene) added(t *testing.T, target *shop) {
	t.Helper()
	const password = "a long random one"
	var grants, cure string
	c.Run(t, "add",
		chromedp.Click(`.brand`), see("No server is watched yet"), press("Add the server"),
		fill("name", "shop db"), fill("host", target.Host()), fill("port", strconv.Itoa(target.Port())), fill("user", "watcher"),
		chromedp.Text(`.paste pre`, &grants))
	create, grant, both := strings.Cut(strings.TrimSpace(grants), "\n")
	if want := "create role watcher login password '" + password + "';"; !both || create != want || grant != "grant pg_monitor to watcher;" {
		t.Fatalf("the form says to paste %q, want %q and the grant", grants, want)
	}
	target.Exec(t, create) // and forgets the rest
	c.Run(t, "with a wrong password",
		fill("password", "wrong"), press("Add and test"),
		see("Something is missing"), see("authentication failed: check user"), see("alter role watcher password"))
	c.Run(t, "with the right one",
		press("Replace"), fill("password", password), press("Save and test"),
		chromedp.WaitNotPresent(`//*[contains(@class, "findings")][contains(., "authentication failed")]`, chromedp.BySearch),
		chromedp.WaitVisible(`.findings .paste pre`), chromedp.Text(`.findings .paste pre`, &cure))
	if strings.TrimSpace(cure) != grant {
		t.Fatalf("what is said to cure it is %q, want %q", cure, grant)
	}
	target.Exec(t, cure)
	c.Run(t, "cured", press("Test again"), see("All is well"), press("Look at it"), chromedp.WaitVisible(`.chart canvas`))
	pgtest.WaitFor(t, func() bool {
		return get[momentAnswer](t, c.everything, "/api/v1/servers/shop%%20db/history/at").SampledAt != nil
	}, "the server to be sampled")
	c.Run(t, "empty answers say so",
		chromedp.Navigate(c.APIURL+"/ui/s/shop%20db/locks?last=15m"), see("Nobody waited for a lock in this range"),
		chromedp.Navigate(c.APIURL+"/ui/s/shop%20db/session?last=15m&pid=1"), see("No session 1 was sampled"),
		chromedp.Navigate(c.APIURL+"/ui/s/shop%20db?from=2020-01-01T00:00:00Z&to=2020-01-01T01:00:00Z"), settled(), chromedp.WaitVisible(`.chart canvas, .problem`))
}

// pinned makes a key, puts it on a host, and confirms the host's key by comparing
// fingerprints.
func (c *consoleScene) pinned(t *testing.T) {
	t.Helper()
	var line string
	c.Run(t, "make a key",
		chromedp.Navigate(c.APIURL+"/ui/ssh-keys"), see("There is no key yet"), press("Make or import a key"), fill("name", "watch"), press("Make"),
		chromedp.WaitVisible(`.cards .paste pre`), chromedp.Text(`.cards .paste pre`, &line))
	host := sshtest.Start(t, sshtest.WithClientKey(strings.TrimSpace(line)))
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(host.HostKeyLine))
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := ssh.FingerprintSHA256(public)
	c.Run(t, "log in to the host",
		chromedp.Navigate(c.APIURL+"/ui/s/shop%20db/edit"), pressAt("The host"),
		fill("ssh.user", host.User), fill("ssh.host", host.Host), fill("ssh.port", strconv.Itoa(host.Port)),
		chromedp.SetValue(`select[name="ssh.key"]`, "watch"), chromedp.Evaluate(`document.querySelector('select[name="ssh.key"]').dispatchEvent(new Event("change", {bubbles: true}))`, nil),
		press("Save and test"), see("Nobody has confirmed this host's key yet"), see(fingerprint))
	c.Run(t, "another fingerprint",
		fill("fingerprint", "256 SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU root (ED25519)"),
		see("This is another key"), chromedp.WaitVisible(`//button[contains(., "confirm it")][@disabled]`, chromedp.BySearch))
	c.Run(t, "the same",
		fill("fingerprint", "256 "+fingerprint+" root@shop (ED25519)"), see("It is the same."), press("It is the same: confirm it"),
		chromedp.WaitVisible(`//li[contains(., "host key")]/b[@aria-label="good"]`, chromedp.BySearch))
	row := get[struct {
		SSH struct {
			HostKey string `json:"host_key"`
		} `json:"ssh"`
	}](t, c.everything, "/api/v1/servers/shop%%20db")
	if row.SSH.HostKey != strings.TrimSpace(host.HostKeyLine) {
		t.Errorf("the pinned key is %q, want the host's %q", row.SSH.HostKey, host.HostKeyLine)
	}
}

// paused changes an interval, and pauses the server.
func (c *consoleScene) paused(t *testing.T) {
	t.Helper()
	c.Run(t, "change and pause",
		chromedp.Navigate(c.APIURL+"/ui/s/shop%20db/edit"), pressAt("How it is watched"),
		fill("intervals.activity_seconds", "5"), chromedp.Click(`input[name=enabled]`), press("Save"), see("Saved"),
		press("Manage"), chromedp.Click(`//details[@open]//a[.="Servers"]`, chromedp.BySearch),
		chromedp.WaitVisible(`//tr[contains(., "shop db")][contains(., "paused")]`, chromedp.BySearch))
	row := get[struct {
		Enabled   bool `json:"enabled"`
		Intervals struct {
			Activity int `json:"activity_seconds"`
		} `json:"intervals"`
	}](t, c.everything, "/api/v1/servers/shop%%20db")
	if row.Enabled || row.Intervals.Activity != 5 {
		t.Errorf("the server is stored as %+v, want paused, every 5 s", row)
	}
}

// onlyLooks makes a viewer, who walks all pages that the menus show and presses
// every button: the browser tells of each answer that is 403.
func (c *consoleScene) onlyLooks(t *testing.T) {
	t.Helper()
	const password = "correct horse battery"
	c.Run(t, "make a viewer",
		chromedp.Navigate(c.APIURL+"/ui/users"), press("Add a user"), fill("username", "vera"), fill("password", password), press("Add"),
		chromedp.WaitVisible(`//section//h2[contains(., "vera")]`, chromedp.BySearch), press("Log out"), chromedp.WaitVisible(`input[name=username]`))
	c.Login, c.Password = "vera", password
	c.logIn(t)
	paths := map[string]bool{"/ui/": true, "/ui/s/shop%20db/session?pid=1": true}
	for _, from := range []string{"/ui/", "/ui/s/shop%20db"} {
		var links []*cdp.Node
		c.Run(t, "menus of "+from, chromedp.Navigate(c.APIURL+from), settled(), press("Manage"),
			chromedp.Nodes(`.top nav a, .menu[open] a`, &links))
		for _, link := range links {
			paths[link.AttributeValue("href")] = true
		}
	}
	if len(paths) < 12 {
		t.Errorf("the menus lead a viewer to %d pages only: %v", len(paths), paths)
	}
	const pressAll = `[...document.querySelectorAll("main button")].filter(b => !b.disabled && !b.matches(":disabled") && !b.closest(".table-tools, .paste") && !/^(Copy|JSON|CSV)/.test(b.textContent.trim()))
		.map(b => { b.click(); return b.textContent; }).length`
	for path := range paths {
		var pressed int
		c.Run(t, "as a viewer at "+path, chromedp.Navigate(c.APIURL+path), settled(), chromedp.Evaluate(pressAll, &pressed), settled())
	}
	c.Run(t, "what is not for viewers", chromedp.Navigate(c.APIURL+"/ui/servers/new"), see("ask an administrator"))
}
