// Package standin is a stand-in for Left 4 Dead 2's srcds_run: it takes the
// same arguments, prints a plausible console, binds its port, answers queries and
// RCON there, writes into its tree and stops on SIGINT. Tests and the demo put it where srcds_run
// would be, so that the shipped units run unchanged; nothing in the product
// knows of it.
//
// It can be told to misbehave, before the start by a file standin.conf in its
// working directory (one [Directive] a line) and while it runs by a UDP
// datagram from loopback to its own port, "STANDIN " and a directive, which it
// answers with "STANDIN OK" or "STANDIN ERR why" before it obeys.
package standin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ControlFile is where the directives for the start are read from, below the
// stand-in's working directory.
const ControlFile = "standin.conf"

// datagramPrefix begins every directive that comes by UDP.
const datagramPrefix = "STANDIN "

// Server is one stand-in. All fields are set by the caller before Run.
type Server struct {
	Options Options
	Dir     string    // srcds' working directory
	Console io.Writer // where the console goes
	// Leave ends the process with a status, as os.Exit does.
	Leave func(code int)
	// Crash ends the process by a signal.
	Crash func()
	Now   func() time.Time

	hanging atomic.Bool
	game    game
	queries queries  // touched by Run's goroutine alone
	held    [][]byte // what "memory" eats; touched by Run's goroutine alone
}

// Run plays the game until ctx is done and answers with the exit status that
// srcds_run would have. stop carries SIGINT and SIGTERM.
func (s *Server) Run(ctx context.Context, stop <-chan os.Signal) int {
	s.game.begin(s.Options)
	s.printf("Setting breakpad minidump AppID = 222860")
	s.printf("stand-in for srcds_run, pid %d", os.Getpid())
	if err := s.obeyControlFile(); err != nil {
		s.printf("%v", err)
		return 1
	}
	sock, rcon, err := s.listen()
	if err != nil {
		s.printf("WARNING: NET_OpenSocket: bind: port:%d %v", s.Options.Port, err)
		s.printf("Couldn't allocate any server IP port")
		return 1
	}
	defer sock.Close()
	defer rcon.serve(s.serveRCON)()
	s.printf("Network: IP %s, mode MP, dedicated Yes, ports %d SV / %d CL", s.Options.IP, s.Options.Port, s.Options.ClientPort)
	s.boot()

	packets := make(chan packet)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go receive(ctx, sock, packets)
	for {
		select {
		case <-ctx.Done():
			s.shutDown()
			return 0
		case sig := <-stop:
			if s.hanging.Load() {
				s.printf("ignoring %v", sig)
				continue
			}
			s.shutDown()
			return 0
		case p := <-packets:
			s.answer(sock, p)
		}
	}
}

// listen binds the port twice, for the game and for RCON. As with srcds, one that is
// taken for RCON alone costs RCON and not the game; but when any port will do,
// another one is looked for.
func (s *Server) listen() (*udpSocket, *tcpListener, error) {
	for tries := 1; ; tries++ {
		sock, err := listenUDP(s.Options.IP, s.Options.Port)
		if err != nil {
			return nil, nil, err
		}
		port, err := sock.Port()
		if err != nil {
			sock.Close()
			return nil, nil, err
		}
		rcon, err := listenTCP(s.Options.IP, port)
		if err != nil && s.Options.Port == 0 && tries < 20 {
			sock.Close()
			continue
		}
		if err != nil {
			s.printf("WARNING: no RCON: %v", err)
		}
		s.Options.Port = port
		s.game.bound(port)
		return sock, rcon, nil
	}
}

