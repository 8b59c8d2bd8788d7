package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/left4med/left4med/test/host"
)

// httpAnswer is an answer on the socket, as it came.
type httpAnswer struct {
	status int
	header http.Header
	body   []byte
	fields map[string]any // of a JSON object
}

// answer is what of it tests compare. Field is the first one at fault.
type answer struct {
	Status      int
	Code, Field string
}

func (a httpAnswer) field(name string) any { return a.fields[name] }

func (a httpAnswer) brief() answer {
	code, _ := a.fields["code"].(string)
	b := answer{Status: a.status, Code: code}
	if errs, _ := a.fields["errors"].([]any); len(errs) > 0 {
		b.Field, _ = errs[0].(map[string]any)["field"].(string)
	}
	return b
}

// http sends a request as root, byte for byte as given. The path is sent as it
// is, too.
func (l *lab) http(t *testing.T, method, path, body string) httpAnswer {
	t.Helper()
	ctx := within(t, "the answer to "+method)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", l.Path(host.Socket))
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://left4med"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := httpAnswer{status: resp.StatusCode, header: resp.Header, body: data}
	_ = json.Unmarshal(data, &a.fields) // not every answer is an object
	return a
}
