package api

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/pgam/pgam/internal/api/console"
	"github.com/pgam/pgam/internal/api/docs"
)

// servePages adds /docs and /redoc, and the console at /ui/, with all that they
// load.
func servePages(engine *gin.Engine) error {
	files, err := docs.Files()
	if err != nil {
		return fmt.Errorf("serve pages: %w", err)
	}
	for _, f := range files {
		engine.GET(f.Path, func(c *gin.Context) { servePage(c, f) })
	}
	index, parts, err := console.Files()
	if err != nil {
		return fmt.Errorf("serve pages: %w", err)
	}
	engine.GET(strings.TrimSuffix(console.Prefix, "/"), func(c *gin.Context) { c.Redirect(http.StatusFound, console.Prefix) })
	engine.GET(console.Prefix+"*path", func(c *gin.Context) {
		asked := c.Request.URL.Path
		part, found := parts[asked]
		switch {
		case found:
			servePage(c, part)
		case strings.HasPrefix(asked, console.Prefix+"assets/"):
			writeError(c, http.StatusNotFound, "Not Found")
		default:
			servePage(c, index) // which page of it, the script reads from the path
		}
	})
	return nil
}

// welcomed sends a browser that asks for the root to the console; a program gets
// the answer that it knows.
func welcomed(c *gin.Context) {
	if c.Request.URL.Path != "/" || c.Request.Method != http.MethodGet {
		c.Next()
		return
	}
	c.Writer.Header().Add("Vary", "Accept")
	if strings.Contains(c.GetHeader("Accept"), "text/html") {
		c.Redirect(http.StatusFound, console.Prefix)
		c.Abort()
		return
	}
	c.Next()
}

// servePage sends the file as it is kept, compressed, to all that can read it.
func servePage(c *gin.Context, f docs.File) {
	header := c.Writer.Header()
	header.Set("Content-Type", f.Media)
	header.Set("Cache-Control", "no-cache")
	if f.Fixed {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if f.Policy != "" {
		header.Set("Content-Security-Policy", f.Policy)
	}
	header.Add("Vary", "Accept-Encoding")
	var content io.Reader = bytes.NewReader(f.Gzip)
	if acceptsGzip(c.Request.Header["Accept-Encoding"]) {
		header.Set("Content-Encoding", "gzip")
		header.Set("Content-Length", strconv.Itoa(len(f.Gzip)))
	} else {
		plain, err := f.Plain()
		if err != nil {
			writeError(c, http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError))
			return
		}
		content = plain
	}
	c.Status(http.StatusOK)
	_, _ = io.Copy(c.Writer, content) // an error means that the client has gone
}

// shown are the routes of servePages.
func shown(route string) bool {
	return route == "/docs" || route == "/redoc" || strings.HasPrefix(route, "/docs/") || strings.HasPrefix(route, console.Prefix)
}
