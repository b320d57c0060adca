package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/pgam/pgam/internal/api/route"
)

// maxBodyBytes bounds what is read of a request.
const maxBodyBytes = 1 << 20

// newRouter makes gin's router, which would print every route without its
// global switch.
func newRouter() *gin.Engine {
	quietGin()
	return gin.New()
}

var quietGin = sync.OnceFunc(func() { gin.SetMode(gin.ReleaseMode) })

// newEngine makes the router with all that happens to every request.
func newEngine(cfg Config) (*gin.Engine, error) {
	engine := newRouter()
	// Segments are split before they are unescaped, so that a slash in a name
	// stays in it; gin's own unescaping would turn a plus into a space.
	engine.UseEscapedPath, engine.UnescapePathValues = true, false
	engine.HandleMethodNotAllowed, engine.RedirectTrailingSlash = true, false
	// A proxy that sets none of gin's usual headers passes a client's own on; this
	// one every proxy adds to.
	engine.RemoteIPHeaders = []string{"X-Forwarded-For"}
	if err := engine.SetTrustedProxies(cfg.TrustedProxies); err != nil {
		return nil, fmt.Errorf("set trusted proxies: %w", err)
	}
	measured, err := newRequestMetrics(cfg.Registry)
	if err != nil {
		return nil, err
	}
	address, err := addressed(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	log := cfg.Services.Log
	engine.Use(identified, accessLog(log, measured), recovered(log), limited(cfg.Deadline), guarded(), cors(cfg.CORSOrigins), unescaped, welcomed,
		address, newAnswers(answerRoom, roomWait).handle)
	engine.NoRoute(unslashed(engine))
	engine.NoMethod(func(c *gin.Context) { writeError(c, http.StatusMethodNotAllowed, "Method Not Allowed") })
	return engine, nil
}

// identified gives the request an id, for the log and the client.
func identified(c *gin.Context) {
	id := rand.Text()[:16]
	c.Request = c.Request.WithContext(route.WithRequestID(c.Request.Context(), id))
	c.Header("X-Request-Id", id)
	c.Next()
}

// accessLog writes a line a request, without what the client sent but the
// path of the route.
func accessLog(log *slog.Logger, measured *requestMetrics) gin.HandlerFunc {
	return func(c *gin.Context) {
		begun := time.Now()
		measured.inFlight.Inc()
		defer measured.inFlight.Dec()
		c.Next()
		path := c.FullPath()
		if path == "" {
			path = "unmatched"
		}
		took, method := time.Since(begun), safeMethod(c.Request.Method)
		if route.IsHead(c.Request.Context()) {
			method = http.MethodHead
		}
		measured.observe(method, path, c.Writer.Status(), took)
		level := slog.LevelInfo
		if quiet(path) {
			level = slog.LevelDebug
		}
		log.LogAttrs(c.Request.Context(), level, "request",
			slog.String("request_id", route.RequestID(c.Request.Context())),
			slog.String("method", method),
			slog.String("route", path),
			slog.Int("status", c.Writer.Status()),
			slog.Float64("duration_seconds", took.Seconds()),
			slog.Int("bytes", max(c.Writer.Size(), 0)),
			slog.String("client", c.ClientIP()),
		)
	}
}

// safeMethod keeps methods that a client made up out of log and metrics.
func safeMethod(method string) string {
	known := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
	if slices.Contains(known, method) {
		return method
	}
	return "other"
}

// recovered answers a panic with 500 and logs where it was.
func recovered(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // the server's own sentinel, never wrapped
				panic(cause)
			}
			log.ErrorContext(c.Request.Context(), "request panicked", "request_id", route.RequestID(c.Request.Context()),
				"cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				writeError(c, http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError))
			}
			c.Abort()
		}()
		c.Next()
	}
}

// deadline bounds a request where nothing else is set: the listener's own limit
// on writing, which says nothing to the client, is a little longer.
const deadline = 25 * time.Second

