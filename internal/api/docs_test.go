package api_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/api"
)

// TestTheTableIsDocumented compares the table of routes with the one that people
// read.
func TestTheTableIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]*)` \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2]
	}
	table := map[string]string{}
	for _, rt := range api.Routes() {
		asks := strings.TrimPrefix(rt.Action, "org.left4me.left4med1.")
		switch {
		case asks == "":
			asks = "–"
		case rt.Each:
			asks += ", for each server"
		case rt.Own:
			asks += ", or one's own"
		}
		table[rt.Method+" "+rt.Path] = asks
	}
	if diff := cmp.Diff(table, documented); diff != "" {
		t.Errorf("docs/security.md (-routes.go +document):\n%s", diff)
	}
}
