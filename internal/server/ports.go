package server

import (
	"fmt"
	"slices"
)

// PortRule is a range of ports of one protocol that a game may bind, over IPv4.
type PortRule struct {
	TCP  bool // else UDP
	Low  uint16
	High uint16
}

// String spells the rule as SocketBindAllow= of systemd.resource-control(5).
func (r PortRule) String() string {
	proto := "udp"
	if r.TCP {
		proto = "tcp"
	}
	if r.Low == r.High {
		return fmt.Sprintf("ipv4:%s:%d", proto, r.Low)
	}
	return fmt.Sprintf("ipv4:%s:%d-%d", proto, r.Low, r.High)
}

// Besides its own port a game opens one as a client and one for SourceTV. Left to
// itself it takes the next free ones from 27005 and 27020 up, which are other
// games' own. A thousand for each, as many as the default range has; for a port
// that lies among them, those two thousand further up.
const (
	clientPorts   = 28000
	sourceTVPorts = 29000
	besidePorts   = 1000
)

func (c Config) beside(first uint16) uint16 {
	if c.Port >= clientPorts && c.Port < sourceTVPorts+besidePorts {
		first += 2 * besidePorts
	}
	return first + c.Port%besidePorts
}

// ClientPort is the port that the game uses as a client.
func (c Config) ClientPort() uint16 { return c.beside(clientPorts) }

// SourceTVPort is the port that the game would serve SourceTV on.
func (c Config) SourceTVPort() uint16 { return c.beside(sourceTVPorts) }

// PortRules are all ports that the server's game may bind: its own, for players
// and for RCON, those beside it, and what Steam's client library takes.
func (c Config) PortRules() []PortRule {
	return []PortRule{
		{Low: c.Port, High: c.Port},
		{TCP: true, Low: c.Port, High: c.Port},
		{Low: c.ClientPort(), High: c.ClientPort()},
		{Low: c.SourceTVPort(), High: c.SourceTVPort()},
		{Low: 26900, High: 26999},
	}
}

// SameRules says whether rules, spelt as String does, are these, in any order.
func SameRules(rules []PortRule, spelt []string) bool {
	want := make([]string, len(rules))
	for i, r := range rules {
		want[i] = r.String()
	}
	got := slices.Clone(spelt)
	slices.Sort(want)
	slices.Sort(got)
	return slices.Equal(want, got)
}
