package httpapi_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pgam/pgam/internal/httpapi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func updating() bool { return *update }

func TestOpenAPIGolden(t *testing.T) {
	t.Parallel()
	document, err := httpapi.OpenAPI("test")
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
		t.Errorf("the document differs from %s: look at it, then run go test ./internal/httpapi -update", golden)
	}
	parsed, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Validate(t.Context()); err != nil {
		t.Errorf("the document is not valid: %v", err)
	}
	// The pages show the operations in the order of their tags.
	for path, item := range parsed.Paths.Map() {
		for method, op := range item.Operations() {
			if len(op.Tags) != 1 || parsed.Tags.Get(op.Tags[0]) == nil || parsed.Tags.Get(op.Tags[0]).Description == "" {
				t.Errorf("%s %s has the tags %q: api.go must describe the one it has", method, path, op.Tags)
			}
		}
	}
}
