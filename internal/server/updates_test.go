package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseInstallLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]InstallLine{
		"progress downloading 4123456789 9036123456":        {State: "downloading", Done: 4123456789, Total: 9036123456},
		"progress verifying 0 0":                            {State: "verifying"},
		"progress downloading -1 5":                         {},
		"progress Down 1 5":                                 {},
		"progress downloading 1":                            {},
		"progress downloading 1 99999999999999999999":       {},
		"step saving the present installation":              {Step: "saving the present installation"},
		"fault there is no space":                           {Fault: "there is no space"},
		"build installed 123":                               {Installed: "123"},
		"build latest 456":                                  {Latest: "456"},
		"build latest 4 6":                                  {},
		"build latest ":                                     {},
		"build newest 1":                                    {},
		"steamcmd: fault of somebody else":                  {},
		"left4me-install.service: Deactivated successfully": {},
		"": {},
	} {
		if diff := cmp.Diff(want, ParseInstallLine(line)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

func FuzzParseInstallLine(f *testing.F) {
	for _, seed := range []string{"progress downloading 1 2", "build latest 7", "step x", "fault y", "progress a 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := ParseInstallLine(s)
		if l.Done < 0 || l.Total < 0 || l.Installed != "" && !IsBuild(l.Installed) || l.Latest != "" && !IsBuild(l.Latest) {
			t.Errorf("%q: %+v", s, l)
		}
	})
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 12_345_678: "12.3 MB", 999_960: "1.0 MB",
		9_036_123_456: "9.0 GB", 1 << 62: "4611.7 PB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}
