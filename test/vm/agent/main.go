// Command agent does in a virtual machine what its owner outside asks for: runs
// commands, and connects to unix sockets. Its argument is the serial port to the
// owner.
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/left4med/left4med/test/vm/line"
)

func main() {
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func serve(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return line.Serve(port{file})
}

// port is a serial port as a connection.
type port struct{ *os.File }

func (p port) LocalAddr() net.Addr  { return &net.UnixAddr{Name: p.Name(), Net: "unix"} }
func (p port) RemoteAddr() net.Addr { return p.LocalAddr() }
