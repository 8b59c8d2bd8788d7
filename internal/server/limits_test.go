package server_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestParseCPUs(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]int{
		"": nil, "0": {0}, "3,0-1": {0, 1, 3}, "0-1 3": {0, 1, 3}, "1,1,0-2": {0, 1, 2}, "8191": {8191},
	} {
		got, err := server.ParseCPUs(list)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("ParseCPUs(%q): %v\n%s", list, err, diff)
		}
	}
	for _, list := range []string{",", "a", "-1", "1-", "+1", "2-1", "8192", "0-", "0--1", "0x1", "0,,a"} {
		if got, err := server.ParseCPUs(list); err == nil {
			t.Errorf("ParseCPUs(%q) = %v", list, got)
		}
	}
}

func FuzzParseCPUs(f *testing.F) {
	for _, seed := range []string{"0-1,3", "0 2-4", "", "8191"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		if len(list) > 300 {
			return
		}
		cpus, err := server.ParseCPUs(list)
		if err != nil {
			return
		}
		again, err := server.ParseCPUs(server.SpellCPUs(cpus))
		if diff := cmp.Diff(cpus, again); diff != "" || err != nil {
			t.Errorf("%q is spelt %q: %v\n%s", list, server.SpellCPUs(cpus), err, diff)
		}
	})
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	host := server.Capacity{Memory: 4 << 30, CPUs: []int{0, 1, 3}}
	for _, tt := range []struct {
		limits server.Limits
		field  string
		words  string
	}{
		{server.Limits{}, "", ""},
		{server.Limits{MemoryMax: 4 << 30, CPUWeight: 1, CPUs: []int{3}}, "", ""},
		{server.Limits{MemoryMax: 4<<30 + 1}, "config.memory_max", "4294967296"},
		{server.Limits{CPUs: []int{1, 2}}, "config.cpus", "no processor 2; it has 0-1,3"},
	} {
		var e *server.Error
		switch err := host.Check(tt.limits); {
		case tt.field == "" && err == nil:
		case !errors.As(err, &e) || e.Field != tt.field || !strings.Contains(e.Detail, tt.words):
			t.Errorf("%+v: %v", tt.limits, err)
		}
		if err := (server.Capacity{}).Check(tt.limits); err != nil {
			t.Errorf("a host that is not known refuses %+v: %v", tt.limits, err)
		}
	}
}

// TestOldSettings reads what a version without limits wrote.
func TestOldSettings(t *testing.T) {
	t.Parallel()
	var got server.Config
	const old = `{"port":27015,"map":"c1m1_hotel","gamemode":"coop","max_players":8,"hostname":"a","args":[],"overlays":[],"cvars":{},"heal":"off"}`
	if err := json.Unmarshal([]byte(old), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(valid(), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if b, err := json.Marshal(got); string(b) != old {
		t.Errorf("written again: %s %v", b, err)
	}
	if l := got.Limits(); !l.IsDefault() || l.Memory() != 2<<30 || l.MemoryHigh() != 3<<29 {
		t.Errorf("limits: %+v", l)
	}
	more := got.Clone()
	more.CPUs = "0"
	if !got.OnlyLimitsDiffer(more) || got.Equal(more) {
		t.Error("a change of limits is taken for another")
	}
	more.Map = "c2m1_highway"
	if got.OnlyLimitsDiffer(more) {
		t.Error("a change of the map is taken for one of limits")
	}
}