// limited ends every request in time, but for streams, which bound each of their
// writes. An answer that comes too late says so, and what to ask instead.
func limited(limit time.Duration) gin.HandlerFunc {
	if limit <= 0 {
		limit = deadline
	}
	reads := route.NewError(http.StatusGatewayTimeout,
		fmt.Sprintf("No answer within %s: ask for a shorter range, a coarser step or a smaller limit, or try again later", limit))
	changes := route.NewError(http.StatusGatewayTimeout,
		fmt.Sprintf("No answer within %s, and it is not known whether the change took effect: look, or send it again, which is safe", limit))
	return func(c *gin.Context) {
		if streams(c.FullPath()) {
			c.Next()
			return
		}
		late := changes
		if c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead {
			late = reads
		}
		ctx, cancel := context.WithTimeoutCause(c.Request.Context(), limit, late)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// streams are routes whose answer goes on for as long as somebody listens.
func streams(route string) bool { return strings.HasSuffix(route, "/stream") }

// guarded sets the headers of every answer and bounds the body. All answers
// share the values, which nobody changes in place.
func guarded() gin.HandlerFunc {
	var (
		noStore   = []string{"no-store"}
		noSniff   = []string{"nosniff"}
		policy    = []string{"default-src 'none'; frame-ancestors 'none'"}
		noReferer = []string{"no-referrer"}
	)
	return func(c *gin.Context) {
		header := c.Writer.Header()
		header["Cache-Control"], header["X-Content-Type-Options"] = noStore, noSniff
		header["Content-Security-Policy"], header["Referrer-Policy"] = policy, noReferer
		if c.Request.Body != http.NoBody {
			// A little more than the operations' own limits, which answer in their form.
			c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBodyBytes+1024)
		}
		c.Next()
	}
}

// cors lets web pages of these origins call the API.
func cors(origins []string) gin.HandlerFunc {
	return func(c *gin.Context) {
		origin := c.GetHeader("Origin")
		if origin == "" || len(origins) == 0 {
			c.Next()
			return
		}
		c.Writer.Header().Add("Vary", "Origin")
		preflight := c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != ""
		if !slices.Contains(origins, origin) {
			if preflight {
				writeError(c, http.StatusBadRequest, "Disallowed CORS origin")
				return
			}
			c.Next()
			return
		}
		c.Header("Access-Control-Allow-Origin", origin)
		c.Header("Access-Control-Allow-Credentials", "true")
		c.Header("Access-Control-Expose-Headers", "ETag, Retry-After, X-Request-Id")
		if preflight {
			c.Header("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
			c.Header("Access-Control-Allow-Headers", allowedHeaders(c.GetHeader("Access-Control-Request-Headers")))
			c.Header("Access-Control-Max-Age", "600")
			c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte("OK"))
			c.Abort()
			return
		}
		c.Next()
	}
}

// allowedHeaders allows what is asked for, as the Python version does: the
// origin is trusted. What is no list of names is not repeated.
func allowedHeaders(asked string) string {
	const names = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, "
	if asked == "" || len(asked) > 1024 || strings.Trim(asked, names) != "" {
		return "Accept, Authorization, Content-Type, If-None-Match"
	}
	return asked
}

// unescaped turns the path's parameters into what they stand for. No name is
// empty, or other than text.
func unescaped(c *gin.Context) {
	for i, p := range c.Params {
		value, err := url.PathUnescape(p.Value)
		if err != nil || value == "" || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			writeError(c, http.StatusNotFound, "Not Found")
			return
		}
		c.Params[i].Value = value
	}
	c.Next()
}

// writeError answers outside the operations, in the form of the path's route.
func writeError(c *gin.Context, status int, detail string) {
	media, body := "application/json", any(gin.H{"detail": detail})
	if strings.HasPrefix(c.Request.URL.Path, "/api/v1/") {
		media = "application/problem+json"
		body = gin.H{"title": http.StatusText(status), "status": status, "detail": detail}
	}
	c.Header("Content-Type", media)
	c.AbortWithStatusJSON(status, body)
}
