package machine

import (
	"context"
	"os"
	"testing"
	"time"
)

// New boots a machine for a test, which fails at once when it cannot. The
// machine is closed when the test ends; of a test that failed, the end of its
// journal and console is logged before.
func New(t testing.TB, release Release) *Machine {
	t.Helper()
	return NewOn(t, release, nil)
}

// NewOn is New for a machine with a layer.
func NewOn(t testing.TB, release Release, layer *Layer) *Machine {
	t.Helper()
	m, err := Boot(t.Context(), Options{Release: release, Layer: layer, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			m.logTo(t)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func (m *Machine) logTo(t testing.TB) {
	// The test's own context has ended by now.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	journal, err := m.Journal(ctx)
	if err != nil {
		t.Logf("no journal of machine %s: %v; the end of its console:\n%s", m.Name(), err, lastLines(m.Console(), 40))
		return
	}
	t.Logf("the end of the journal of machine %s:\n%s", m.Name(), journal)
}

// Each runs the test once for every release, as parallel subtests.
func Each(t *testing.T, test func(t *testing.T, release Release)) {
	t.Helper()
	for _, release := range Releases() {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			test(t, release)
		})
	}
}

// MustRun runs a command as root and returns its standard output; the test
// fails at once when the command does.
func (m *Machine) MustRun(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := m.Output(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
