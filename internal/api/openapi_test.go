package api_test

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pgam/pgam/internal/api"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func updating() bool { return *update }

func TestOpenAPIGolden(t *testing.T) {
	t.Parallel()
	document, err := api.OpenAPI("test")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "openapi.json")
	if updating() {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, document, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, document) {
		t.Errorf("the document differs from %s: look at it, then run go test ./internal/api -update", golden)
	}
	parsed, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Validate(t.Context()); err != nil {
		t.Errorf("the document is not valid: %v", err)
	}
	for name, schema := range parsed.Components.Schemas {
		for property, of := range schema.Value.Properties {
			if enum := of.Value.Enum; len(enum) > 0 && of.Value.Type.IncludesNull() && !slices.Contains(enum, any(nil)) {
				t.Errorf("%s.%s may be null, which its enum %v excludes", name, property, enum)
			}
		}
	}
	// The pages show the operations in the order of their tags.
	for path, item := range parsed.Paths.Map() {
		for method, op := range item.Operations() {
			if len(op.Tags) != 1 || parsed.Tags.Get(op.Tags[0]) == nil || parsed.Tags.Get(op.Tags[0]).Description == "" {
				t.Errorf("%s %s has the tags %q: api.go must describe the one it has", method, path, op.Tags)
			}
			if strings.HasPrefix(path, "/api/v1/") && op.Responses.Status(http.StatusUnprocessableEntity) == nil {
				t.Errorf("%s %s does not say that parameters it does not know are refused", method, path)
			}
			if op.RequestBody != nil && op.Responses.Status(http.StatusRequestEntityTooLarge) == nil {
				t.Errorf("%s %s does not say that a body may be too large", method, path)
			}
		}
	}
}
