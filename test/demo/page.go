package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// Who signs in on the page.
const (
	pageUser     = "alice"
	pagePassword = "no-mercy-4-players"
)

// pagePort is where left4med-web listens in the machine, and, when it is free there,
// on this host.
const pagePort = 8000

// page opens the web page to this host, and looks whether it tells the truth.
func page(ctx context.Context, d *demo) error {
	d.prompt([]string{"left4med-web", "user", "add", pageUser, "--role", "admin"})
	cmd := d.host.Command(ctx, "left4med-web", "user", "add", pageUser, "--role", "admin")
	cmd.Stdin = strings.NewReader(pagePassword + "\n")
	if _, err := machine.Output(cmd); err != nil {
		return fmt.Errorf("cannot add a user of the page: %w", err)
	}
	forwarding, err := d.forwardPage(ctx)
	if err != nil {
		return err
	}
	d.page = forwarding
	browser, err := d.browse(ctx)
	if err != nil {
		return err
	}
	d.check(browser.title, "the page is served at http://%s", d.page.Addr)
	all, err := d.servers(ctx)
	if err != nil {
		return err
	}
	same := len(browser.servers) == len(all)
	for _, s := range browser.servers {
		known := all[string(s.Name)]
		same = same && s.State == known.State && s.Desired == known.Desired && s.Drift == known.Drift
	}
	d.check(same && browser.linked, "%s signed in, and is shown the %d servers as they are", pageUser, len(all))
	return nil
}

// forwardPage makes the page reachable from this host, at its usual port unless
// something else has that.
func (d *demo) forwardPage(ctx context.Context) (*machine.Forwarding, error) {
	inside := fmt.Sprintf("127.0.0.1:%d", pagePort)
	if f, err := d.host.Forward(ctx, pagePort, inside); err == nil {
		return f, nil
	}
	return d.host.Forward(ctx, 0, inside)
}

// browsed is what a browser is given.
type browsed struct {
	title   bool // the page itself came
	linked  bool // it says that left4med answers
	servers []client.Server
}

// browse does what the page does in a browser: it signs in and reads all there is.
func (d *demo) browse(ctx context.Context) (*browsed, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	b := &http.Client{Jar: jar, Transport: transport}
	ask := func(method, path string, body any) ([]byte, error) {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, method, "http://"+d.page.Addr+path, bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := b.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, got)
		}
		return got, err
	}
	html, err := ask(http.MethodGet, "/", nil)
	if err != nil {
		return nil, err
	}
	if _, err := ask(http.MethodPost, "/api/session", map[string]string{"user": pageUser, "password": pagePassword}); err != nil {
		return nil, err
	}
	text, err := ask(http.MethodGet, "/api/state", nil)
	if err != nil {
		return nil, err
	}
	var state struct {
		Link    struct{ Up bool }
		Servers []client.Server
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, fmt.Errorf("cannot understand what the page is given: %w", err)
	}
	return &browsed{title: bytes.Contains(html, []byte("<title>left4med")), linked: state.Link.Up, servers: state.Servers}, nil
}
