package api

import (
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// unslashed sends who asked for a route with a slash at its end to the route
// itself, with any method, as the Python version did. The router's own
// redirection would leave out what happens to every request, and answer GET
// with another status. Everything else is not found.
func unslashed(engine *gin.Engine) gin.HandlerFunc {
	routes := sync.OnceValue(func() [][]string {
		var list [][]string
		for _, r := range engine.Routes() {
			list = append(list, strings.Split(r.Path, "/"))
		}
		return list
	})
	return func(c *gin.Context) {
		asked := c.Request.URL.EscapedPath()
		path := strings.TrimRight(asked, "/")
		if path == asked || !leadsTo(routes(), strings.Split(path, "/")) {
			writeError(c, http.StatusNotFound, "Not Found")
			return
		}
		if c.Request.URL.RawQuery != "" {
			path += "?" + c.Request.URL.RawQuery
		}
		// Without a host: behind a proxy we do not know by which name and
		// scheme we were reached.
		c.Header("Location", path)
		c.AbortWithStatus(http.StatusTemporaryRedirect)
	}
}

// leadsTo says whether a path is that of a route. An empty segment never is, so
// that no path becomes the name of a host.
func leadsTo(routes [][]string, path []string) bool {
	for _, route := range routes {
		if len(route) != len(path) {
			continue
		}
		fits := true
		for i, segment := range route {
			fits = fits && (i == 0 || path[i] != "") && (segment == path[i] || strings.HasPrefix(segment, ":"))
		}
		if fits {
			return true
		}
	}
	return false
}
