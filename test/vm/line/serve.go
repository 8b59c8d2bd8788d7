package line

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Serve does what the owner at the other end of the line asks for.
func Serve(conn net.Conn) error {
	if err := greet(conn); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+RunPath, run)
	mux.HandleFunc("POST "+DialPath, dial)
	server := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	return server.Serve(&once{conn: conn, done: make(chan struct{})})
}

// once is a listener to which one connection comes.
type once struct {
	first sync.Once
	conn  net.Conn
	done  chan struct{}
}

func (o *once) Accept() (net.Conn, error) {
	var conn net.Conn
	o.first.Do(func() { conn = o.conn })
	if conn != nil {
		return conn, nil
	}
	<-o.done
	return nil, net.ErrClosed
}

func (o *once) Close() error   { close(o.done); return nil }
func (o *once) Addr() net.Addr { return o.conn.LocalAddr() }

// run runs a command. When the owner no longer waits, it is killed with its
// children.
func run(w http.ResponseWriter, r *http.Request) {
	var command Command
	if err := json.NewDecoder(r.Body).Decode(&command); err != nil || len(command.Argv) == 0 {
		http.Error(w, fmt.Sprintf("no command: %v", err), http.StatusBadRequest)
		return
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(r.Context(), command.Argv[0], command.Argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(command.Stdin), &stdout, &stderr
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "SHELL=/bin/bash",
		"HOME=/root", "USER=root", "LOGNAME=root",
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var end End
	if err := cmd.Run(); err != nil {
		end.Code, end.Error = -1, err.Error()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			end.Code = exit.ExitCode()
		}
	}
	end.Stdout, end.Stderr = stdout.Bytes(), stderr.Bytes()
	_ = json.NewEncoder(w).Encode(end) // who no longer waits needs no answer
}

// dial connects to a unix socket until either end closes the connection.
func dial(w http.ResponseWriter, r *http.Request) {
	conn, err := net.Dial("unix", r.URL.Query().Get("socket"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer conn.Close()
	out := http.NewResponseController(w)
	if err := out.Flush(); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(conn, r.Body)
		conn.Close()
	}()
	part := make([]byte, 32<<10)
	for {
		n, err := conn.Read(part)
		if _, writeErr := w.Write(part[:n]); err != nil || writeErr != nil || out.Flush() != nil {
			return
		}
	}
}
