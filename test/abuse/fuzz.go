package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/left4med/left4med/test/bus"
)

const (
	left4med = "org.left4me.left4med1"
	rootPath = "/org/left4me/left4med1"
	each     = 5000 // malformed requests on each door
)

// fuzz sends malformed requests to both doors at once.
func fuzz(over time.Duration) map[string]map[string]int {
	var http, dbus counts
	var doors sync.WaitGroup
	doors.Go(func() {
		spread(each, 8, over, func(_, i int) { http.add(fuzzHTTP(rand.New(rand.NewPCG(1, uint64(i))))) })
	})
	doors.Go(func() {
		const hands = 4
		callers := make([]caller, hands)
		spread(each, hands, over, func(hand, i int) { dbus.add(callers[hand].fuzz(rand.New(rand.NewPCG(2, uint64(i))))) })
	})
	doors.Wait()
	return map[string]map[string]int{"http": http.of, "dbus": dbus.of}
}

// fuzzHTTP sends one request on a connection of its own, and says what came.
func fuzzHTTP(r *rand.Rand) string {
	c, err := net.Dial("unix", httpSocket)
	if err != nil {
		return "no connection"
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, malformed(r)); err != nil {
		return "cut off"
	}
	_ = c.(*net.UnixConn).CloseWrite()
	answer, _ := bufio.NewReader(c).ReadString('\n')
	if f := strings.Fields(answer); len(f) > 1 && strings.HasPrefix(f[0], "HTTP/") {
		return f[1]
	}
	return "cut off"
}

// malformed is a request that is wrong in one of many ways.
func malformed(r *rand.Rand) string {
	noise := func(n int) string {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	post := func(path, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	switch r.IntN(12) {
	case 0:
		return noise(4096)
	case 1:
		return "GET /" + noise(200) + " HTTP/1.1\r\nHost: x\r\n\r\n"
	case 2:
		return "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", r.IntN(1<<20)) + "\r\n\r\n"
	case 3:
		return "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", r.IntN(20000)) + "\r\n"
	case 4:
		return post("/v1/servers", strings.Repeat(`{"config":`, r.IntN(20000)))
	case 5:
		return post("/v1/servers", strings.Repeat("[", r.IntN(1<<20)))
	case 6:
		return post("/v1/actions", `{"action":"start","servers":[`+strings.Repeat(`"a",`, r.IntN(50000))+`"a"]}`)
	case 7:
		return "POST /v1/servers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n" + noise(100)
	case 8:
		return "POST /v1/servers HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + noise(1000)
	case 9:
		return "GET /v1/jobs?limit=" + strings.Repeat("9", r.IntN(8000)) + "&%zz HTTP/1.1\r\nHost: x\r\n\r\n"
	case 10:
		return post("/v1/servers/../../"+strings.Repeat("%2e%2e%2f", r.IntN(1000))+"etc/start", noise(100))
	default:
		return "GET /v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: " + strings.Repeat("-1", r.IntN(100)) + "\r\nConnection: close\r\n\r\n"
	}
}

// caller is a connection to the bus that is made anew when the bus ends it.
type caller struct {
	*bus.Raw
	others []string // further connections of left4med's
}

func (c *caller) connect() (err error) {
	if c.Raw != nil {
		return nil
	}
	if c.Raw, err = bus.Dial(busSocket); err != nil {
		return err
	}
	ask := func(member, name string) []byte {
		const theBus = "org.freedesktop.DBus"
		m := bus.Message{Destination: theBus, Path: "/", Interface: theBus, Member: member}
		if name != "" {
			m.Sign, m.Body = "s", bus.Text(name)
		}
		answer, err := c.Call(&m)
		if err != nil || answer.Type != bus.Reply {
			return nil
		}
		return answer.Body
	}
	pid := ask("GetConnectionUnixProcessID", left4med)
	names := ask("ListNames", "")
	for at := 4; at+4 < len(names); { // an array of strings
		size := int(binary.LittleEndian.Uint32(names[at:]))
		name := string(names[at+4 : at+4+size])
		at = (at + 4 + size + 1 + 3) &^ 3
		if strings.HasPrefix(name, ":") && string(ask("GetConnectionUnixProcessID", name)) == string(pid) && pid != nil {
			c.others = append(c.others, name)
		}
	}
	return nil
}

// fuzz sends one message, and says what came.
func (c *caller) fuzz(r *rand.Rand) string {
	if err := c.connect(); err != nil {
		c.Raw = nil
		return "no connection"
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	m := message(r)
	if m.Type == bus.Signal {
		m.Destination = left4med
		if len(c.others) > 0 {
			m.Destination = c.others[r.IntN(len(c.others))]
		}
		if _, err := c.Send(m); err != nil {
			c.Close()
			c.Raw = nil
			return "cut off"
		}
		return "signal sent"
	}
	m.Destination = left4med
	answer, err := c.Call(m)
	switch {
	case err != nil:
		c.Close()
		c.Raw = nil
		return "cut off"
	case answer.Type == bus.Error:
		return answer.ErrorName
	}
	return "answered"
}

// message is one that is wrong in one of many ways.
func message(r *rand.Rand) *bus.Message {
	m := &bus.Message{Type: bus.Call, Path: rootPath, Interface: left4med + ".Manager", Member: []string{
		"StartServer", "StopServer", "GetServer", "ListServers", "Nope", "Resync"}[r.IntN(5)]}
	switch r.IntN(8) {
	case 0:
		m.Sign, m.Body = "s", bus.Text(strings.Repeat("x", r.IntN(1<<12)))
	case 1:
		m.Sign, m.Body = "u", binary.LittleEndian.AppendUint32(nil, r.Uint32())
	case 2: // a type that nobody has used before: empty, in a few layers
		m.Sign, m.Body = kinds(r), make([]byte, 8)
	case 3:
		m.Sign, m.Body = "a{bb}", []byte{8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}
	case 4:
		m.Path = "/" + strings.Repeat("p", r.IntN(3000)+1)
	case 5:
		m.Interface, m.Sign, m.Body = "org.freedesktop.DBus.Properties", "ssv", append(bus.Texts("x", "yyy"), 1, 'y', 0, 7)
		m.Member = "Set"
	case 6:
		m.Type, m.Interface, m.Member = bus.Signal, "a.b", "C"
		m.Sign, m.Body = "a{bb}", []byte{8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}
	default:
		m.Sign, m.Body = "s", bus.Text("a")
		if r.IntN(8) > 0 {
			break
		}
		if r.IntN(2) == 0 {
			m.Type = bus.Signal
		}
		if m.Body = bus.Text(strings.Repeat("x", 2<<20)); r.IntN(2) == 0 {
			const n = 1 << 17
			m.Sign = "av"
			m.Body = append(binary.LittleEndian.AppendUint32(nil, 4*n), bytes.Repeat([]byte{1, 'y', 0, 7}, n)...)
		}
	}
	return m
}

// kinds is the signature of an empty dictionary of some type.
func kinds(r *rand.Rand) string {
	const keys = "ynqiuxtds"
	sign := "y"
	for range 8 {
		sign = "a{" + keys[r.IntN(len(keys)):][:1] + sign + "}"
	}
	return sign
}
