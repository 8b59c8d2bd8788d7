package standin

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// The modes in which queries are answered wrongly.
const (
	querySilent    = "silent"          // not at all
	queryMalformed = "malformed"       // by bytes that are not the protocol
	queryShort     = "short"           // by half of the answer
	queryEndless   = "endless"         // by parts without end, none of them the last
	queryReordered = "split-reordered" // in small parts, the last one first and each twice
	queryMissing   = "split-missing"   // in small parts, the last one missing
	queryReplay    = "replay"          // by what was answered before, and then rightly
	queryWrongPort = "wrong-port"      // from another port than was asked
	queryLongNames = "long-names"      // with names of 4 kB
	querySlow      = "slow"            // after slowness
)

// slowness is how late "slow" answers.
const slowness = 700 * time.Millisecond

// QueryModes are the modes of the directive "query".
func QueryModes() []string {
	return []string{
		modeNormal, querySilent, queryMalformed, queryShort, queryEndless, queryReordered, queryMissing, queryReplay,
		queryWrongPort, queryLongNames, querySlow,
	}
}

// missend answers as a mode wants it.
func (s *Server) missend(sock *udpSocket, to netip.AddrPort, answer []byte, mode string) {
	q := &s.queries
	small := len(answer)/3 + splitHeader
	switch mode {
	case queryMalformed:
		s.sendAll(sock, to, [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")})
	case queryShort:
		s.sendAll(sock, to, [][]byte{answer[:len(answer)/2]})
	case queryEndless:
		s.endless(sock, to)
	case queryReordered:
		q.serial++
		packets := split(answer, q.serial, small)
		slices.Reverse(packets)
		s.sendAll(sock, to, append(packets[:len(packets)-1:len(packets)-1], packets...))
	case queryMissing:
		q.serial++
		packets := split(answer, q.serial, small)
		s.sendAll(sock, to, packets[:len(packets)-1])
	case queryReplay:
		const kept = 8
		s.sendAll(sock, to, q.sent)
		s.sendAll(sock, to, q.parts(answer, packetSize))
		q.sent = append(q.sent, q.parts(answer, packetSize)...)
		q.sent = q.sent[max(0, len(q.sent)-kept):]
	case queryWrongPort:
		s.sendFromElsewhere(to, answer)
	case queryLongNames:
		s.sendAll(sock, to, q.parts(s.longNames(answer[4]), packetSize))
	case querySlow:
		time.AfterFunc(slowness, func() { s.sendAll(sock, to, [][]byte{answer[:min(len(answer), packetSize)]}) })
	}
}

// endless sends parts of ever new answers until it has another mode, to one sender
// at a time.
func (s *Server) endless(sock *udpSocket, to netip.AddrPort) {
	if s.queries.flood != nil {
		close(s.queries.flood)
	}
	stop := make(chan struct{})
	s.queries.flood = stop
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for serial := uint32(1 << 30); ; serial++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if mode, _ := s.game.modes(); mode != queryEndless {
				return
			}
			b := binary.LittleEndian.AppendUint32([]byte("\xfe\xff\xff\xff"), serial/200)
			b = append(b, 255, byte(serial%200), 0xe0, 0x04)
			if err := sock.Send(to, string(append(b, make([]byte, packetSize-splitHeader)...))); err != nil && !transient(err) {
				return
			}
		}
	}()
}

// sendFromElsewhere answers from a port that the kernel chooses.
func (s *Server) sendFromElsewhere(to netip.AddrPort, answer []byte) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		s.printf("cannot answer from elsewhere: %v", err)
		return
	}
	defer syscall.Close(fd)
	s.sendAll(&udpSocket{fd: fd}, to, [][]byte{answer[:min(len(answer), packetSize)]})
}

// longNames is an answer of a kind with names of 4 kB: the game's, its map's, and
// those of three players.
func (s *Server) longNames(kind byte) []byte {
	state := s.game.look()
	if kind == 'I' {
		state.hostname, state.mapName = longName(0), longName(1)
		return state.info()
	}
	state.players = nil
	for n := range 3 {
		state.players = append(state.players, player{id: math.MaxInt32 / 3, name: longName(n), joined: s.Now()})
	}
	return state.list(s.Now())
}
