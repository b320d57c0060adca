package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe looks at a page as those do who help people that do not see it, or use no
// mouse. It is put into the page by tests alone; its licence lies beside it.
//
//go:embed libraries/axe-core/axe.min.js
var axe string

// inaccessible gives what is serious, or worse, about the page as it is now.
const inaccessible = `axe.run(document, {resultTypes: ["violations"], preload: false}).then(r => JSON.stringify(
	r.violations.filter(v => v.impact === "serious" || v.impact === "critical").map(v => ({
		rule: v.id, impact: v.impact, help: v.help,
		nodes: v.nodes.map(n => n.target.join(" ") + " " + n.html.slice(0, 160) + " " + n.failureSummary.replace(/\s+/g, " ")),
	}))))`

// Inaccessible says what of the page as it is stands in the way of who uses a
// screen reader, the keyboard or few colours: what axe-core calls serious or
// critical. It looks from a world of its own, which the page's policy does not
// bind and the page does not see.
func (b *Browser) Inaccessible(t *testing.T, what string) (found []string) {
	t.Helper()
	var said string
	b.Run(t, what, chromedp.ActionFunc(func(ctx context.Context) error {
		tree, err := page.GetFrameTree().Do(ctx)
		if err != nil {
			return err
		}
		world, err := page.CreateIsolatedWorld(tree.Frame.ID).WithWorldName("axe").Do(ctx)
		if err != nil {
			return err
		}
		for _, script := range []string{axe + ";0", inaccessible} {
			result, thrown, err := runtime.Evaluate(script).WithContextID(world).WithAwaitPromise(true).WithReturnByValue(true).Do(ctx)
			if err != nil {
				return err
			}
			if thrown != nil {
				return thrown
			}
			if script == inaccessible {
				return json.Unmarshal(result.Value, &said)
			}
		}
		return nil
	}))
	var violations []struct {
		Rule   string   `json:"rule"`
		Impact string   `json:"impact"`
		Help   string   `json:"help"`
		Nodes  []string `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(said), &violations); err != nil {
		t.Fatalf("%s: axe-core says %q: %v", what, said, err)
	}
	for _, v := range violations {
		more := ""
		if n := len(v.Nodes) - 3; n > 0 {
			more = fmt.Sprintf("\n  and %d more", n)
		}
		found = append(found, fmt.Sprintf("%s: %s, %s: %s\n  %s%s", what, v.Rule, v.Impact, v.Help, strings.Join(v.Nodes[:min(3, len(v.Nodes))], "\n  "), more))
	}
	return found
}
