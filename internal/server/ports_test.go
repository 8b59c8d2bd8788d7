package server

import (
	"slices"
	"testing"
)

func TestPortRules(t *testing.T) {
	t.Parallel()
	for port, want := range map[uint16][]string{
		27015: {"ipv4:udp:27015", "ipv4:tcp:27015", "ipv4:udp:28015", "ipv4:udp:29015", "ipv4:udp:26900-26999"},
		28015: {"ipv4:udp:28015", "ipv4:tcp:28015", "ipv4:udp:30015", "ipv4:udp:31015", "ipv4:udp:26900-26999"},
		65535: {"ipv4:udp:65535", "ipv4:tcp:65535", "ipv4:udp:28535", "ipv4:udp:29535", "ipv4:udp:26900-26999"},
	} {
		rules := Config{Port: port}.PortRules()
		var got []string
		for _, r := range rules {
			got = append(got, r.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("port %d: %q, want %q", port, got, want)
		}
		slices.Reverse(got)
		if !SameRules(rules, got) || SameRules(rules, got[1:]) || SameRules(rules, nil) {
			t.Errorf("port %d: its rules are not told from others", port)
		}
	}
}
