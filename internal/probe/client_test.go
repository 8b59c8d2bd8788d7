package probe_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/probe"
)

// liar listens as the probe and does as it likes with each connection, once the
// request's header has come.
func liar(t *testing.T, lie func(net.Conn)) *probe.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				r := bufio.NewReader(conn)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\r\n" {
						break
					}
				}
				lie(conn)
			}()
		}
	}()
	c := probe.New(path)
	t.Cleanup(c.Close)
	return c
}

// says is a liar's answer, with its length.
func says(status int, body string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
}

// endless writes a beginning, and a piece until nobody listens.
func endless(beginning, piece string) func(net.Conn) {
	piece = strings.Repeat(piece, 1+(64<<10)/len(piece))
	return func(conn net.Conn) {
		if _, err := io.WriteString(conn, beginning); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(conn, piece); err != nil {
				return
			}
		}
	}
}

func TestWhatALiarSaysIsAFault(t *testing.T) {
	t.Parallel()
	const nonsense = "left4med-probe answers nonsense: "
	players := strings.TrimSuffix(strings.Repeat("{},", probe.MaxPlayers+1), ",")
	for name, c := range map[string]struct {
		lie  func(net.Conn)
		want probe.Fault
	}{
		"closes":          {func(net.Conn) {}, probe.Fault{Code: probe.FaultGone, Detail: "left4med-probe ended before it had answered"}},
		"hangs":           {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, probe.Fault{Code: probe.FaultGone, Detail: "left4med-probe does not answer", Hung: true}},
		"cuts its answer": {func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{") }, probe.Fault{Code: probe.FaultGone, Detail: "left4med-probe ended before it had answered"}},
		"no HTTP":         {func(c net.Conn) { _, _ = io.WriteString(c, "\x1b[31mhello\r\n\r\n") }, probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "it does not speak HTTP"}},
		"endless header":  {endless("HTTP/1.1 200 OK\r\n", "X: y\r\n"), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "it does not speak HTTP"}},
		"endless line":    {endless("HTTP/1.1 200 ", "y"), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "it does not speak HTTP"}},
		"endless interim": {endless("", "HTTP/1.1 103 X\r\n\r\n"), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "it does not speak HTTP"}},
		"endless body":    {endless("HTTP/1.1 200 OK\r\n\r\n", "\x00"), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "the answer does not end"}},
		"a gigabyte":      {endless("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", "\x00"), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "the answer does not end"}},
		"endless chunks":  {endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "10000\r\n"+strings.Repeat(" ", 1<<16)+"\r\n"), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "the answer does not end"}},
		"empty":           {says(200, ""), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "the answer is no JSON object"}},
		"null":            {says(200, "null"), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "the answer is no JSON object"}},
		"wrong type":      {says(200, `{"map":["\u001b"]}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "the answer is not the JSON that it should be"}},
		"two answers":     {says(200, `{}{}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "something follows the answer"}},
		"too deep":        {says(200, strings.Repeat(`{"a":`, 20000)), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "the answer is not the JSON that it should be"}},
		"too many play":   {says(200, `{"list":[`+players+`]}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "list has more than 255 players"}},
		"minus one plays": {says(200, `{"players":-1}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "players is -1, which is not within 0 and 255"}},
		"huge number":     {says(200, `{"players":1e99}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "the answer is not the JSON that it should be"}},
		"huge ping":       {says(200, `{"ping_us":5000001}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "ping_us is 5000001, which is not within 0 and 5000000"}},
		"plays backwards": {says(200, `{"list":[{"seconds":-1}]}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "a player's seconds are -1, which is not within 0 and 1e+09"}},
		"redirect":        {says(307, ""), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "it answers with status 307, and the answer is no JSON object"}},
		"upgrade": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
		}, probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "it answers with status 101, and the answer is no JSON object"}},
		"no such fault":  {says(502, `{"code":"x"}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "it answers with status 502, and the fault is of no known kind"}},
		"its own death":  {says(502, `{"code":"gone"}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "it answers with status 502, and the fault is of no known kind"}},
		"a long wait":    {says(502, `{"code":"status","status":500,"retry_after_ms":3600001}`), probe.Fault{Code: probe.FaultNonsense, Detail: nonsense + "it answers with status 502, and the wait is 3600001 ms, which is not within 0 and an hour"}},
		"a silent fault": {says(502, `{"code":"silent"}`), probe.Fault{Code: probe.FaultSilent, Detail: "left4med-probe gives no reason: silent"}},
		"escapes":        {says(502, `{"code":"silent","detail":"\u001b[2J","more":1}`), probe.Fault{Code: probe.FaultSilent, Detail: `\x1b[2J`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 5000 // for what does not wait for its end, on a machine that is busy
			if name == "hangs" {
				timeout = 200
			}
			_, err := liar(t, c.lie).Query(t.Context(), probe.Query{TimeoutMS: timeout})
			var fault *probe.Fault
			if !errors.As(err, &fault) {
				t.Fatalf("no Fault but %#v", err)
			}
			if diff := cmp.Diff(c.want, *fault); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAnswerIsMadeSafe(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", probe.MaxName)
	answer, err := liar(t, says(200, `{"name":"\u001b]0;x\u0007`+long+`","map":"c1m1_hotel","players":3,"max_players":8,"unknown":{"a":[1]},
		"list":[{"name":"a\nb","score":-5,"seconds":12.5,"new":true}],"list_fault":{"code":"malformed","detail":"\u202e"}}`)).
		Query(t.Context(), probe.Query{})
	if err != nil {
		t.Fatal(err)
	}
	want := &probe.Answer{
		Name: (`\x1b]0;x\x07` + long)[:probe.MaxName], Map: "c1m1_hotel", Players: 3, MaxPlayers: 8,
		List:      []probe.Player{{Name: `a\x0ab`, Score: -5, Seconds: 12.5}},
		ListFault: &probe.Fault{Code: probe.FaultMalformed, Detail: `\u{202e}`},
	}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	output, err := liar(t, says(200, `{"output":"a\r\n\u001bb\n`+strings.Repeat("x", probe.MaxOutput)+`"}`)).RCON(t.Context(), probe.Command{})
	if err != nil {
		t.Fatal(err)
	}
	text := "a\n\\x1bb\n" + strings.Repeat("x", probe.MaxOutput)
	if diff := cmp.Diff(&probe.Output{Output: text[:probe.MaxOutput], Truncated: true}, output); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	_, err = liar(t, says(200, `{"status":302}`)).Deliver(t.Context(), probe.Delivery{Body: json.RawMessage("{}")})
	if want := "left4med-probe answers nonsense: the webhook's status is 302, and is called delivered"; err == nil || err.Error() != want {
		t.Errorf("%v instead of %s", err, want)
	}
}

func TestThePeersEnd(t *testing.T) {
	t.Parallel()
	_, err := probe.New(filepath.Join(t.TempDir(), "none")).Query(t.Context(), probe.Query{})
	want := &probe.Fault{Code: probe.FaultGone, Detail: "left4med-probe cannot be reached: no such file or directory"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, c := range map[string]struct {
		make func() (context.Context, context.CancelFunc)
		want error
	}{
		"canceled": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			return ctx, cancel
		}, context.Canceled},
		"late": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 20*time.Millisecond)
		}, context.DeadlineExceeded},
	} {
		ctx, cancel := c.make()
		defer cancel()
		if _, err := liar(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }).RCON(ctx, probe.Command{}); err != c.want { //nolint:errorlint // exactly it
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatIsSentTwice has the probe close connections that were used, as one that
// is restarted does: a query goes out again, and a command or a delivery never goes
// out on a connection that was used.
func TestWhatIsSentTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "probe.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	seen := make(chan string, 16)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				r := bufio.NewReader(conn)
				for n := 1; ; n++ {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					seen <- fmt.Sprintf("%s %d", req.URL.Path, n)
					if n > 1 { // on a connection that was used: closed instead of answered
						return
					}
					says(200, `{"status":204}`)(conn)
				}
			}()
		}
	}()
	c := probe.New(path)
	defer c.Close()
	for range 2 {
		if _, err := c.Query(t.Context(), probe.Query{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := c.RCON(t.Context(), probe.Command{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Deliver(t.Context(), probe.Delivery{Body: json.RawMessage("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for len(seen) > 0 {
		got = append(got, <-seen)
	}
	want := []string{"/query 1", "/query 2", "/query 1", "/rcon 1", "/deliver 1", "/rcon 1", "/deliver 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
