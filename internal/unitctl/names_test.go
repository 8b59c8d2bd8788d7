package unitctl

import (
	"errors"
	"strings"
	"testing"

	"github.com/left4med/left4med/internal/server"
)

func TestCheckUnit(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"left4me-server@a.service", `left4me-server@A.b:c_d-e\x2df@g.service`} {
		if err := checkUnit(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "a", "ssh.service", server.Template, "left4me-server.service", "left4me-server@a", "left4me-server@a.socket",
		"left4me-server@../x.service", "/etc/left4me-server@a.service", "left4me-server@*.service", "left4me-server@a b.service",
		"left4me-server@a\n.service", "left4me-server@ä.service", "left4me-server@a\x00.service", "left4me-server@[a].service",
		"left4me-server@%i.service", "left4me-server@" + strings.Repeat("a", 233) + ".service",
	} {
		if err := checkUnit(bad); !errors.Is(err, &server.Error{Code: server.CodeInvalidName}) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := checkUnit("left4me-server@" + strings.Repeat("a", 232) + ".service"); err != nil {
		t.Error(err)
	}
}

// What is refused must never reach systemd: an empty instance would mean every
// instance.
func TestBadNamesNeverLeave(t *testing.T) {
	t.Parallel()
	m := New(Options{Root: t.TempDir()})
	units := []string{unit("a"), server.Template}
	_, startErr := m.Start(t.Context(), server.Template)
	_, _, unitErr := m.Unit(t.Context(), server.Template)
	for what, err := range map[string]error{
		"enable": m.EnableUnitFiles(t.Context(), units), "disable": m.DisableUnitFiles(t.Context(), units),
		"reset": m.ResetFailed(t.Context(), server.Template), "start": startErr, "unit": unitErr,
	} {
		if !errors.Is(err, &server.Error{Code: server.CodeInvalidName}) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestUnitPath(t *testing.T) {
	t.Parallel()
	const path = "/org/freedesktop/systemd1/unit/left4me_2dserver_40a_5fb_2d1_2eservice"
	if got := unitPathOf(unit("a_b-1")); got != path {
		t.Errorf("unitPathOf: %s", got)
	}
	if got, ok := unitAt(path); !ok || got != unit("a_b-1") || !ourPath(path) {
		t.Errorf("unitAt: %q, %v", got, ok)
	}
	for _, other := range []string{"/", unitPaths, unitPaths + "ssh_2eservice", unitPaths + "left4me_2dserver_40_2eservice"} {
		if got, ok := unitAt("/" + unitPathOf(other)[1:]); ok {
			t.Errorf("%s is taken for %q", other, got)
		}
	}
}

func FuzzUnitPath(f *testing.F) {
	f.Add("a")
	f.Add(`x_2d\x2d@ä`)
	f.Fuzz(func(t *testing.T, instance string) {
		if instance == "" {
			return
		}
		path := unitPathOf(unit(instance))
		if !path.IsValid() || !ourPath(path) {
			t.Errorf("%q is no path of ours", path)
		}
		if got, ok := unitAt(path); !ok || got != unit(instance) {
			t.Errorf("%q became %q, %v", unit(instance), got, ok)
		}
	})
}
