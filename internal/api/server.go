package api

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/quota"
	"github.com/left4med/left4med/internal/server"
)

// ServerOptions is what a Server may be given beside its handler.
type ServerOptions struct {
	Log zerolog.Logger
	// Connections bounds how many there may be at once; 512, and 64 for each
	// uid, when zero. Root is not bounded.
	Connections quota.Limit
	// Peer says who connected; authz.PeerOf when nil. Tests set it.
	Peer func(net.Conn) (authz.Peer, error)
}

// Server serves a handler on unix sockets to peers that the kernel vouches for.
type Server struct {
	http  http.Server
	log   zerolog.Logger
	peer  func(net.Conn) (authz.Peer, error)
	conns *quota.Quota
	// turnedAway bounds the connections that are kept only to be told why they
	// are refused.
	turnedAway *quota.Quota
	closing    context.Context
	close      context.CancelFunc
}

const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	maxHeaderBytes  = 32 << 10
	turnedAwayTotal = 32
)

// NewServer makes a server of a handler from New.
func NewServer(h http.Handler, o ServerOptions) *Server {
	s := &Server{
		log: o.Log, peer: o.Peer,
		conns:      quota.New(o.Connections.Or(quota.Limit{Total: 512, PerUID: 64})),
		turnedAway: quota.New(quota.Limit{Total: turnedAwayTotal, PerUID: turnedAwayTotal / 4}),
	}
	if s.peer == nil {
		s.peer = authz.PeerOf
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.http = http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout, // streams and waits set their own
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          newErrorLog(o.Log),
		BaseContext:       func(net.Listener) context.Context { return withClosing(context.Background(), s.closing) },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if own, ok := c.(*conn); ok {
				return own.context(ctx)
			}
			return ctx
		},
	}
	return s
}

// Serve accepts connections until Shutdown, and then returns nil. It may be
// called for several listeners; it closes each at the end.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(&listener{Listener: l, server: s})
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

// listener decides about each connection as it comes in.
type listener struct {
	net.Listener
	server *Server
}

// Accept returns the next connection that may be served, or be told why not.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if own := l.server.receive(c); own != nil {
			return own, nil
		}
		c.Close()
	}
}

// receive makes the connection of a peer, or nil when it is not even to be
// told that it is refused.
func (s *Server) receive(c net.Conn) *conn {
	peer, err := s.peer(c)
	if err != nil {
		s.log.Warn().Err(err).Msg("refused a connection")
		return nil
	}
	own := &conn{Conn: c, peer: peer}
	if peer.Game() { // games must not use up what others need
		own.refused = authz.GameRefused(peer) // the handler refuses it anyway
	} else if give, ok := s.conns.Take(peer.UID); ok {
		own.give = give
		return own
	} else {
		own.refused = server.Errorf(server.CodeTooMany, "uid %d, or all users together, hold too many connections; close some and try again", peer.UID)
	}
	give, ok := s.turnedAway.Take(peer.UID)
	if !ok {
		return nil
	}
	own.give = give
	return own
}

// conn is a connection whose peer is known.
type conn struct {
	net.Conn
	peer    authz.Peer
	refused error // why all its requests are refused; nil when they are not
	give    func()
}

// Close gives back the place that the connection held.
func (c *conn) Close() error {
	c.give()
	return c.Conn.Close()
}

type turnedAwayKey struct{}

func (c *conn) context(ctx context.Context) context.Context {
	if c.refused != nil {
		ctx = context.WithValue(ctx, turnedAwayKey{}, c.refused)
	}
	return authz.WithPeer(ctx, c.peer)
}

// turnedAway says why a request's connection is refused.
func turnedAway(ctx context.Context) error {
	err, _ := ctx.Value(turnedAwayKey{}).(error)
	return err
}

// newErrorLog hands net/http's own messages to the log.
func newErrorLog(log zerolog.Logger) *stdlog.Logger {
	return stdlog.New(writerFunc(func(p []byte) (int, error) {
		log.Warn().Msg(server.Visible(strings.TrimSpace(string(p))))
		return len(p), nil
	}), "", 0)
}

type writerFunc func([]byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
