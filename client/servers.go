package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
)

// Servers reads all servers, and where to begin watching them.
func (c *Client) Servers(ctx context.Context) (*Snapshot, error) {
	var list struct {
		Servers []Server `json:"servers"`
	}
	header, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/servers"}, &list)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(header.Get("Event-Id"), 10, 64)
	if err != nil {
		id = FromNow // better a small gap than none of the list
	}
	return &Snapshot{Servers: list.Servers, EventID: id}, nil
}

// Listing reads all servers as the daemon wrote them, for who passes them on.
func (c *Client) Listing(ctx context.Context) (*Listing, error) {
	var list struct {
		Servers []json.RawMessage `json:"servers"`
	}
	header, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/servers"}, &list)
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(header.Get("Event-Id"), 10, 64)
	if err != nil {
		return nil, errors.New("cannot understand the list of servers: it does not say at which event it was made")
	}
	return &Listing{Servers: list.Servers, EventID: id}, nil
}

// Server reads one server.
func (c *Client) Server(ctx context.Context, name string) (*Server, error) {
	return one[Server](ctx, c, request{method: http.MethodGet}, name, "")
}

// Create makes a server. What config leaves out has the daemon's defaults. The
// job that does it is returned at once.
func (c *Client) Create(ctx context.Context, name string, config ConfigPatch) (*Job, error) {
	n, err := ParseName(name)
	if err != nil {
		return nil, err
	}
	var job Job
	body := struct {
		Name   Name        `json:"name"`
		Config ConfigPatch `json:"config"`
	}{n, config}
	if _, err := c.ask(ctx, request{method: http.MethodPost, path: "/v1/servers", body: body}, &job); err != nil {
		return nil, err
	}
	return &job, nil
}

// Change changes the settings given; they apply at the next start. It returns
// the server with its new settings, whose RestartDue says whether it runs with
// older ones.
func (c *Client) Change(ctx context.Context, name string, config ConfigPatch) (*Server, error) {
	body := struct {
		Config ConfigPatch `json:"config"`
	}{config}
	return one[Server](ctx, c, request{method: http.MethodPatch, body: body}, name, "")
}

// SetSecret gives a server a secret, rcon, password or gslt, for its next start.
// An empty value takes it away; for rcon a random one is made. Nothing reads a
// secret back. What is not valid is not sent; no error holds the value.
func (c *Client) SetSecret(ctx context.Context, name, which, value string) error {
	n, err := ParseName(name)
	if err != nil {
		return err
	}
	if err := CheckSecret(which, value); err != nil {
		return err
	}
	body := struct {
		Value string `json:"value"`
	}{value}
	_, err = c.ask(ctx, request{method: http.MethodPut, path: "/v1/servers/" + string(n) + "/secrets/" + which, body: body}, nil)
	return err
}

// Start enables and starts a server; the job is returned at once.
func (c *Client) Start(ctx context.Context, name string) (*Job, error) {
	return one[Job](ctx, c, request{method: http.MethodPost}, name, "/start")
}

// Stop disables and stops a server; the job is returned at once.
func (c *Client) Stop(ctx context.Context, name string) (*Job, error) {
	return one[Job](ctx, c, request{method: http.MethodPost}, name, "/stop")
}

// Restart enables a server and starts it afresh; the job is returned at once.
func (c *Client) Restart(ctx context.Context, name string) (*Job, error) {
	return one[Job](ctx, c, request{method: http.MethodPost}, name, "/restart")
}

// RestartWhenEmpty is Restart once nobody plays on the server. The job, which is
// returned at once, waits for that; its progress begins with WaitingForEmpty. It can
// be canceled, and fails with CodeNotEmpty when the wait is too long.
func (c *Client) RestartWhenEmpty(ctx context.Context, name string) (*Job, error) {
	return one[Job](ctx, c, request{method: http.MethodPost, query: url.Values{"when": {string(WhenEmpty)}}}, name, "/restart")
}

// Reset disables and stops a server and removes all that its game wrote; its
// settings stay. The job is returned at once.
func (c *Client) Reset(ctx context.Context, name string) (*Job, error) {
	return one[Job](ctx, c, request{method: http.MethodPost}, name, "/reset")
}

// Delete stops a server and removes it with its files; the job is returned at
// once.
func (c *Client) Delete(ctx context.Context, name string) (*Job, error) {
	return one[Job](ctx, c, request{method: http.MethodDelete}, name, "")
}

// Actions does the same to many servers with one enable call and one reload.
// One that is refused does not keep the others from it.
func (c *Client) Actions(ctx context.Context, action Action, names []string) (*ActionResult, error) {
	return c.actions(ctx, action, "", names)
}

// RestartAllWhenEmpty is RestartWhenEmpty for many servers, each of which is
// restarted when nobody plays on it.
func (c *Client) RestartAllWhenEmpty(ctx context.Context, names []string) (*ActionResult, error) {
	return c.actions(ctx, ActionRestart, WhenEmpty, names)
}

func (c *Client) actions(ctx context.Context, action Action, when When, names []string) (*ActionResult, error) {
	body := struct {
		Action  Action   `json:"action"`
		When    When     `json:"when,omitempty"`
		Servers []string `json:"servers"`
	}{action, when, names}
	var result ActionResult
	if _, err := c.ask(ctx, request{method: http.MethodPost, path: "/v1/actions", body: body}, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// one asks for something of one server. The name is checked before it becomes
// part of a path.
func one[T any](ctx context.Context, c *Client, r request, name, rest string) (*T, error) {
	n, err := ParseName(name)
	if err != nil {
		return nil, err
	}
	r.path = "/v1/servers/" + string(n) + rest
	var out T
	if _, err := c.ask(ctx, r, &out); err != nil {
		return nil, err
	}
	return &out, nil
}
