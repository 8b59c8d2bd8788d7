package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/left4med/left4med/test/bus"
)

// hold holds what there is to hold until standard input ends: 1,000 idle
// connections, half requests, slow ones, and readers of events and signals that
// never read.
func hold() (map[string]int, error) {
	ended := untilStdinEnds()
	done := map[string]int{}
	var slow, kept []net.Conn
	open := func(what, begin string) {
		c, err := net.Dial("unix", httpSocket)
		if err != nil {
			done[what+", refused"]++
			return
		}
		done[what]++
		_, _ = io.WriteString(c, begin)
		if what == "slow" {
			slow = append(slow, c)
		}
		kept = append(kept, c)
	}
	for range 16 {
		open("events, never read", "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
		open("half a request", "POST /v1/resync HTTP/1.1\r\nHo")
		open("half a body", "POST /v1/servers HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
		open("slow", "GET /v1/servers HTTP/1.1\r\nHost: ")
	}
	for range 1000 {
		open("idle", "")
	}
	for range 16 {
		c, err := deaf()
		if c != nil {
			kept = append(kept, c)
		}
		if err != nil {
			done["signals, never read, refused"]++
		} else {
			done["signals, never read"]++
		}
	}
	fmt.Println("holding")
	for {
		for _, c := range slow {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(c, "x")
		}
		select {
		case <-ended:
			runtime.KeepAlive(kept) // a connection that nobody has is closed
			return done, nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// deaf asks for all signals, and for lists, and reads nothing.
func deaf() (net.Conn, error) {
	c, err := bus.Dial(busSocket)
	if err != nil {
		return nil, err
	}
	const theBus = "org.freedesktop.DBus"
	if _, err := c.Call(&bus.Message{
		Destination: theBus, Path: "/", Interface: theBus, Member: "AddMatch", Sign: "s", Body: bus.Text("sender='" + left4med + "'"),
	}); err != nil {
		return c, err
	}
	for range 100 {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := c.Send(&bus.Message{
			Type: bus.Call, Destination: left4med, Path: rootPath, Interface: "org.freedesktop.DBus.ObjectManager", Member: "GetManagedObjects",
		}); err != nil {
			return c, err
		}
	}
	return c, nil
}
