package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Client asks left4med-probe. It is safe for concurrent use; how many requests
// are under way is up to its callers.
//
// Whatever the other side does, each method returns within the request's own
// timeout and two seconds, holds at most MaxAnswer bytes of an answer, and every
// error is a *Fault or the context's.
type Client struct {
	// kept keeps connections, for queries, which may be sent again. single makes
	// one for each request: on a connection that the probe is just closing, nobody
	// could tell whether a command was run, while a new one waits until the next
	// probe takes it.
	kept, single *http.Transport
}

// Bounds of a conversation with the probe.
const (
	slack       = 2 * time.Second  // on top of a request's own timeout
	dialTimeout = 2 * time.Second  // systemd accepts for a probe that does not run
	idleTimeout = 30 * time.Second // shorter than the probe's
	maxHeader   = 8 << 10          // bytes of an answer's header, interim answers included
	maxKept     = 16               // idle connections
)

// New makes a Client of the probe that listens on a unix socket, usually Socket.
// It connects when it is first asked.
func New(socket string) *Client {
	var dialer net.Dialer
	transport := func(keep bool) *http.Transport {
		return &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				return dialer.DialContext(ctx, "unix", socket)
			},
			DisableKeepAlives:      !keep,
			DisableCompression:     true,
			MaxIdleConns:           maxKept,
			MaxIdleConnsPerHost:    maxKept,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeader,
		}
	}
	return &Client{kept: transport(true), single: transport(false)}
}

// Close lets go of the connections that are kept.
func (c *Client) Close() {
	c.kept.CloseIdleConnections()
	c.single.CloseIdleConnections()
}

// Query asks a game what it is doing.
func (c *Client) Query(ctx context.Context, q Query) (*Answer, error) {
	body, err := c.ask(ctx, c.kept, RouteQuery, q.Timeout(), q)
	if err != nil {
		return nil, err
	}
	return checked(parseAnswer(body))
}

// RCON has a game run a command.
func (c *Client) RCON(ctx context.Context, cmd Command) (*Output, error) {
	body, err := c.ask(ctx, c.single, RouteRCON, cmd.Timeout(), cmd)
	if err != nil {
		return nil, err
	}
	return checked(parseOutput(body))
}

// Deliver posts to a webhook. A Fault does not prove that nothing arrived.
func (c *Client) Deliver(ctx context.Context, d Delivery) (*Delivered, error) {
	body, err := c.ask(ctx, c.single, RouteDeliver, d.Timeout(), d)
	if err != nil {
		return nil, err
	}
	return checked(parseDelivered(body))
}

// checked makes a Fault of an answer that cannot be.
func checked[T any](answer *T, err error) (*T, error) {
	if err != nil {
		return nil, nonsense(err.Error())
	}
	return answer, nil
}

// ask sends a request and returns the body of its answer, or the probe's Fault.
func (c *Client) ask(ctx context.Context, via *http.Transport, route string, timeout time.Duration, request any) ([]byte, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, &Fault{Code: FaultInvalid, Detail: "the request has no JSON: its body is not valid"} // the error may quote it
	}
	own, cancel := context.WithTimeout(ctx, timeout+slack)
	defer cancel()
	r, err := http.NewRequestWithContext(own, http.MethodPost, "http://probe"+route, bytes.NewReader(text))
	if err != nil {
		return nil, nonsense("the request cannot be made")
	}
	r.Header.Set("Content-Type", "application/json")
	if via == c.kept {
		r.Header["Idempotency-Key"] = nil // not sent; net/http then repeats it on a new connection
	}
	status, body, err := roundTrip(via, r)
	switch {
	case ctx.Err() != nil: // also when the answer came: nobody waits for it
		return nil, ctx.Err()
	case err != nil:
		return nil, goneOr(own, err)
	case status == http.StatusOK:
		return body, nil
	}
	fault, err := parseFault(body)
	if err != nil {
		return nil, nonsense(fmt.Sprintf("it answers with status %d, and %v", status, err))
	}
	return nil, fault
}

// errTooLong is an answer of more than MaxAnswer bytes.
var errTooLong = errors.New("the answer does not end")

// roundTrip uses the transport by itself: it follows no redirect and keeps no
// cookie.
func roundTrip(via *http.Transport, r *http.Request) (status int, body []byte, err error) {
	res, err := via.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusSwitchingProtocols { // its body is the connection
		return res.StatusCode, nil, nil
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, err
	case len(body) > MaxAnswer:
		return 0, nil, errTooLong
	}
	return res.StatusCode, body, nil
}

// goneOr is the Fault of a conversation that failed: nobody there, or nothing that
// makes sense.
func goneOr(ctx context.Context, err error) *Fault {
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return &Fault{Code: FaultGone, Detail: "left4med-probe does not answer", Hung: true}
	case errors.As(err, &op) && op.Op == "dial":
		return &Fault{Code: FaultGone, Detail: "left4med-probe cannot be reached" + reason(err)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &Fault{Code: FaultGone, Detail: "left4med-probe ended before it had answered"}
	case errors.Is(err, errTooLong):
		return nonsense(errTooLong.Error())
	}
	return nonsense("it does not speak HTTP") // the error may quote what it sent
}

// reason is the system's word for what failed.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return ": " + errno.Error()
	}
	return ""
}

func nonsense(what string) *Fault {
	return &Fault{Code: FaultNonsense, Detail: "left4med-probe answers nonsense: " + what}
}
