package instance

import (
	"strings"
	"testing"

	"github.com/left4med/left4med/test/machine"
)

// What a real systemd reads back from an environment file is what was meant.
func TestEnvFileOnRealSystemd(t *testing.T) {
	t.Parallel()
	needMachines(t)
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := machine.New(t, release)
		want := map[string]string{}
		vars := randomVars(uint64(len(release)), 400)
		for _, v := range vars {
			want[v.Name] = v.Value
		}
		data, err := EncodeEnv(vars)
		must(t, err)
		must(t, m.WriteFile(t.Context(), "/run/vars.env", data, 0o600))
		out := m.MustRun(t, "systemd-run", "--quiet", "--wait", "--pipe", "--property=EnvironmentFile=/run/vars.env", "env", "-0")
		got := map[string]string{}
		for entry := range strings.SplitSeq(out, "\x00") {
			if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, "V") {
				got[name] = value
			}
		}
		same(t, want, got)
	})
}

func needMachines(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots machines")
	}
	if err := machine.CheckHost(); err != nil {
		t.Skip(err)
	}
}
