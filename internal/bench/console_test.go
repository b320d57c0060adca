package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pgam/pgam/internal/browsertest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/synth"
)

const (
	consoleRounds = 5
	fleetSize     = 1000
)

// watching is told to a page before it begins: when its first chart, and when all
// of it, was painted, in milliseconds from begun(). What is drawn when a frame is
// asked for is on the screen after that frame's work.
const watching = `
window.begun = () => { window.began = performance.now(); window.asked = performance.getEntriesByType("resource").length; };
window.painted = ready => new Promise(done => {
	const look = () => ready() ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - window.began))) : requestAnimationFrame(look);
	look();
});
window.first = shows => () => { const e = document.querySelector(shows); return e && e.closest("[aria-busy]")?.ariaBusy !== "true"; };
window.whole = shows => () => document.querySelector(shows) && !document.querySelector('[aria-busy="true"]');
window.answered = part => Math.max(...performance.getEntriesByType("resource").slice(window.asked).filter(r => r.name.includes(part)).map(r => r.duration));
window.questions = () => performance.getEntriesByType("resource").slice(window.asked).filter(r => r.name.includes("/api/v1/") && !r.name.endsWith("/api/v1/session")).map(r => r.name.replace(/^[^/]*\/\/[^/]*\/api\/v1|\?.*$/g, ""));
`

// feeding answers the live stream with ticks that come as fast as they are taken:
// fifty sessions, of which most change from tick to tick and twelve wait.
const feeding = `
const plain = window.fetch;
window.feed = null;
window.fetch = (address, options) => {
	if (!String(address).includes("/stream?")) return plain(address, options);
	return Promise.resolve(new Response(new ReadableStream({start(c) {
		const text = new TextEncoder();
		let at = Math.floor(Date.now() / 1000) * 1000;
		window.fed = 0;
		window.feed = () => {
			at += 1000;
			const n = ++window.fed;
			const activity = Array.from({length: 50}, (_, i) => ({
				application: "app-" + i % 7, backend_age_seconds: n, backend_type: "client backend", blocked_by: i > 38 ? [1000 + (n + i) % 20] : [], client_addr: "10.0.0." + i,
				database: "shop", leader_pid: null, pid: 1000 + (i < 10 ? i : i + n % 97), query: "select id from orders where id = ? and shop = ? /* " + (n * 7 + i) % 300 + " */", query_age_seconds: i + n % 10,
				query_id: String((n * 7 + i) % 300), state: "active", state_age_seconds: i, user: "web", wait_class: i > 38 ? "lock" : i % 3 ? "cpu" : "io", wait_event: null, wait_event_type: null, xact_age_seconds: i}));
			c.enqueue(text.encode("event: tick\ndata: " + JSON.stringify({activity, at: new Date(at).toISOString(), connections: {active: 50, idle: 100}, edges: [], hidden: 0, problem: null, roots: [],
				sessions: {cpu: 25, io: 13, lock: 12, lwlock: 0, ipc: 0, client: 0, timeout: 0, buffer: 0, extension: 0, other: 0, idle_in_transaction: 0}, untracked: 0, waiting: 12}) + "\n\n"));
		};
	}}), {status: 200, headers: {"Content-Type": "text/event-stream"}}));
};
`

// viewer is a browser that has logged in.
type viewer struct {
	*browsertest.Browser
	*past
}

func (v *viewer) open(b *testing.B, path string) chromedp.Action {
	b.Helper()
	return chromedp.Navigate("http://" + v.addr + path)
}

// awaited evaluates what the page promises.
func awaited(script string, to any) chromedp.Action {
	return chromedp.Evaluate(script, to, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) })
}

