package srcds_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/left4med/left4med/internal/srcds"
)

// fake is a game whose every packet is the test's own. The stand-in, which is no
// part of this package's tests, answers as srcds does.
type fake struct {
	conn *net.UDPConn
	addr netip.AddrPort
}

// answering starts a game that handle answers for; nth counts the requests from 0.
func answering(t *testing.T, handle func(g fake, from netip.AddrPort, nth int, request []byte)) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	g := fake{conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for nth := 0; ; nth++ {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			handle(g, from, nth, bytes.Clone(buf[:n]))
		}
	}()
	return g.addr
}

// say sends packets. A full buffer loses some, as a network does.
func (g fake) say(to netip.AddrPort, packets ...[]byte) {
	for _, p := range packets {
		_, _ = g.conn.WriteToUDPAddrPort(p, to)
	}
}

// saying starts a game that answers every request with the same packets.
func saying(t *testing.T, packets ...[]byte) netip.AddrPort {
	return answering(t, func(g fake, from netip.AddrPort, _ int, _ []byte) { g.say(from, packets...) })
}

func querier(t *testing.T) *srcds.Querier {
	t.Helper()
	q, err := srcds.NewQuerier(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// within is a context of its own for a query.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// plenty is for what is answered; brief for what is not, and ends the same however
// busy the machine is.
const (
	plenty = 30 * time.Second
	brief  = 300 * time.Millisecond
)

// packet puts the header in front of a kind and a body.
func packet(body string) []byte { return append([]byte{0xff, 0xff, 0xff, 0xff}, body...) }

// infoOf is an answer to A2S_INFO of a game of that name.
func infoOf(name string) []byte {
	return packet("I\x11" + name + "\x00c1m1_hotel\x00left4dead2\x00Left 4 Dead 2\x00\x26\x02\x04\x08\x01dl\x01\x012.2.4.3\x00\xb1\x87\x69")
}

// wantInfo is what infoOf tells.
func wantInfo(name string) srcds.Info {
	return srcds.Info{
		Name: name, Map: "c1m1_hotel", Folder: "left4dead2", Game: "Left 4 Dead 2", AppID: 550,
		Players: 4, MaxPlayers: 8, Bots: 1, Password: true, VAC: true, Version: "2.2.4.3",
	}
}

// challenge is the answer that gives one.
func challenge(n uint32) []byte {
	return binary.LittleEndian.AppendUint32(packet("A"), n)
}

// partsOf cuts an answer into n parts.
func partsOf(id uint32, answer []byte, n int) (packets [][]byte) {
	size := (len(answer) + n - 1) / n
	for i := range n {
		p := binary.LittleEndian.AppendUint32([]byte{0xfe, 0xff, 0xff, 0xff}, id)
		p = append(p, byte(n), byte(i), 0xe0, 0x04)
		packets = append(packets, append(p, answer[min(i*size, len(answer)):min((i+1)*size, len(answer))]...))
	}
	return packets
}
