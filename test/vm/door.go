package vm

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/vm/line"
)

// Client speaks to left4med from outside the machine, as root, over all boots.
func (m *Machine) Client() *client.Client {
	return client.New(client.Options{Socket: m.door.listener.Addr().String()})
}

// door is a socket of the host whose connections lead to one of the machine.
type door struct {
	listener net.Listener
	conns    sync.WaitGroup
	ctx      context.Context // ends when the door is closed
	cancel   context.CancelFunc
}

// openDoor makes the door to left4med.
func (m *Machine) openDoor() error {
	// An abstract socket: it needs no file.
	listener, err := net.Listen("unix", "@left4med-vm-"+m.name)
	if err != nil {
		return fmt.Errorf("cannot make the door of machine %s: %w", m.name, err)
	}
	d := &door{listener: listener}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			d.conns.Go(func() { d.carry(m, conn) })
		}
	})
	m.door = d
	return nil
}

// carry carries one connection until either end closes it.
func (d *door) carry(m *Machine, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(d.ctx, func() { conn.Close() })
	defer stop()
	t, err := m.now()
	if err != nil {
		return // whoever connects to a machine that is off sees the end at once
	}
	answer, err := t.post(d.ctx, line.DialPath, url.Values{"socket": {host.Socket}}, io.NopCloser(conn))
	if err != nil {
		return
	}
	defer answer.Body.Close()
	_, _ = io.Copy(conn, answer.Body) // whoever reads sees the end
}

func (d *door) close() {
	d.cancel()
	d.listener.Close()
	d.conns.Wait()
}
