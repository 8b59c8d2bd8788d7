package web

import (
	"net"
	"sync"
)

// conn gives its place back when it is closed, however often that is.
type conn struct {
	net.Conn
	give func()
}

func newConn(c net.Conn, give func()) *conn { return &conn{c, sync.OnceFunc(give)} }

// Close implements net.Conn.
func (c *conn) Close() error {
	c.give()
	return c.Conn.Close()
}
