package standin

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// version is the game's, as steam.inf has it.
const version = "2.2.4.3"

const (
	// packetSize is srcds' largest part, header included: 0x04E0.
	packetSize  = 1248
	splitHeader = 12
)

// queries is what answering queries needs besides the game.
type queries struct {
	secret uint64 // of challenges; 0: none was drawn yet
	serial uint32 // of answers in parts
	sent   [][]byte
	flood  chan struct{} // closed to end what "endless" sends
}

// query answers a datagram as https://developer.valvesoftware.com/wiki/Server_queries
// says: A2S_INFO ('T') and A2S_PLAYER ('U') with the challenge that 'A' gave.
func (s *Server) query(sock *udpSocket, p packet) {
	body, found := bytes.CutPrefix(p.data, []byte("\xff\xff\xff\xff"))
	if !found || len(body) == 0 {
		return
	}
	challenge := s.queries.challenge(p.from)
	var answer []byte
	switch body[0] {
	case 'T':
		brought, found := bytes.CutPrefix(body[1:], []byte("Source Engine Query\x00"))
		if !found {
			return
		}
		if !bytes.Equal(brought, challenge) {
			answer = append([]byte("\xff\xff\xff\xffA"), challenge...)
			break
		}
		answer = s.game.look().info()
	case 'U':
		if !bytes.Equal(body[1:], challenge) {
			answer = append([]byte("\xff\xff\xff\xffA"), challenge...)
			break
		}
		answer = s.game.look().list(s.Now())
	default:
		return
	}
	s.send(sock, p.from, answer)
}

// challenge is four bytes that a sender has to bring, always the same for the same
// one, and never -1, which asks for a challenge.
func (q *queries) challenge(from netip.AddrPort) []byte {
	for q.secret == 0 {
		q.secret = rand.Uint64()
	}
	sum := fnv.New32a()
	_ = binary.Write(sum, binary.LittleEndian, q.secret)
	_, _ = sum.Write([]byte(from.String()))
	return binary.LittleEndian.AppendUint32(nil, sum.Sum32()&0x7fffffff)
}

// info is the answer to A2S_INFO.
func (s snapshot) info() []byte {
	b := []byte("\xff\xff\xff\xffI\x11")
	for _, text := range []string{s.hostname, s.mapName, s.options.Game, "Left 4 Dead 2"} {
		b = append(append(b, text...), 0)
	}
	b = binary.LittleEndian.AppendUint16(b, 550)
	b = append(b, byte(len(s.players)), byte(s.options.MaxPlayers), byte(s.bots), 'd', 'l', flag(s.locked), 1)
	b = append(append(b, version...), 0)
	// Port, Steam's id of the server, keywords, the game's whole id.
	b = append(b, 0x80|0x10|0x20|0x01)
	b = binary.LittleEndian.AppendUint16(b, uint16(s.options.Port))
	b = binary.LittleEndian.AppendUint64(b, 90071992547409920)
	b = append(append(b, s.options.GameMode+",empty,secure"...), 0)
	return binary.LittleEndian.AppendUint64(b, 550)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// list is the answer to A2S_PLAYER. srcds leaves the index 0.
func (s snapshot) list(now time.Time) []byte {
	b := append([]byte("\xff\xff\xff\xffD"), byte(len(s.players)))
	for _, p := range s.players {
		b = append(b, 0)
		b = append(append(b, p.name...), 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(p.score()))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(now.Sub(p.joined).Seconds())))
	}
	return b
}

// send sends an answer as the mode wants it.
func (s *Server) send(sock *udpSocket, to netip.AddrPort, answer []byte) {
	mode, _ := s.game.modes()
	// Most modes give a challenge rightly, so that the answer is what goes wrong.
	wrong := answer[4] != 'A' || slices.Contains([]string{querySilent, queryEndless, queryReplay}, mode)
	if mode != modeNormal && wrong {
		s.missend(sock, to, answer, mode)
		return
	}
	s.sendAll(sock, to, s.queries.parts(answer, packetSize))
}

func (s *Server) sendAll(sock *udpSocket, to netip.AddrPort, packets [][]byte) {
	for _, p := range packets {
		if err := sock.Send(to, string(p)); err != nil {
			s.printf("cannot answer %v: %v", to, err)
			return
		}
	}
}

// parts is an answer as packets of at most size bytes: as it is, or in parts.
func (q *queries) parts(answer []byte, size int) [][]byte {
	if len(answer) <= size {
		return [][]byte{answer}
	}
	q.serial++
	return split(answer, q.serial, size)
}

// split cuts an answer into parts: -2, the answer's number, how many parts, which
// one, and the largest size of a part.
func split(answer []byte, serial uint32, size int) (packets [][]byte) {
	room := size - splitHeader
	total := (len(answer) + room - 1) / room
	for n := range total {
		b := []byte("\xfe\xff\xff\xff")
		b = binary.LittleEndian.AppendUint32(b, serial)
		b = append(b, byte(total), byte(n))
		b = binary.LittleEndian.AppendUint16(b, packetSize)
		packets = append(packets, append(b, answer[n*room:min((n+1)*room, len(answer))]...))
	}
	return packets
}

// longName is 4 kB with what a terminal, a page or a log could take for its own.
func longName(n int) string {
	head := "\x1b[31m\x1b]0;title\x07<b>&\"'\r\n\u202e\xff "
	return head + strings.Repeat(string(rune('a'+n%26)), 4096-len(head))
}
