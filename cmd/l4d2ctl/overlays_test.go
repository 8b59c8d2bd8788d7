package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// withOverlays gives a fake three overlays, of which it removes the second.
func withOverlays(f *fake) *fake {
	size, files := uint64(3<<20), 12
	f.mux.HandleFunc("GET /v1/overlays", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"overlays": []client.Overlay{
			{Name: "maps", Size: &size, Files: &files, Servers: []client.Name{"a", "b"}},
			{Name: "old", Size: &size, Files: &files, Servers: []client.Name{}},
			{Name: "odd", Servers: []client.Name{}, Problem: "it is not a directory (a file)"},
		}})
	})
	f.mux.HandleFunc("DELETE /v1/overlays/{name}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") == "old" {
			w.WriteHeader(204)
			return
		}
		problem(w, 409, client.CodeOverlayInUse, "the overlay maps is in use by a, b")
	})
	return f
}

func TestListOverlays(t *testing.T) {
	t.Parallel()
	f := withOverlays(newFake(t))
	got := f.l4d2ctl("list", "--overlays")
	want := result{0, "OVERLAY\tSIZE\tFILES\tSERVERS\tNOTE\nmaps\t3145728\t12\ta, b\t-\nold\t3145728\t12\t-\t-\nodd\t-\t-\t-\tit is not a directory (a file)\n", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := f.l4d2ctl("list", "--overlays", "--json"); got.Code != 0 || !strings.Contains(got.Stdout, `"size":3145728`) {
		t.Errorf("%+v", got)
	}
	for command, want := range map[string][]string{
		"initialize x --overlay": {"maps", "old"}, "delete --overlay": {"old", "odd"},
	} {
		got := f.l4d2ctl(append([]string{"__complete"}, append(strings.Fields(command), "")...)...)
		for _, name := range []string{"maps", "old", "odd"} {
			if strings.Contains(got.Stdout, name+"\n") != slices.Contains(want, name) {
				t.Errorf("%s: %q", command, got.Stdout)
			}
		}
	}
}

func TestDeleteOverlay(t *testing.T) {
	t.Parallel()
	f := withOverlays(newFake(t))
	for _, c := range []struct {
		args []string
		want result
	}{
		{[]string{"delete", "--yes", "--overlay", "old"}, result{0, "", "The overlay old is removed.\n"}},
		{[]string{"delete", "--yes", "--overlay", "maps"}, result{1, "", "l4d2ctl: the overlay maps is in use by a, b\n"}},
		{[]string{"delete", "--yes", "--overlay", "../maps"}, result{1, "", "l4d2ctl: there can be no overlay \"../maps\"\n"}},
	} {
		if diff := cmp.Diff(c.want, f.l4d2ctl(c.args...)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, diff)
		}
	}
	asked := len(f.requests())
	for _, args := range [][]string{
		{"delete", "--overlay", "old"}, {"delete", "--yes", "--overlay", "old", "a"}, {"delete", "--yes", "--overlay", "old", "--orphan", "x"},
	} {
		if got := f.l4d2ctl(args...); got.Code != 2 {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if len(f.requests()) != asked {
		t.Errorf("something was asked: %q", f.requests()[asked:])
	}
	if code, seen := f.terminal("no\n", nil, "delete", "--overlay", "old"); code == 0 || !strings.Contains(seen, "Type its name") {
		t.Errorf("another name: %d %q", code, seen)
	}
	if code, seen := f.terminal("old\n", nil, "delete", "--overlay", "old"); code != 0 || !strings.Contains(seen, "is removed") {
		t.Errorf("its name: %d %q", code, seen)
	}
}

// TestLimitsOnTheCommandLine sends sizes as bytes.
func TestLimitsOnTheCommandLine(t *testing.T) {
	t.Parallel()
	config := client.Config{Port: 27015, Map: "c1m1_hotel", MemoryMax: 1500 << 20, CPUWeight: 50, CPUs: "0-1"}
	f := newFake(t, client.Server{ID: 1, Name: "a", Phase: client.PhaseReady, State: client.StateRunning, Config: &config})
	f.mux.HandleFunc("PATCH /v1/servers/{name}", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, client.Server{ID: 1, Name: "a", Config: &config})
	})
	if got := f.l4d2ctl("initialize", "a", "--memory-max", "1500M", "--cpu-weight", "50", "--cpus", "0-1"); got.Code != 0 {
		t.Errorf("%+v", got)
	}
	if want := `PATCH /v1/servers/a {"config":{"memory_max":1572864000,"cpu_weight":50,"cpus":"0-1"}}`; !slices.Contains(f.requests(), want) {
		t.Errorf("asked %q", f.requests())
	}
	got := f.l4d2ctl("show", "a").Stdout
	for _, line := range []string{"memory max   1.5 GiB", "cpu weight   50", "cpus         0-1"} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("%q is not shown:\n%s", line, got)
		}
	}
	if got := f.l4d2ctl("initialize", "a", "--memory-max", "1.5G"); got.Code != 2 {
		t.Errorf("%+v", got)
	}
}
