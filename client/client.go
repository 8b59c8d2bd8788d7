package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// DefaultSocket is where left4med listens.
const DefaultSocket = "/run/left4med/left4med.sock"

// Bounds of what is read from the daemon, in bytes.
const (
	maxAnswer = 16 << 20 // 1,000 servers are about 2 MiB
	maxLine   = 4 << 20  // one event or one log entry
)

// Options are the settings of a Client.
type Options struct {
	// Socket is the path of the daemon's socket; DefaultSocket when empty.
	Socket string
	// UserAgent is how the program calls itself; "left4med-client" when empty.
	UserAgent string
	// AllowInteraction lets polkit ask the user for a password, where a program
	// that can ask (an agent) runs in the user's session.
	AllowInteraction bool
	// OnChallenge is called when a request was refused that a password would
	// permit, and the interaction is not allowed anyhow: it may start an agent that
	// asks for passwords, and says whether to send the request again, with the
	// interaction allowed. Nil never does.
	OnChallenge func(context.Context) bool
	// Silence is after how long without a byte a stream of events counts as
	// dead and is opened anew; 45 s when 0. The daemon sends something every
	// 15 s.
	Silence time.Duration
}

// Client asks one left4med. It is safe for use by many goroutines.
type Client struct {
	opts     Options
	http     *http.Client
	behalfOf string
}

// New makes a Client. It does not connect yet.
func New(opts Options) *Client {
	if opts.Socket == "" {
		opts.Socket = DefaultSocket
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "left4med-client"
	}
	if opts.Silence == 0 {
		opts.Silence = 45 * time.Second
	}
	var dialer net.Dialer
	return &Client{opts: opts, http: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", opts.Socket)
			},
			DisableCompression:  true,
			MaxIdleConnsPerHost: 8,
			IdleConnTimeout:     30 * time.Second,
		},
		// left4med never redirects; whoever does is not left4med.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// OnBehalfOf returns a client that uses the same connections and tells the daemon
// for whom it asks, so that the history names that person. The daemon believes it
// from the user left4med-web alone.
func (c *Client) OnBehalfOf(user string) *Client {
	other := *c
	other.behalfOf = user
	return &other
}

// Socket is the path the client connects to.
func (c *Client) Socket() string { return c.opts.Socket }

// Close gives up idle connections. The client may be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request is one question to the daemon.
type request struct {
	method string
	path   string // begins with '/', its parts already safe in a path
	query  url.Values
	body   any // encoded as JSON; nil for none
	accept string
	header http.Header
}

// send asks and returns the answer when it is a success; its body is the
// caller's to close. Any other answer is an *Error.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	resp, err := c.sendOnce(ctx, r, c.opts.AllowInteraction)
	var refused *Error
	if errors.As(err, &refused) && refused.Challenge && c.opts.OnChallenge != nil && c.opts.OnChallenge(ctx) {
		return c.sendOnce(ctx, r, true)
	}
	return resp, err
}

func (c *Client) sendOnce(ctx context.Context, r request, interactive bool) (*http.Response, error) {
	req, err := c.build(ctx, r, interactive)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for %s %s: %w", r.method, r.path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	return nil, refused(resp, body)
}

func (c *Client) build(ctx context.Context, r request, interactive bool) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		b, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	u := url.URL{Scheme: "http", Host: "left4med", Path: r.path, RawQuery: r.query.Encode()}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.accept == "" {
		r.accept = "application/json"
	}
	req.Header.Set("Accept", r.accept)
	req.Header.Set("User-Agent", c.opts.UserAgent)
	if c.behalfOf != "" {
		req.Header.Set("X-On-Behalf-Of", c.behalfOf)
	}
	if interactive {
		req.Header.Set("X-Allow-Interaction", "true")
	}
	return req, nil
}

// lost explains a request that got no whole answer. When the caller's context
// ended, that is the reason, not the daemon.
func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) { // its text repeats the method and an address that means nothing
		err = u.Err
	}
	return unreachable(c.opts.Socket, err)
}

// ask sends a request and decodes the answer into out, unless that is nil. It
// returns the answer's header.
func (c *Client) ask(ctx context.Context, r request, out any) (http.Header, error) {
	body, header, err := c.bytes(ctx, r)
	if err != nil {
		return nil, err
	}
	if out == nil {
		return header, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return nil, fmt.Errorf("cannot understand the answer to %s %s: %w", r.method, r.path, err)
	}
	return header, nil
}

// bytes sends a request and returns the answer's body, of bounded size.
func (c *Client) bytes(ctx context.Context, r request) ([]byte, http.Header, error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, c.lost(ctx, err)
	}
	if len(body) > maxAnswer {
		return nil, nil, fmt.Errorf("cannot read the answer to %s %s: it is larger than %d MiB", r.method, r.path, maxAnswer>>20)
	}
	return body, resp.Header, nil
}
