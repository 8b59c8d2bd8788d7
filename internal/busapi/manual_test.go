package busapi_test

import (
	"os"
	"strings"
	"testing"

	"github.com/left4med/left4med/internal/busapi"
)

// TestManualPage: every member and every error stands in the manual page.
func TestManualPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/man/org.left4me.left4med1.5")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(page, w) {
				return true
			}
		}
		return false
	}
	for _, m := range busapi.Members() {
		macro := map[string]string{"method": "Fn ", "property": "Va ", "signal": "Fn "}[m.Kind] + m.Name
		if !says(macro+"\n", macro+" ") || !says(m.Interface) {
			t.Errorf("%s.%s is not there", m.Interface, m.Name)
		}
		if m.Asks != "" && !says(string(m.Asks)) {
			t.Errorf("what %s asks is not there", m.Name)
		}
	}
	for _, code := range codes(t) {
		if e := strings.TrimPrefix(busapi.ErrorName(code), name+".Error."); !says(".It Er " + e + "\n") {
			t.Errorf("the error %s is not there", e)
		}
	}
}
