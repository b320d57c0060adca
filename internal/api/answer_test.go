package api

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
)

// answering serves handlers behind what every request goes through.
func answering(t *testing.T, routes map[string]gin.HandlerFunc) *httptest.Server {
	t.Helper()
	engine, err := newEngine(Config{Services: Services{Log: slog.New(slog.DiscardHandler)}, CORSOrigins: []string{"https://ui.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	for route, handler := range routes {
		engine.GET(route, handler)
		engine.POST(route, handler)
	}
	s := httptest.NewServer(engine)
	t.Cleanup(s.Close)
	return s
}

// head is an answer without its body.
type head struct {
	StatusCode    int
	ContentLength int64
	Header        http.Header
}

// ask sends a request as it is: nothing is decompressed.
func ask(t *testing.T, s *httptest.Server, method, path string, headers ...string) (head, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v after %d bytes", path, err, len(body))
	}
	return head{res.StatusCode, res.ContentLength, res.Header}, body
}

func jsonOf(status int, body string) gin.HandlerFunc {
	return func(c *gin.Context) { c.Data(status, "application/json", []byte(body)) }
}

const (
	small = `{"small":true}`
	tag   = "Etag"
)

func large() string { return `["` + strings.Repeat("0123456789abcdef", 1000) + `"]` }

func TestRevalidation(t *testing.T) {
	t.Parallel()
	said, mu := small, sync.Mutex{}
	s := answering(t, map[string]gin.HandlerFunc{
		"/one": func(c *gin.Context) {
			mu.Lock()
			defer mu.Unlock()
			jsonOf(http.StatusOK, said)(c)
		},
		"/large": jsonOf(http.StatusOK, large()),
		"/bad":   jsonOf(http.StatusNotFound, small),
		"/text":  func(c *gin.Context) { c.String(http.StatusOK, small) },
		"/none":  func(c *gin.Context) { c.Status(http.StatusNoContent) },
	})
	res, body := ask(t, s, http.MethodGet, "/one", "Origin", "https://ui.example.org")
	have := res.Header.Get(tag)
	if string(body) != small || len(have) != len(`W/"0123456789abcdef"`) || res.Header.Get("Cache-Control") != "private, no-cache" ||
		res.ContentLength != int64(len(small)) || strings.Join(res.Header["Vary"], ",") != "Origin,Accept-Encoding" {
		t.Fatalf("%s: %v", body, res.Header)
	}
	for _, match := range []string{have, `"x", ` + have, strings.TrimPrefix(have, "W/"), "*", `W/"x",` + have + `,"y"`} {
		res, body = ask(t, s, http.MethodGet, "/one", "If-None-Match", match, "Accept-Encoding", "gzip")
		if res.StatusCode != http.StatusNotModified || len(body) != 0 || res.Header.Get(tag) != have || res.Header.Get("Cache-Control") != "private, no-cache" ||
			res.Header.Get("Content-Type") != "" || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("If-None-Match: %s: %d %v", match, res.StatusCode, res.Header)
		}
	}
	for _, other := range []string{`"x"`, "", strings.ToUpper(have[2:]) + "x", `W/"` + strings.Repeat("0", 16) + `"`} {
		if res, _ = ask(t, s, http.MethodGet, "/one", "If-None-Match", other); res.StatusCode != http.StatusOK {
			t.Errorf("If-None-Match: %s: %d", other, res.StatusCode)
		}
	}
	mu.Lock()
	said = `{"small":false}`
	mu.Unlock()
	if res, body = ask(t, s, http.MethodGet, "/one", "If-None-Match", have); res.StatusCode != http.StatusOK || string(body) != said || res.Header.Get(tag) == have {
		t.Errorf("a changed answer: %d %s %v", res.StatusCode, body, res.Header)
	}

	// The tag is of the content, not of its encoding.
	plain, _ := ask(t, s, http.MethodGet, "/large")
	packed, _ := ask(t, s, http.MethodGet, "/large", "Accept-Encoding", "gzip")
	if plain.Header.Get(tag) != packed.Header.Get(tag) || plain.Header.Get(tag) == "" {
		t.Errorf("tags %q and %q", plain.Header.Get(tag), packed.Header.Get(tag))
	}
	if res, _ := ask(t, s, http.MethodGet, "/large", "Accept-Encoding", "gzip", "If-None-Match", plain.Header.Get(tag)); res.StatusCode != http.StatusNotModified {
		t.Errorf("a packed answer is not told from the plain one: %d", res.StatusCode)
	}

	// Nothing else gets a tag, or is compressed.
	for path, method := range map[string]string{"/bad": "GET", "/text": "GET", "/none": "GET", "/one": "POST", "/unknown": "GET"} {
		res, body := ask(t, s, method, path, "Accept-Encoding", "gzip", "If-None-Match", "*")
		if res.Header.Get(tag) != "" || res.Header.Get("Content-Encoding") != "" || res.Header.Get("Cache-Control") != "no-store" ||
			res.StatusCode == http.StatusNotModified || len(body) == 0 != (path == "/none") {
			t.Errorf("%s %s: %d %s %v", method, path, res.StatusCode, body, res.Header)
		}
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	pieces := func(body string) gin.HandlerFunc {
		return func(c *gin.Context) {
			c.Header("Content-Type", "application/json")
			for len(body) > 0 {
				n := min(len(body), 1000)
				_, _ = c.Writer.WriteString(body[:n])
				body = body[n:]
			}
		}
	}
	exact := strings.Repeat("x", minCompressed)
	for name, body := range map[string]string{"large": large(), "small": small, "just enough": exact, "just too little": exact[1:]} {
		for how, handler := range map[string]gin.HandlerFunc{"at once": jsonOf(http.StatusOK, body), "in pieces": pieces(body)} {
			s := answering(t, map[string]gin.HandlerFunc{"/": handler})
			res, got := ask(t, s, http.MethodGet, "/", "Accept-Encoding", "br;q=1, gzip")
			packed := res.Header.Get("Content-Encoding") == "gzip"
			if packed != (len(body) >= minCompressed) {
				t.Errorf("%s %s: %d bytes: %v", name, how, len(body), res.Header)
			}
			if packed {
				r, err := gzip.NewReader(bytes.NewReader(got))
				if err != nil {
					t.Fatal(err)
				}
				if len(got) >= len(body) {
					t.Errorf("%s %s: %d bytes packed, %d plain", name, how, len(got), len(body))
				}
				got, _ = io.ReadAll(r)
			}
			if string(got) != body {
				t.Errorf("%s %s: %d bytes, want %d", name, how, len(got), len(body))
			}
		}
	}
	accepts := map[string]bool{
		"gzip": true, "GZIP": true, "br, gzip;q=0.5": true, "x-gzip": true, "*": true, "deflate, *;q=0.1": true,
		"": false, "identity": false, "br": false, "gzip;q=0": false, "gzip; q=0.000, *": false, "*;q=0": false, "gzipped": false, "gzip;q=1": true,
	}
	for header, want := range accepts {
		if got := acceptsGzip([]string{header}); got != want {
			t.Errorf("Accept-Encoding: %s: %t", header, got)
		}
	}
	if acceptsGzip(nil) || !acceptsGzip([]string{"br", "gzip"}) {
		t.Error("several headers, or none")
	}
}

// A stream goes out as it is written, and a handler that panics or is too late
// to fail leaves no half of an answer.
func TestUnusualAnswers(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	s := answering(t, map[string]gin.HandlerFunc{
		"/stream": func(c *gin.Context) {
			c.Header("Content-Type", "text/event-stream")
			for range 3 {
				_, _ = c.Writer.WriteString("data: x\n\n")
				c.Writer.Flush()
				<-next
			}
		},
		"/late": func(c *gin.Context) {
			c.Header("Content-Type", "application/json")
			_, _ = c.Writer.WriteString("[1,")
			c.Writer.Flush()
			_, _ = c.Writer.WriteString("2]")
		},
		"/panic": func(c *gin.Context) {
			c.Header("Content-Type", "application/json")
			_, _ = c.Writer.WriteString(`{"half":`)
			panic("on purpose")
		},
		"/control": func(c *gin.Context) {
			err := http.NewResponseController(c.Writer).EnableFullDuplex()
			jsonOf(http.StatusOK, strconv.FormatBool(err == nil))(c)
		},
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/stream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	got := make([]byte, len("data: x\n\n"))
	for range 3 { // each piece is here before the next is written
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != "data: x\n\n" {
			t.Fatalf("%q, %v", got, err)
		}
		next <- struct{}{}
	}
	if res.Header.Get("Content-Encoding") != "" || res.Header.Get(tag) != "" {
		t.Errorf("a stream: %v", res.Header)
	}
	if res, body := ask(t, s, http.MethodGet, "/late"); string(body) != "[1,2]" || res.Header.Get(tag) != "" {
		t.Errorf("a stream of JSON: %s %v", body, res.Header)
	}
	for range 20 { // what is kept for the next answer holds nothing of this one
		if res, body := ask(t, s, http.MethodGet, "/panic"); res.StatusCode != http.StatusInternalServerError || string(body) != `{"detail":"Internal Server Error"}` {
			t.Fatalf("a panic: %d %s", res.StatusCode, body)
		}
		if _, body := ask(t, s, http.MethodGet, "/control"); string(body) != "true" {
			t.Fatalf("the connection cannot be reached: %s", body)
		}
	}
}

// Answers under way at the same time do not get into each other.
func TestAnswersApart(t *testing.T) {
	t.Parallel()
	s := answering(t, map[string]gin.HandlerFunc{"/:n": func(c *gin.Context) {
		n, _ := strconv.Atoi(c.Param("n"))
		jsonOf(http.StatusOK, strings.Repeat(c.Param("n")+" ", n*500))(c)
	}})
	var asking sync.WaitGroup
	for i := range 8 {
		asking.Go(func() {
			for j := range 30 {
				n := strconv.Itoa((i + j) % 9)
				encoding := []string{"gzip", "identity"}[j%2]
				res, body := ask(t, s, http.MethodGet, "/"+n, "Accept-Encoding", encoding)
				if res.Header.Get("Content-Encoding") == "gzip" {
					r, err := gzip.NewReader(bytes.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					body, _ = io.ReadAll(r)
				}
				k, _ := strconv.Atoi(n)
				if string(body) != strings.Repeat(n+" ", k*500) {
					t.Errorf("asked for %s, got %d bytes: %.20s", n, len(body), body)
				}
			}
		})
	}
	asking.Wait()
}
