package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/api/compat"
	"github.com/pgam/pgam/internal/api/route"
	v1 "github.com/pgam/pgam/internal/api/v1"
	"github.com/pgam/pgam/internal/auth"
)

// Services is what the API asks; see route.Services.
type Services = route.Services

// Config is what New needs.
type Config struct {
	Services Services
	// CORSOrigins are the origins of web pages that may call the API, exactly.
	CORSOrigins []string
	// TrustedProxies are the addresses or networks whose X-Forwarded-For is
	// believed; none by default.
	TrustedProxies []string
	// Deadline bounds every request but a stream; 0: 25 s.
	Deadline time.Duration
	// LoginsPerMinute bounds the logins from one client address, where Services
	// names no Logins; 0: unbounded.
	LoginsPerMinute int
	// Liveness, Readiness and Metrics answer /healthz, /readyz and /metrics; a
	// nil one is not served.
	Liveness, Readiness, Metrics http.Handler
	// Registry gets the API's own metrics; nil: none are kept.
	Registry prometheus.Registerer
}

// New makes the API. It starts nothing.
func New(cfg Config) (http.Handler, error) {
	if cfg.Services.Logins == nil && cfg.Services.Catalog != nil && cfg.Services.Log != nil {
		guard, err := auth.NewGuard(auth.GuardConfig{Ledger: cfg.Services.Catalog, PerMinute: cfg.LoginsPerMinute, Log: cfg.Services.Log})
		if err != nil {
			return nil, fmt.Errorf("make API: %w", err)
		}
		cfg.Services.Logins = guard
	}
	if err := cfg.Services.Check(); err != nil {
		return nil, err
	}
	engine, err := newEngine(cfg)
	if err != nil {
		return nil, err
	}
	api, err := register(engine, &cfg.Services)
	if err != nil {
		return nil, err
	}
	document, err := documentOf(api)
	if err != nil {
		return nil, err
	}
	engine.GET("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", document) })
	if err := servePages(engine); err != nil {
		return nil, err
	}
	for path, handler := range map[string]http.Handler{"/healthz": cfg.Liveness, "/readyz": cfg.Readiness, "/metrics": cfg.Metrics} {
		if handler != nil {
			engine.GET(path, gin.WrapH(handler))
		}
	}
	return router{engine}, nil
}

// router answers HEAD as GET, wherever that is answered: with the same headers.
// The listener leaves the body out, by the method that was sent.
type router struct{ *gin.Engine }

// ServeHTTP implements http.Handler.
func (e router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		r = r.WithContext(route.WithHead(r.Context()))
		r.Method = http.MethodGet
	}
	e.Engine.ServeHTTP(w, r)
}

// OpenAPI gives the OpenAPI 3.1 document of the API, as /openapi.json does.
func OpenAPI(version string) ([]byte, error) {
	api, err := register(newRouter(), &Services{Version: version})
	if err != nil {
		return nil, err
	}
	return documentOf(api)
}

// register adds both forms to the router.
func register(engine *gin.Engine, services *Services) (huma.API, error) {
	cfg := huma.DefaultConfig("pgam, the PostgreSQL Activity Monitor", services.Version)
	cfg.Info.Description = "Live questions to PostgreSQL servers, and their history. " +
		"The routes outside /api/v1 are the contract of the Python version; the same are served under /api. " +
		"HEAD is answered wherever GET is, with the same headers; a stream is not begun by it."
	cfg.Tags = []*huma.Tag{
		{Name: "health", Description: "Whether it works; the first two need no token."},
		{Name: "Python contract", Description: "What clients of the Python version know."},
		{Name: "Python contract under /api", Description: "The same, where its later version has it."},
		{Name: "Later Python version", Description: "What the web client of the later version cannot do without."},
		{Name: "who asks", Description: "Browsers that log in, and who one is."},
		{Name: "servers", Description: "Which servers are watched, and how."},
		{Name: "SSH keys", Description: "Keys that pgam logs in to servers' hosts with; a private part is never given out."},
		{Name: "settings", Description: "What can be changed while the collector runs."},
		{Name: "users", Description: "Who may ask, and what they may do; for administrators."},
		{Name: "now", Description: "Asked of the servers themselves."},
		{Name: "fleet", Description: "All servers together, from their history."},
		{Name: "history", Description: "Asked of stats_db; every answer says how much of its time was sampled."},
	}
	cfg.Info.License = &huma.License{Name: "MIT", Identifier: "MIT"}
	// The document and its viewers are served by us; answers name no schema.
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", "", nil
	cfg.Components = &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName)}
	api := humagin.New(engine, cfg)
	python, native, err := route.NewGroups(api, services)
	if err != nil {
		return nil, fmt.Errorf("make API: %w", err)
	}
	compat.Register(python)
	v1.Register(native)
	documentRevalidation(api.OpenAPI())
	documentNulls(api.OpenAPI())
	return api, nil
}

// schemaName tells the types of the contract from those of v1.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if strings.HasSuffix(t.PkgPath(), "/compat") {
		return "Python" + name
	}
	return name
}

// documentRevalidation adds to each operation that reads what answers gives it.
func documentRevalidation(document *huma.OpenAPI) {
	for _, item := range document.Paths {
		if item.Get == nil || item.Get.Responses["200"] == nil {
			continue
		}
		ok := item.Get.Responses["200"]
		if ok.Content["text/event-stream"] != nil {
			continue
		}
		if ok.Headers == nil {
			ok.Headers = map[string]*huma.Param{}
		}
		ok.Headers["ETag"] = &huma.Param{
			Description: "Of the body; sent back as If-None-Match it gives 304 while nothing has changed.",
			Schema:      &huma.Schema{Type: huma.TypeString},
		}
		item.Get.Responses["304"] = &huma.Response{Description: "The body is still the one of If-None-Match"}
	}
}

// documentNulls adds null to the values of what may be null: an enum without it
// excludes it, whatever the type says.
func documentNulls(document *huma.OpenAPI) {
	for _, schema := range document.Components.Schemas.Map() {
		for _, property := range schema.Properties {
			if property.Nullable && len(property.Enum) > 0 && !slices.Contains(property.Enum, nil) {
				property.Enum = append(property.Enum, nil)
			}
		}
	}
}

func documentOf(api huma.API) ([]byte, error) {
	document, err := json.MarshalIndent(api.OpenAPI(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode OpenAPI document: %w", err)
	}
	return append(document, '\n'), nil
}

// quiet are routes that are asked all the time by machines.
func quiet(route string) bool {
	return route == "/healthz" || route == "/readyz" || route == "/metrics"
}
