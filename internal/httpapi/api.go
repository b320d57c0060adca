package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/httpapi/compat"
	"github.com/pgam/pgam/internal/httpapi/face"
	v1 "github.com/pgam/pgam/internal/httpapi/v1"
)

// Services is what the API asks; see face.Services.
type Services = face.Services

// Config is what New needs.
type Config struct {
	Services Services
	// CORSOrigins are the origins of web pages that may call the API, exactly.
	CORSOrigins []string
	// TrustedProxies are the addresses or networks whose X-Forwarded-For is
	// believed; none by default.
	TrustedProxies []string
	// Liveness, Readiness and Metrics answer /healthz, /readyz and /metrics; a
	// nil one is not served.
	Liveness, Readiness, Metrics http.Handler
	// Registry gets the API's own metrics; nil: none are kept.
	Registry prometheus.Registerer
}

// New makes the API. It starts nothing.
func New(cfg Config) (http.Handler, error) {
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
	for path, handler := range map[string]http.Handler{"/healthz": cfg.Liveness, "/readyz": cfg.Readiness, "/metrics": cfg.Metrics} {
		if handler != nil {
			engine.GET(path, gin.WrapH(handler))
		}
	}
	return engine, nil
}

// OpenAPI gives the OpenAPI 3.1 document of the API, as /openapi.json does.
func OpenAPI(version string) ([]byte, error) {
	api, err := register(newRouter(), &Services{Version: version})
	if err != nil {
		return nil, err
	}
	return documentOf(api)
}

// register adds both faces to the router.
func register(engine *gin.Engine, services *Services) (huma.API, error) {
	cfg := huma.DefaultConfig("pgam, the PostgreSQL Activity Monitor", services.Version)
	cfg.Info.Description = "Live questions to PostgreSQL servers, and their history. " +
		"The routes outside /api/v1 are the contract of the Python version; the same are served under /api."
	cfg.Info.License = &huma.License{Name: "MIT", Identifier: "MIT"}
	// The document and its viewers are served by us; answers name no schema.
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", "", nil
	cfg.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	cfg.Components = &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName)}
	api := humagin.New(engine, cfg)
	python, native, err := face.NewFaces(api, services)
	if err != nil {
		return nil, fmt.Errorf("make API: %w", err)
	}
	compat.Register(python)
	v1.Register(native)
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
