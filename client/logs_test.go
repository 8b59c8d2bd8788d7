package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

func entry(second, n int) string {
	return fmt.Sprintf(`{"at":"2026-05-01T12:00:%02d.%03dZ","priority":6,"pid":42,"message":"line %d","cursor":"c%d"}`, second, n, n, n)
}

func TestLogs(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		fmt.Fprintf(w, "%s\n%s\n", entry(1, 1), entry(1, 2))
	})
	var got []client.LogEntry
	since := time.Date(2026, 5, 1, 11, 0, 0, 0, time.UTC)
	for e, err := range d.client().Logs(within(t), "a", client.LogsOptions{Lines: 2, Since: since}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	at := time.Date(2026, 5, 1, 12, 0, 1, 0, time.UTC)
	want := []client.LogEntry{
		{At: at.Add(1 * time.Millisecond), Priority: 6, PID: 42, Message: "line 1", Cursor: "c1"},
		{At: at.Add(2 * time.Millisecond), Priority: 6, PID: 42, Message: "line 2", Cursor: "c2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]asked{{Method: "GET", URI: "/v1/servers/a/logs?lines=2&since=2026-05-01T11%3A00%3A00Z"}}, d.requests()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// Each connection repeats the last second, as a search by time does, adds one
// entry and breaks.
func TestFollowedLogsAreHandedOutOnce(t *testing.T) {
	t.Parallel()
	connections := make(chan int, 1)
	connections <- 0
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		n := <-connections + 1
		connections <- n
		send := stream(w)
		for i := 1; i <= n; i++ {
			if second := i / 3; second >= (n-1)/3 {
				send("", "", entry(second, i))
			}
		}
	})
	var got []string
	for e, err := range d.client().Logs(within(t), "a", client.LogsOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.Message); len(got) == 5 {
			break
		}
	}
	if diff := cmp.Diff([]string{"line 1", "line 2", "line 3", "line 4", "line 5"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLogsOfNoServer(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 404, `{"code":"server-not-found","detail":"there is no server a"}`)
	})
	for _, follow := range []bool{false, true} {
		for _, err := range d.client().Logs(within(t), "a", client.LogsOptions{Follow: follow}) {
			if !errors.Is(err, &client.Error{Code: client.CodeServerNotFound}) {
				t.Errorf("follow %v: %v", follow, err)
			}
		}
	}
}
