package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// What needs no browser is tested by node: numbers, ranges, stacks, trees, the
// order of the fleet, and whether colours are told apart.
func TestUnits(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") != "" { //nolint:forbidigo // the test's own
			t.Fatal("node is not installed: .ci/install-test-deps.sh installs it with npm, with WITH_NPM=1")
		}
		t.Skip("node is not installed")
	}
	sheet, err := os.ReadFile("src/app.css")
	if err != nil {
		t.Fatal(err)
	}
	themes := strings.SplitN(string(sheet), "prefers-color-scheme: dark", 2)
	light := variablesOf(themes[0], nil)
	dark := variablesOf(themes[1][:strings.Index(themes[1], "@media")], light)
	palette, err := os.ReadFile("src/lib/palette.ts")
	if err != nil {
		t.Fatal(err)
	}
	stacked := regexp.MustCompile(`waitClasses = \[([^\]]*)\]`).FindSubmatch(palette)
	classes := regexp.MustCompile(`[a-z_]+`).FindAllString(string(stacked[1]), -1)
	for i := range classes {
		classes[i] = strings.ReplaceAll(classes[i], "_", "-")
	}
	known, err := json.Marshal(map[string]any{"variables": map[string]any{"light": light, "dark": dark}, "classes": classes})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: dir, EntryPoints: []string{"src/tests.ts"}, NodePaths: []string{filepath.Join(dir, "vendor")}, TsconfigRaw: "{}",
		Bundle: true, Format: api.FormatESModule, Target: api.ES2022, LogLevel: api.LogLevelSilent,
		Banner: map[string]string{"js": `import {test} from "node:test"; const {variables, classes} = ` + string(known) + `;`},
	})
	if len(result.Errors) > 0 {
		t.Fatal(api.FormatMessages(result.Errors, api.FormatMessagesOptions{}))
	}
	file := filepath.Join(t.TempDir(), "tests.mjs")
	if err := os.WriteFile(file, result.OutputFiles[0].Contents, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=spec", file).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if ran := regexp.MustCompile(`tests (\d+)`).FindSubmatch(out); ran == nil || string(ran[1]) == "0" {
		t.Errorf("no test ran:\n%s", out)
	}
}

// variablesOf gives the colours of a part of the style sheet, over others.
func variablesOf(part string, under map[string]string) map[string]string {
	found := make(map[string]string)
	maps.Copy(found, under)
	for _, m := range regexp.MustCompile(`(--[a-z0-9-]+): (#[0-9a-f]+);`).FindAllStringSubmatch(part, -1) {
		found[m[1]] = m[2]
	}
	return found
}
