package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

// What a caller's header says of who asks does not count.
func TestDoPassesOnWhatThereIs(t *testing.T) {
	t.Parallel()
	var seen []string
	d := newDaemon(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("X-On-Behalf-Of")+"|"+r.Header.Get("X-Allow-Interaction")+"|"+r.UserAgent()+"|"+r.Header.Get("Content-Type"))
		w.Header().Set("Retry-After", "3")
		answer(w, 409, `{"code":"busy"}`)
	})
	c := d.client()
	header := http.Header{"X-On-Behalf-Of": {"root"}, "X-Allow-Interaction": {"true"}, "User-Agent": {"x"}, "Content-Type": {"application/json"}}
	for _, c := range []*client.Client{c.OnBehalfOf("alice"), c} {
		resp, err := c.Do(within(t), "POST", "/v1/servers/a/start", url.Values{"when": {"empty"}}, header, strings.NewReader(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 409 || string(body) != `{"code":"busy"}` || resp.Header.Get("Retry-After") != "3" {
			t.Errorf("got %v %s %v", resp, body, err)
		}
	}
	if _, err := c.OnBehalfOf("bob").Start(within(t), "a"); !errors.Is(err, &client.Error{Code: client.CodeBusy}) {
		t.Errorf("got %v", err)
	}
	want := []string{"alice||left4med-client|application/json", "||left4med-client|application/json", "bob||left4med-client|"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(asked{Method: "POST", URI: "/v1/servers/a/start?when=empty", Body: `{"a":1}`}, d.requests()[0]); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	d.kill()
	if _, err := c.Do(within(t), "GET", "/v1/health", nil, nil, nil); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestListing(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Event-Id", "12")
		answer(w, 200, `{"servers":[{"id":1, "new":{}},{"id":2}]}`)
	})
	got, err := d.client().Listing(within(t))
	if err != nil {
		t.Fatal(err)
	}
	want := &client.Listing{Servers: []json.RawMessage{json.RawMessage(`{"id":1, "new":{}}`), json.RawMessage(`{"id":2}`)}, EventID: 12}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEventsWaitBeforeTheyConnectAgain(t *testing.T) {
	t.Parallel()
	const pause = 100 * time.Millisecond
	d := newDaemon(t, func(w http.ResponseWriter, r *http.Request) {
		stream(w)(r.Header.Get("Last-Event-ID")+"0", "reset", "{}")
	})
	var told []string
	var lost time.Time
	opts := client.EventsOptions{
		After: 1, Pause: pause,
		Lost: func(error) { told, lost = append(told, "lost"), time.Now() },
	}
	opts.Stands = func(ctx context.Context) error {
		if told = append(told, "stands"); len(told) > 1 && time.Since(lost) < pause {
			t.Errorf("connected again after %v", time.Since(lost))
		}
		if len(told) == 4 { // as if what is read then was not answered
			return client.ErrUnreachable
		}
		return nil
	}
	for e, err := range d.client().Events(within(t), opts) {
		if err != nil {
			t.Fatal(err)
		}
		if told = append(told, "event"); e.ID == 100 {
			break
		}
	}
	want := []string{"stands", "event", "lost", "stands", "lost", "stands", "event"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
