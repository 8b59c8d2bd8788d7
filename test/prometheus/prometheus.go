// Package prometheus finds Prometheus and its checker, which look at what is made
// for them.
package prometheus

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Promtool gives promtool something to read on its standard input, and returns all
// that it says. The test fails at once when promtool cannot be had, and goes on
// when it ends with another status than 0.
func Promtool(t testing.TB, input string, args ...string) string {
	t.Helper()
	tool, err := Find("promtool")
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

// Find asks tools/prometheus.sh where a program of Prometheus' is, promtool or
// prometheus; it fetches one where there is none.
func Find(program string) (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module: %w", err)
	}
	var failed strings.Builder
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(root)), "tools", "prometheus.sh"), program)
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("cannot get %s, try `make deps-prometheus`: %w\n%s", program, err, failed.String())
	}
	return strings.TrimSpace(string(out)), nil
}
