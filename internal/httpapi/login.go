package httpapi

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/httprate"
)

// limitLogins refuses a client address that tried too often in a minute, both
// ways to log in taken together, before anything is read of what it sends. A
// rate of zero refuses nobody.
func limitLogins(perMinute int) gin.HandlerFunc {
	if perMinute <= 0 {
		return func(c *gin.Context) { c.Next() }
	}
	limiter := httprate.NewRateLimiter(perMinute, time.Minute, httprate.WithResponseHeaders(httprate.ResponseHeaders{RetryAfter: "Retry-After"}))
	return func(c *gin.Context) {
		if c.Request.Method != http.MethodPost || !isLogin(c.FullPath()) {
			c.Next()
			return
		}
		// Whoever has one IPv6 address has 2⁶⁴ of them.
		if limiter.OnLimit(c.Writer, c.Request, httprate.CanonicalizeIP(c.ClientIP())) {
			writeFault(c, http.StatusTooManyRequests, "Too many logins from this address: try again in a minute")
			return
		}
		c.Next()
	}
}
