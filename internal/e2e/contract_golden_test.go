package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// kind is what a value that differs from run to run must be, to be shown as its
// kind. Null stays null.
type kind string

const (
	anInteger kind = "integer"
	aNumber   kind = "number"
	aText     kind = "text"
	anInstant kind = "instant"  // as Python's isoformat writes it
	aToken    kind = "token"    // a JWT
	integers  kind = "integers" // an object of integers
)

// fits reports whether a decoded value is of the kind.
func (k kind) fits(value any) bool {
	switch v := value.(type) {
	case json.Number:
		return k == aNumber || k == anInteger && regexp.MustCompile(`^-?\d+$`).MatchString(v.String())
	case string:
		switch k {
		case aText:
			return v != ""
		case anInstant:
			return regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00$`).MatchString(v)
		case aToken:
			return regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+$`).MatchString(v)
		default:
			return false
		}
	case map[string]any:
		for _, one := range v {
			if k != integers || !anInteger.fits(one) {
				return false
			}
		}

		return k == integers
	}

	return false
}

// masks are the kinds of what differs from run to run, by the path of the value:
// fields with dots between, [] for any element, * for any field.
type masks map[string]kind

// hide replaces what differs from run to run by its kind, or by a word that no
// golden file holds where it is of another.
func (m masks) hide(path string, value any) any {
	if k, ok := m[path]; ok && value != nil {
		if !k.fits(value) {
			return fmt.Sprintf("<%v is no %s>", value, k)
		}

		return "<" + string(k) + ">"
	}
	switch v := value.(type) {
	case map[string]any:
		for name, one := range v {
			field := name
			if _, ok := m[join(path, name)]; !ok && m.under(join(path, "*")) {
				field = "*"
			}
			v[name] = m.hide(join(path, field), one)
		}
	case []any:
		for i := range v {
			v[i] = m.hide(path+"[]", v[i])
		}
	}

	return value
}

func join(path, field string) string {
	if path == "" {
		return field
	}

	return path + "." + field
}

// under reports whether a path or one below it is masked.
func (m masks) under(path string) bool {
	for p := range m {
		if p == path || strings.HasPrefix(p, path+".") || strings.HasPrefix(p, path+"[") {
			return true
		}
	}

	return false
}

// transcript is a conversation with the API, for a golden file. The same one
// takes place at / and at /api.
type transcript struct {
	t      *testing.T
	c      *client
	prefix string // "" or /api
	masks  masks
	// names are words that differ from run to run, such as ports, with what is
	// written instead.
	names names
	text  bytes.Buffer
}

// names are words by what is written instead of them.
type names map[string]string

// Replace writes them.
func (n names) Replace(text string) string {
	for word, name := range n {
		if strings.Trim(word, "0123456789") != "" {
			text = strings.ReplaceAll(text, word, "<"+name+">")
		} else { // But not a part of another number.
			text = regexp.MustCompile(`\b`+word+`\b`).ReplaceAllString(text, "<"+name+">")
		}
	}

	return text
}

// shown are the headers that clients rely on.
func shown() []string {
	return []string{
		"Allow", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods",
		"Access-Control-Allow-Origin", "Access-Control-Max-Age", "Cache-Control", "Content-Type", "Location", "Vary", "WWW-Authenticate",
	}
}

// note writes a request and its answer down.
func (s *transcript) note(name string, request *http.Request, sent string, got answer) {
	s.t.Helper()
	path := strings.TrimPrefix(request.URL.RequestURI(), s.prefix)
	fmt.Fprintf(&s.text, "# %s\n%s %s\n", name, request.Method, path)
	if sent != "" {
		if len(sent) > 1000 {
			sent = fmt.Sprintf("%s… (%d bytes)", sent[:40], len(sent))
		}
		fmt.Fprintf(&s.text, "> %s\n", strings.ReplaceAll(sent, "\r\n", "\\r\\n"))
	}
	fmt.Fprintf(&s.text, "%d\n", got.Status)
	for _, header := range shown() {
		values := got.Header.Values(header)
		if header == "Allow" { // The order says nothing.
			values = strings.FieldsFunc(strings.Join(values, ","), func(r rune) bool { return r == ',' || r == ' ' })
			slices.Sort(values)
		}
		if len(values) > 0 {
			fmt.Fprintf(&s.text, "%s: %s\n", header, strings.TrimPrefix(strings.Join(values, ", "), s.prefix))
		}
	}
	if len(got.Body) > 0 {
		s.text.WriteString(s.shape(got))
	}
	s.text.WriteString("\n")
}

// shape is a body without what differs from run to run.
func (s *transcript) shape(got answer) string {
	s.t.Helper()
	if strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
		return string(got.Body) + "\n"
	}
	decoder := json.NewDecoder(bytes.NewReader(got.Body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Sprintf("(%d bytes that are no JSON)\n", len(got.Body))
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(s.masks.hide("", value)); err != nil {
		s.t.Fatal(err)
	}

	return s.names.Replace(out.String())
}

// ask sends a request without a body.
func (s *transcript) ask(name, method, path string) answer {
	s.t.Helper()

	return s.send(name, method, path, "", "")
}

// say sends a JSON body. Numbers and texts that differ from run to run belong
// into the names.
func (s *transcript) say(name, method, path string, body any) answer {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}

	return s.send(name, method, path, "application/json", string(text))
}

func (s *transcript) send(name, method, path, contentType, body string) answer {
	s.t.Helper()
	request := s.c.request(s.t, method, s.prefix+path, contentType, body)
	got := s.c.do(s.t, request)
	s.note(name, request, s.names.Replace(body), got)

	return got
}

// compare holds the transcript against its golden file.
func (s *transcript) compare(name string) {
	s.t.Helper()
	file := filepath.Join("testdata", "contract", name+".golden")
	if *update && s.prefix == "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(file, s.text.Bytes(), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(s.text.String(), "\n")); diff != "" {
		s.t.Errorf("the conversation at %s/ differs from %s (-want +got): look at it, then run go test ./internal/e2e -run TestContract -update\n%s", s.prefix, file, diff)
	}
}
