package api_test

import (
	"net/http"
	"testing"

	"github.com/pgam/pgam/internal/pgtest"
)

// HEAD is answered wherever GET is: the same status and headers, and no body.
func TestHEADIsAnsweredWhereverGETIs(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	a.watched("db1", pgtest.Target(t))
	for _, path := range []string{
		"/", "/ui/", "/ui/s/db1", "/ui/licences.txt", "/healthz", "/openapi.json", "/docs", "/redoc", "/servers", "/api/v1/servers",
		"/api/v1/servers/none", "/api/v1/nothing",
	} {
		get, head := a.get(path), a.send(http.MethodHead, path, "", "")
		if head.Status != get.Status || len(head.Body) != 0 {
			t.Errorf("%s: GET %d, HEAD %d with %d bytes", path, get.Status, head.Status, len(head.Body))
		}
		for _, name := range []string{"Content-Type", "Cache-Control", "Etag", "Content-Encoding"} {
			if get.Header.Get(name) != head.Header.Get(name) {
				t.Errorf("%s: %s: GET %q, HEAD %q", path, name, get.Header.Get(name), head.Header.Get(name))
			}
		}
		if n := head.Header.Get("Content-Length"); n != "" && n != get.Header.Get("Content-Length") && get.Header.Get("Content-Length") != "" {
			t.Errorf("%s: Content-Length %s, that of GET %s", path, n, get.Header.Get("Content-Length"))
		}
	}
	stream := a.send(http.MethodHead, "/api/v1/servers/db1/stream", "", "") // ends, for it begins none
	if stream.Status != http.StatusOK || stream.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("a stream: %d %v", stream.Status, stream.Header)
	}
	a.want(http.StatusMethodNotAllowed, a.send(http.MethodHead, "/token", "", ""))
}