// BenchmarkConsole measures what who looks at the console feels, in a real
// browser on the same machine: a month of one server's load from the click until
// it is painted, and each page's first view; a fleet of a thousand as it is
// scrolled; an hour of the live stream. PGAM_BENCH_TICKS says how many ticks.
func BenchmarkConsole(b *testing.B) {
	p := makePast(b, pastServer(b), "console", 1, fromEnvironment("PGAM_BENCH_DAYS", 31), time.Now().UTC().Truncate(time.Second))
	v := &viewer{Browser: browsertest.Start(b, p.addr), past: p}
	v.Allow("status of 401")
	v.Run(b, "prepare", performance.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(watching).Do(ctx)
		return err
	}), emulation.SetDeviceMetricsOverride(1280, 900, 1, false),
		v.open(b, "/ui/"), chromedp.WaitVisible(`input[name=username]`), chromedp.SendKeys(`input[name=username]`, benchLogin),
		chromedp.SendKeys(`input[name=password]`, benchPassword+kb.Enter), chromedp.WaitVisible(`main table`))
	name := "/ui/s/" + synth.Name(1)
	b.Run("month", func(b *testing.B) { v.month(b) })
	for _, at := range []struct{ name, path, shows string }{
		{"fleet", "/ui/", "main table"},
		{"load", name, ".chart canvas"},
		{"instant", name + "/at/now", "main table, .empty"},
		{"locks", name + "/locks", ".chart canvas"},
		{"incident", name + "/incident", ".chart canvas"},
		{"databases", name + "/databases", "main table"},
		{"servers", "/ui/servers", "main table"},
	} {
		b.Run("view/"+at.name, func(b *testing.B) { v.view(b, at.path, at.shows) })
	}
	b.Run("stream", func(b *testing.B) { v.stream(b, name+"/live", fromEnvironment("PGAM_BENCH_TICKS", 3600)) })
	b.Run("fleet", func(b *testing.B) { v.fleet(b) })
}

// month goes from the fleet to a month of a server.
func (v *viewer) month(b *testing.B) {
	b.Helper()
	const click = `(async () => {
		begun();
		document.querySelector("a.name").click();
		const chart = await painted(() => document.querySelector(".chart canvas") && first(".chart")());
		const asked = questions().length;
		return [chart, await painted(whole(".two table")), asked, answered("/history/activity")];
	})()`
	for b.Loop() {
		var charts, all, asked, api []float64
		for range consoleRounds {
			var took []float64
			v.Run(b, "a month", v.open(b, "/ui/?last=30d"), chromedp.WaitVisible(`a.name`), chromedp.Poll(`!document.querySelector('[aria-busy="true"]')`, nil),
				awaited(click, &took))
			charts, all, asked, api = append(charts, took[0]), append(all, took[1]), append(asked, took[2]), append(api, took[3])
		}
		b.ReportMetric(median(charts), "chart-ms")
		b.ReportMetric(median(all), "page-ms")
		b.ReportMetric(median(asked), "questions")
		b.ReportMetric(median(api), "activity-ms")
		b.ReportMetric(300, "goal-ms")
		b.ReportMetric(0, "ns/op")
	}
}

// view opens a page anew, and says how long scripts ran until what it shows first
// was there, and how many questions it had asked by then.
func (v *viewer) view(b *testing.B, path, shows string) {
	b.Helper()
	for b.Loop() {
		var firsts, scripts, asked []float64
		for range consoleRounds {
			var took float64
			var questions []string
			var ran float64
			v.Run(b, path, v.open(b, path),
				awaited(fmt.Sprintf(`(async () => { window.began = 0; window.asked = 0; return await painted(first(%q)); })()`, shows), &took),
				chromedp.Evaluate(`questions()`, &questions),
				chromedp.ActionFunc(func(ctx context.Context) error {
					metrics, err := performance.GetMetrics().Do(ctx)
					for _, m := range metrics {
						if m.Name == "ScriptDuration" {
							ran = m.Value
						}
					}
					return err
				}))
			firsts, scripts, asked = append(firsts, took), append(scripts, ran*1000), append(asked, float64(len(questions)))
		}
		b.ReportMetric(median(firsts), "first-ms")
		b.ReportMetric(median(scripts), "script-ms")
		b.ReportMetric(median(asked), "questions")
		b.ReportMetric(0, "ns/op")
	}
}

