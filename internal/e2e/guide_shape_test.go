package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// parseValues reads JSON values that follow one another, as jq -c prints them.
func parseValues(text string) ([]any, error) {
	var values []any
	for decoder := json.NewDecoder(strings.NewReader(text)); ; {
		var value any
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
}

// valueFaults says what an excerpt shows that real answers do not have: each of
// its keys must be there at the same place, and what is not null there must
// once be of the same kind. What the excerpt leaves out is nobody's fault.
func valueFaults(path string, shown any, answers []any) []string {
	switch shown := shown.(type) {
	case nil:
		return nil
	case map[string]any:
		return objectFaults(path, shown, answers)
	case []any:
		var elements []any
		known := false
		for _, answer := range answers {
			if list, ok := answer.([]any); ok {
				known = true
				elements = append(elements, list...)
			}
		}
		if !known {
			return []string{path + ": shown as an array, which no answer has there"}
		}
		var faults []string
		for _, one := range shown {
			faults = append(faults, valueFaults(path+"[]", one, elements)...)
		}

		return faults
	default:
		for _, answer := range answers {
			if fmt.Sprintf("%T", answer) == fmt.Sprintf("%T", shown) {
				return nil
			}
		}

		return []string{fmt.Sprintf("%s: shown as %#v, of which no answer has the like: %.200v", path, shown, answers)}
	}
}

func objectFaults(path string, shown map[string]any, answers []any) []string {
	var objects []map[string]any
	for _, answer := range answers {
		if object, ok := answer.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	if len(objects) == 0 {
		return []string{path + ": shown as an object, which no answer has there"}
	}
	var faults []string
	for _, key := range slices.Sorted(maps.Keys(shown)) {
		var values []any
		for _, object := range objects {
			if value, ok := object[key]; ok {
				values = append(values, value)
			}
		}
		if len(values) == 0 {
			faults = append(faults, path+"."+key+": no answer has this key")

			continue
		}
		faults = append(faults, valueFaults(path+"."+key, shown[key], values)...)
	}

	return faults
}

// jsonFaults compares an excerpt with what was printed.
func jsonFaults(shown, printed string) []string {
	values, err := parseValues(shown)
	if err != nil {
		return []string{"the excerpt is not JSON: " + err.Error()}
	}
	answers, err := parseValues(printed)
	if err != nil {
		return []string{"what was printed is not JSON: " + err.Error()}
	}
	var faults []string
	for _, value := range values {
		faults = append(faults, valueFaults("", value, answers)...)
	}
	if len(values) == 0 {
		faults = append(faults, "the excerpt is empty")
	}

	return faults
}

var (
	labelled = regexp.MustCompile(`^([A-Za-z][A-Za-z-]*): `)
	figures  = regexp.MustCompile(`\d+`)
	gaps     = regexp.MustCompile(`\s+`)
)

// textFaults compares an excerpt that is not JSON, line by line: of a header or
// a field of an event its name must have been printed, with a value of the
// shape that is shown if that is JSON; any other line up to numbers and gaps.
func textFaults(shown, printed string) []string {
	byLabel, plain := map[string][]string{}, map[string]bool{}
	for line := range strings.Lines(printed) {
		line = strings.TrimSpace(line)
		if label := labelled.FindStringSubmatch(line); label != nil {
			name := strings.ToLower(label[1])
			byLabel[name] = append(byLabel[name], line[len(label[0]):])
		}
		plain[masked(line)] = true
	}
	var faults []string
	for line := range strings.Lines(shown) {
		line = strings.TrimSpace(line)
		label := labelled.FindStringSubmatch(line)
		switch {
		case line == "":
		case label == nil && !plain[masked(line)]:
			faults = append(faults, fmt.Sprintf("no such line was printed: %q", line))
		case label != nil:
			faults = append(faults, fieldFaults(label[1], line[len(label[0]):], byLabel[strings.ToLower(label[1])])...)
		}
	}

	return faults
}

func fieldFaults(name, shown string, printed []string) []string {
	if len(printed) == 0 {
		return []string{"no such line was printed: " + name + ": …"}
	}
	if name == "event" && !slices.Contains(printed, shown) {
		return []string{"no event of the kind " + shown + " was printed"}
	}
	if !strings.HasPrefix(shown, "{") {
		return nil
	}
	var all strings.Builder
	for _, value := range printed {
		if strings.HasPrefix(value, "{") {
			all.WriteString(value)
		}
	}

	return jsonFaults(shown, all.String())
}

func masked(line string) string {
	return gaps.ReplaceAllString(figures.ReplaceAllString(line, "0"), " ")
}

// TestGuideShape proves that an excerpt that is not true is found.
func TestGuideShape(t *testing.T) {
	t.Parallel()
	const answer = `{"server": "local", "none": null, "coverage": {"planned": 60}, "rows": [{"pid": 1, "user": null}, {"pid": 2, "user": "app", "more": true}], "empty": []}`
	for name, c := range map[string]struct {
		shown, printed string
		good           bool
	}{
		"all of it":                 {answer, answer, true},
		"a part":                    {`{"coverage": {"planned": 3}, "rows": [{"user": "someone"}]}`, answer, true},
		"null may be anything":      {`{"server": null, "rows": null}`, answer, true},
		"values that follow":        {`{"pid": 1} {"pid": 2}`, `{"pid": 7}` + "\n" + `{"pid": null}`, true},
		"another key":               {`{"sever": "local"}`, answer, false},
		"another key, deep":         {`{"rows": [{"pid": 1}, {"pids": 1}]}`, answer, false},
		"another kind":              {`{"coverage": {"planned": "60"}}`, answer, false},
		"always null":               {`{"none": 1}`, answer, false},
		"nothing in it":             {`{"empty": [1]}`, answer, false},
		"no object":                 {`{"server": {"name": "local"}}`, answer, false},
		"no array":                  {`{"server": ["local"]}`, answer, false},
		"not there at all":          {`{"server": "local"}`, "", false},
		"an empty excerpt":          {"", answer, false},
		"an excerpt that is cut":    {`{"server": "local",`, answer, false},
		"an answer that is no JSON": {`{"server": "local"}`, "Bad Gateway", false},
	} {
		if faults := jsonFaults(c.shown, c.printed); (len(faults) == 0) != c.good {
			t.Errorf("%s: faults %q", name, faults)
		}
	}
	const stream = "HTTP/1.1 200 OK\r\nETag: W/\"77aa\"\r\n\r\nevent: tick\ndata: {\"at\": \"2026\", \"waiting\": 2}\n\nadmin  viewer  2026-11-23\n"
	for name, c := range map[string]struct {
		shown string
		good  bool
	}{
		"all of it":       {stream, true},
		"other figures":   {"HTTP/1.1 204 OK\netag: W/\"1\"\nadmin viewer 2027-01-01", true},
		"another header":  {"Expires: never", false},
		"another line":    {"HTTP/1.1 304 Not Modified", false},
		"another event":   {"event: end", false},
		"another data":    {`data: {"sessions": 1}`, false},
		"the same event":  {"event: tick\ndata: {\"waiting\": 1}", true},
		"one of the kind": {`data: {"waiting": "two"}`, false},
	} {
		if faults := textFaults(c.shown, stream); (len(faults) == 0) != c.good {
			t.Errorf("text, %s: faults %q", name, faults)
		}
	}
}
