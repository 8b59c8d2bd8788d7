package dbussock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/godbus/dbus/v5"
)

// SystemBus is the system bus' socket (the D-Bus specification, "Well-known
// Message Bus Instances").
const SystemBus = "/run/dbus/system_bus_socket"

// Connect joins the bus that listens on a socket; ctx bounds that alone. To end
// the connection, close the Socket first: that ends a write that is stuck, for
// which closing the connection would wait.
func Connect(ctx context.Context, path string, filter Filter, options ...dbus.ConnOption) (*dbus.Conn, *Socket, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot connect to the bus: %w", err)
	}
	sock := New(raw)
	stop := context.AfterFunc(ctx, func() { _ = sock.Close() })
	conn, err := dbus.NewConn(NewFiltered(sock, filter), options...)
	if err == nil {
		err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	}
	if err == nil {
		err = conn.Hello()
	}
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		_ = sock.Close()
		if conn != nil {
			_ = conn.Close()
		}
		return nil, nil, fmt.Errorf("cannot join the bus: %w", err)
	}
	return conn, sock, nil
}
