package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// block is a fenced piece of a document.
type block struct {
	file string
	line int // of the first line within
	// language comes after the fence, and then the statuses of HTTP that the
	// block says it gets, beside good ones.
	language string
	statuses []string
	text     string
	// answer is the block that follows with nothing in between.
	answer *block
}

func (b *block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// parseBlocks gives the fenced blocks of a document, and what is outside of
// them.
func parseBlocks(file, text string) (blocks []*block, prose []string) {
	var inside, last *block
	number := 0
	for line := range strings.Lines(text) {
		number++
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && inside != nil:
			inside, last = nil, inside
		case fence:
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "```"))
			inside = &block{file: file, line: number + 1}
			if len(words) > 0 {
				inside.language, inside.statuses = words[0], words[1:]
			}
			if last != nil {
				last.answer = inside
			}
			last = nil
			blocks = append(blocks, inside)
		case inside != nil:
			inside.text += line
		case strings.TrimSpace(line) != "":
			last = nil
			prose = append(prose, line)
		}
	}

	return blocks, prose
}

// isShell says whether a block may hold commands.
func (b *block) isShell() bool {
	return slices.Contains([]string{"", "sh", "bash", "shell", "console"}, b.language)
}

var (
	function = regexp.MustCompile(`(?m)^(\w+)\(\) \{.*\}$`)
	asks     = regexp.MustCompile(`\bcurl\s+\S`)
	span     = regexp.MustCompile("`([^`\n]+)`")
	prompt   = "$ "
)

// functions gives those that are defined on a line of their own.
func functions(text string) (definitions, names []string) {
	for _, match := range function.FindAllStringSubmatch(text, -1) {
		definitions, names = append(definitions, match[0]), append(names, match[1])
	}

	return definitions, names
}

// command is one command of a document that is not the guide.
type command struct {
	file, text string
}

// commands gives the commands of a document that ask the API: by curl, or by a
// function of the document that does.
func commands(file, text string) (list []command, definitions []string) {
	blocks, prose := parseBlocks(file, text)
	starts := []string{}
	for _, b := range blocks {
		if !b.isShell() {
			continue
		}
		found, names := functions(b.text)
		for i, definition := range found {
			if asks.MatchString(definition) {
				definitions, starts = append(definitions, definition), append(starts, names[i]+" ")
			}
		}
	}
	add := func(text string) {
		calls := slices.ContainsFunc(starts, func(start string) bool { return strings.HasPrefix(text, start) })
		if (calls || asks.MatchString(text)) && !function.MatchString(text) {
			list = append(list, command{file, text})
		}
	}
	for _, b := range blocks {
		if b.isShell() {
			for _, one := range split(b.text) {
				add(one)
			}
		}
	}
	for _, line := range prose {
		for _, code := range span.FindAllStringSubmatch(line, -1) {
			add(code[1])
		}
	}

	return list, definitions
}

// split cuts a block into commands: lines with what continues them. Where there
// is a prompt, lines without one were printed.
func split(text string) []string {
	var list []string
	prompted := strings.HasPrefix(text, prompt) || strings.Contains(text, "\n"+prompt)
	open := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case open:
			list[len(list)-1] += "\n" + line
		case prompted && !strings.HasPrefix(line, prompt):
			continue
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			continue
		default:
			list = append(list, strings.TrimPrefix(line, prompt))
		}
		whole := list[len(list)-1]
		open = strings.HasSuffix(line, "\\") || strings.HasSuffix(line, "|") || strings.HasSuffix(line, "&&") || strings.Count(whole, "'")%2 == 1
	}

	return list
}

var instants = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// moved puts the instants of a command to where something is known: the newest
// to at, the others as long before it as they were.
func moved(text string, at time.Time) string {
	var newest time.Time
	for _, found := range instants.FindAllString(text, -1) {
		if instant, err := time.Parse(time.RFC3339, found); err == nil && instant.After(newest) {
			newest = instant
		}
	}

	return instants.ReplaceAllStringFunc(text, func(found string) string {
		instant, err := time.Parse(time.RFC3339, found)
		if err != nil {
			return found // It is for the API to refuse.
		}

		return at.Add(instant.Sub(newest)).Format(time.RFC3339Nano)
	})
}

// TestGuideParse proves that no command of a document is overlooked.
func TestGuideParse(t *testing.T) {
	t.Parallel()
	const document = "Ask `curl -s \"$api/one\"`, or use `curl`, or `ask two` and `task three`.\n" +
		"```sh 404 410\n# a comment\nask() { curl -s \"$api/$1\"; }\necho nothing\nask 'four' |\n  jq '.a |\n    .b'\nx=$(curl -s \\\n  \"$api/five\")\n```\n\n" +
		"```json\n{\"curl -s\": 1}\n```\n\nText.\n\n```\n$ curl -s six\nno curl -s here\n```\n```sql\nselect 'curl -s seven';\n```\n"
	list, definitions := commands("a.md", document)
	var got []string
	for _, one := range list {
		got = append(got, one.text)
	}
	want := []string{"ask 'four' |\n  jq '.a |\n    .b'", "x=$(curl -s \\\n  \"$api/five\")", "curl -s six", `curl -s "$api/one"`, "ask two"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`ask() { curl -s "$api/$1"; }`}, definitions); diff != "" {
		t.Error(diff)
	}
	blocks, _ := parseBlocks("a.md", document)
	if len(blocks) != 4 || blocks[0].answer != blocks[1] || blocks[1].answer != nil || blocks[2].answer != blocks[3] || blocks[0].line != 3 {
		t.Errorf("blocks: %v", blocks)
	}
	if diff := cmp.Diff([]string{"404", "410"}, blocks[0].statuses); diff != "" {
		t.Error(diff)
	}
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	if got := moved("from=2026-11-23T06:24:40Z&to=2026-11-23T06:25:40.5Z", at); got != "from=2030-01-02T03:03:04.5Z&to=2030-01-02T03:04:05Z" {
		t.Errorf("moved: %s", got)
	}
}
