package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/api"
)

var update = flag.Bool("update", false, "write testdata/openapi.json anew")

type operation struct {
	OperationID string `json:"operationId"`
	Summary     string `json:"summary"`
	Parameters  []struct{ Name, In string }
	Responses   map[string]struct{ Description string }
}

type openAPI struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]json.RawMessage }
}

func document(t *testing.T) openAPI {
	t.Helper()
	b, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc openAPI
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// TestDocumentIsStable guards what generators of clients rely on.
func TestDocumentIsStable(t *testing.T) {
	t.Parallel()
	const golden = "testdata/openapi.json"
	got, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the document changed; if that is meant, run go test ./internal/api -run Stable -update\n%s", diff)
	}
	if again, _ := api.OpenAPI(); !bytes.Equal(got, again) {
		t.Error("two calls differ")
	}
}

func TestDocumentIsComplete(t *testing.T) {
	t.Parallel()
	raw, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	doc := document(t)
	for _, ref := range regexp.MustCompile(`"#/components/schemas/(\w+)"`).FindAllSubmatch(raw, -1) {
		if doc.Components.Schemas[string(ref[1])] == nil {
			t.Errorf("nothing stands behind %s", ref[0])
		}
	}
	ids := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.OperationID == "" || op.Summary == "" || ids[op.OperationID] {
				t.Errorf("%s %s: id %q, summary %q", method, path, op.OperationID, op.Summary)
			}
			ids[op.OperationID] = true
			if op.Responses["default"].Description == "" || len(op.Responses) < 2 {
				t.Errorf("%s %s: responses %v", method, path, op.Responses)
			}
			for _, part := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == part[1] && p.In == "path" }) {
					t.Errorf("%s %s: %s is not documented", method, path, part[1])
				}
			}
		}
	}
	if strings.Contains(string(raw), "ErrorModel") {
		t.Error("huma's own errors are documented")
	}
}