// stream feeds the live page, and says by how much it grew from the time when its
// five minutes were full.
func (v *viewer) stream(b *testing.B, path string, ticks int) {
	b.Helper()
	for b.Loop() {
		heap := func() (kilobytes, nodes float64) {
			v.Run(b, "weigh", heapprofiler.CollectGarbage(), chromedp.ActionFunc(func(ctx context.Context) error {
				metrics, err := performance.GetMetrics().Do(ctx)
				for _, m := range metrics {
					switch m.Name {
					case "JSHeapUsedSize":
						kilobytes = m.Value / 1024
					case "Nodes":
						nodes = m.Value
					}
				}
				return err
			}))
			return kilobytes, nodes
		}
		feed := func(to int) {
			for more := true; more; {
				v.Run(b, "feed", awaited(fmt.Sprintf(`(async () => {
					for (let i = 0; i < 50 && fed < %d; i++) { feed(); await new Promise(r => requestAnimationFrame(() => setTimeout(r))); }
					return fed < %[1]d;
				})()`, to), &more))
			}
		}
		var script page.ScriptIdentifier
		v.Run(b, "live", chromedp.ActionFunc(func(ctx context.Context) (err error) {
			script, err = page.AddScriptToEvaluateOnNewDocument(feeding).Do(ctx)
			return err
		}), v.open(b, path), chromedp.Poll(`window.feed`, nil))
		begin := time.Now()
		feed(600)
		before, nodes := heap()
		feed(ticks)
		after, more := heap()
		b.ReportMetric(float64(ticks), "ticks")
		b.ReportMetric(float64(time.Since(begin).Milliseconds())/float64(ticks), "ms/tick")
		b.ReportMetric(before, "kB-full")
		b.ReportMetric(after, "kB-end")
		b.ReportMetric(nodes, "nodes-full")
		b.ReportMetric(more, "nodes-end")
		b.ReportMetric(0, "ns/op")
		v.Run(b, "leave", page.RemoveScriptToEvaluateOnNewDocument(script), v.open(b, "/ui/"))
	}
}

// fleet scrolls through a thousand servers, a screen in a third of a second.
func (v *viewer) fleet(b *testing.B) {
	b.Helper()
	pgtest.Exec(b, v.dsn, fmt.Sprintf(`
insert into pgam.server overriding system value
select (jsonb_populate_record(s, jsonb_build_object('id', 1000 + n, 'name', 'made-up-' || n + 1))).*
  from pgam.server s cross join generate_series(1, %d) n
 where s.id = (select min(id) from pgam.server)`, fleetSize-1))
	for table, when := range map[string]string{"activity_minute": "minute", "activity_recent": "slot", "progress": "now()"} {
		pgtest.Exec(b, v.dsn, fmt.Sprintf(`
insert into history.%[1]s
select (jsonb_populate_record(t, jsonb_build_object('server_id', s.id))).*
  from history.%[1]s t
 cross join pgam.server s
 where t.server_id = (select min(id) from pgam.server)
   and s.id > 1000
   and %[2]s > now() - interval '2 hours'`, table, when))
	}
	pgtest.Exec(b, v.dsn, "analyze")
	const scroll = `(async () => {
		const took = [];
		let last = performance.now();
		const frame = () => new Promise(requestAnimationFrame);
		for (let y = 0; y < document.documentElement.scrollHeight - innerHeight && took.length < 600; y += 45) {
			scrollTo(0, y);
			await frame();
			took.push(performance.now() - last);
			last = performance.now();
		}
		return took;
	})()`
	for b.Loop() {
		var rates, worst, late, firsts []float64
		for range consoleRounds {
			var took []float64
			var opened float64
			v.Run(b, "scroll", v.open(b, "/ui/"),
				awaited(`(async () => { window.began = 0; return await painted(() => document.querySelectorAll("main tbody tr").length > 10); })()`, &opened),
				chromedp.Poll(`!document.querySelector('[aria-busy="true"]')`, nil), awaited(scroll, &took))
			if len(took) < 300 {
				b.Fatalf("%d frames: the fleet is too short", len(took))
			}
			sum, slow := 0.0, 0.0
			for _, ms := range took {
				sum += ms
				if ms > 34 {
					slow++
				}
			}
			rates, worst = append(rates, float64(len(took))/sum*1000), append(worst, slices.Max(took))
			late, firsts = append(late, slow/float64(len(took))*100), append(firsts, opened)
		}
		b.ReportMetric(median(rates), "frames/s")
		b.ReportMetric(median(worst), "worst-ms")
		b.ReportMetric(median(late), "%late")
		b.ReportMetric(median(firsts), "first-ms")
		b.ReportMetric(0, "ns/op")
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