// boot prints what a starting server prints and writes what it writes.
func (s *Server) boot() {
	o := s.Options
	s.printf("Game directory %s, %d players, mode %s", o.Game, o.MaxPlayers, o.GameMode)
	for _, u := range o.Unknown {
		s.printf("Unknown command %q", u)
	}
	for _, name := range append([]string{"server.cfg"}, o.Exec...) {
		s.execConfig(name, 0)
	}
	for _, name := range []string{"banned_user.cfg", "banned_ip.cfg"} {
		s.writeGameFile("cfg/"+name, "", os.O_TRUNC)
	}
	s.log("Log file started")
	if o.Map == "" {
		s.printf("No map given, waiting for one")
		return
	}
	s.changeMap(o.Map)
	s.printf("Connection to Steam servers successful.")
	s.printf("   VAC secure mode disabled.")
}

func (s *Server) changeMap(name string) {
	s.printf("Loading map %q", name)
	s.log(fmt.Sprintf("Started map %q", name))
	s.game.change(name)
}

// drop says who left.
func (s *Server) drop(names []string) {
	for _, name := range names {
		s.printf("Dropped %s from server (Disconnect by user.)", name)
	}
}

func (s *Server) shutDown() {
	s.log("Log file closed")
	s.printf("Server shutting down")
}

func (s *Server) printf(format string, args ...any) {
	// A console that nobody reads must not end the game.
	_, _ = io.WriteString(s.Console, fmt.Sprintf(format, args...)+"\n")
}

// answer obeys a directive from loopback and answers a query; any other datagram is
// left alone, as srcds leaves what it does not understand.
func (s *Server) answer(sock *udpSocket, p packet) {
	text, found := strings.CutPrefix(string(p.data), datagramPrefix)
	if !found {
		s.query(sock, p)
		return
	}
	if !p.from.Addr().IsLoopback() {
		return
	}
	d, err := ParseDirective(text)
	if err != nil {
		s.reply(sock, p.from, "ERR "+err.Error())
		return
	}
	s.reply(sock, p.from, "OK")
	if d.Verb == VerbShell {
		go s.shell(sock, p.from, d.Text)
		return
	}
	s.obey(d)
}

func (s *Server) reply(sock *udpSocket, to netip.AddrPort, text string) {
	if err := sock.Send(to, datagramPrefix+text); err != nil {
		s.printf("cannot answer %v: %v", to, err)
	}
}

func (s *Server) obeyControlFile() error {
	data, err := os.ReadFile(s.path(ControlFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the control file: %w", err)
	}
	ds, err := ParseControl(data)
	if err != nil {
		return err
	}
	for _, d := range ds {
		s.obey(d)
	}
	return nil
}

func (s *Server) obey(d Directive) {
	switch d.Verb {
	case VerbCrash:
		s.after(d.After, s.Crash)
	case VerbExit:
		s.after(d.After, func() { s.Leave(d.Code) })
	case VerbHang:
		s.hanging.Store(true)
		s.printf("hanging: SIGINT and SIGTERM are ignored from here on")
	case VerbMemory:
		s.eat(d.Count)
	case VerbPrint:
		s.printf("%s", d.Text)
	case VerbSpam:
		for i := range d.Count {
			s.printf("spam %d %s", i, d.Text)
		}
	case VerbSwap:
		s.swap(d.Text)
	case VerbJoin:
		s.game.join(d.Text, false, s.Now())
		s.printf("Client \"%s\" connected", d.Text)
	case VerbBot:
		s.game.join(d.Text, true, s.Now())
	case VerbLeave:
		s.drop(s.game.leave(d.Text))
	case VerbMap:
		s.changeMap(d.Text)
	case VerbQuery:
		s.game.setModes(d.Text, "")
	case VerbRCON:
		s.game.setModes("", d.Text)
	}
}

func (s *Server) after(d time.Duration, do func()) {
	if d == 0 {
		do()
		return
	}
	time.AfterFunc(d, do)
}

// eat holds mib MiB and touches each page, so that the kernel counts it.
func (s *Server) eat(mib int) {
	for range mib {
		block, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			s.printf("cannot eat more than %d MiB: %v", len(s.held), err)
			return
		}
		for i := 0; i < len(block); i += os.Getpagesize() {
			block[i] = 1
		}
		s.held = append(s.held, block)
	}
	s.printf("holding %d MiB", len(s.held))
}
