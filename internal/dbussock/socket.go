// Package dbussock is the socket below a connection that speaks D-Bus: godbus
// reads field by field, waits for ever with a write, and forgets why it ended.
package dbussock

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// writeTimeout bounds a write: the other side reads at once unless it is stuck.
const writeTimeout = 10 * time.Second

// ErrStuck is in the chain of the reason when the other side did not read for
// 10 s.
var ErrStuck = errors.New("it does not read what it is sent")

// Socket reads ahead, bounds how long a write may take, and remembers why it
// ended.
type Socket struct {
	net.Conn
	in *bufio.Reader

	mu  sync.Mutex
	err error
}

// New wraps a connection.
func New(c net.Conn) *Socket { return &Socket{Conn: c, in: bufio.NewReaderSize(c, 64<<10)} }

// Read implements io.Reader.
func (s *Socket) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil {
		s.fail(err)
	}
	return n, err
}

// Write implements io.Writer.
func (s *Socket) Write(p []byte) (int, error) {
	_ = s.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := s.Conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) || err != nil && n > 0 {
		// Half a message may be written: nothing can follow it.
		s.fail(fmt.Errorf("%w: %w", ErrStuck, err))
		_ = s.Close()
	}
	return n, err
}

// fail remembers the first error.
func (s *Socket) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// Reason is the first error of the socket, io.EOF when the other side closed it,
// and nil when it has none: then what came could not be understood.
func (s *Socket) Reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
