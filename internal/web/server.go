package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	stdlog "log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/live"
)

// Options are what a Server needs. Book, Hub, Consoles and Client must be set.
type Options struct {
	Book     *account.Book
	Hub      *live.Hub
	Consoles *live.Consoles
	Client   *client.Client // of the daemon
	Files    fs.FS          // the page, as Vite builds it

	MetricsToken   string         // what Prometheus must show; /metrics is off when empty
	TrustedProxies []netip.Prefix // whose X-Forwarded-For and -Proto count
	Version        string
	Log            zerolog.Logger

	// Heartbeat is how often a stream says that it is alive, and whether its
	// session still is; 10 s when zero.
	Heartbeat time.Duration
	// Connections bounds how many there may be at once; 4,096 when zero.
	Connections int
}

const (
	headerTimeout  = 10 * time.Second
	bodyTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
	heartbeatEvery = 10 * time.Second
	connections    = 4096
)

// Server serves browsers.
type Server struct {
	opts    Options
	http    http.Server
	mux     *http.ServeMux
	files   *files
	meter   *meter
	turns   *turns
	streams *places // of events, by user
	logs    *places // that are followed, by user

	flood sparse // of sign-ins that are refused unseen

	closing context.Context // ends streams and waits
	close   context.CancelFunc
}

// New makes a Server. Each Book and Hub is for one Server alone.
func New(o Options) *Server {
	if o.Heartbeat == 0 {
		o.Heartbeat = heartbeatEvery
	}
	if o.Connections == 0 {
		o.Connections = connections
	}
	s := &Server{
		opts: o, mux: http.NewServeMux(),
		files:   readFiles(o.Files, o.Log),
		meter:   newMeter(o.Hub),
		turns:   newTurns(turnsInAll, turnsOfOne),
		streams: newPlaces(streamsOfOne), logs: newPlaces(logsOfOne),
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.http = http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout, // streams and waits set their own
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          stdlog.New(logWriter{o.Log}, "", 0),
	}
	for _, rt := range s.routes() {
		s.register(rt)
	}
	s.mux.HandleFunc("/", s.page)
	o.Book.OnEnd(o.Hub.Recheck)
	return s
}

// Serve accepts connections until Shutdown, and then returns nil. It may be
// called for several listeners; it closes each at the end.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(&listener{Listener: l, places: make(chan struct{}, s.opts.Connections), closing: s.closing})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("cannot serve on %s: %w", l.Addr(), err)
}

// Shutdown stops accepting, ends streams and waits, lets other requests finish
// until ctx ends, and then closes what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.close()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
		return fmt.Errorf("cannot let all requests finish: %w", err)
	}
	return nil
}

// listener bounds how many connections there are: the next one waits in the
// kernel until one ends.
type listener struct {
	net.Listener
	places  chan struct{}
	closing context.Context
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closing.Done():
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return newConn(c, func() { <-l.places }), nil
}

// logWriter hands net/http's own messages to the log. They may hold what a
// browser sent.
type logWriter struct{ log zerolog.Logger }

// Write implements io.Writer.
func (w logWriter) Write(p []byte) (int, error) {
	w.log.Debug().Msg(client.Visible(strings.TrimSpace(string(p))))
	return len(p), nil
}
