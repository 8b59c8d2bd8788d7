// Package promtool has Prometheus' own checker look at what is made for it.
package promtool

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Run gives promtool something to read on its standard input, and returns all
// that it says. The test fails at once when promtool cannot be had, and goes on
// when it ends with another status than 0.
func Run(t testing.TB, input string, args ...string) string {
	t.Helper()
	tool, err := find()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// find asks tools/promtool.sh where promtool is; it fetches one where there is
// none.
var find = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module: %w", err)
	}
	var failed strings.Builder
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(root)), "tools", "promtool.sh"))
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot get promtool, try `make deps-promtool`: %w\n%s", err, failed.String())
	}
	return strings.TrimSpace(string(out)), nil
})
