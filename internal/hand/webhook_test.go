package hand

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
)

// secret is in each address of a webhook here, and in no fault.
const secret = "geheim-4711"

// posted is what a webhook was sent.
type posted struct {
	Request string
	Header  http.Header
	Body    string
}

// hookServer answers as the path says, and counts what it was sent.
type hookServer struct {
	*httptest.Server
	got chan posted
}

func newHookServer(t *testing.T, start func(http.Handler) *httptest.Server) *hookServer {
	t.Helper()
	s := &hookServer{got: make(chan posted, 64)}
	release := make(chan struct{})
	mux := http.NewServeMux()
	answer := func(pattern string, how func(http.ResponseWriter, *http.Request)) {
		mux.HandleFunc("/"+secret+"/"+pattern, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			s.got <- posted{r.Method + " " + r.URL.String(), r.Header, string(body)}
			how(w, r)
		})
	}
	status := func(code int, header ...string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, secret)
		}
	}
	answer("taken", status(204))
	answer("ok", status(200))
	answer("redirect", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", s.URL+"/"+secret+"/ok")
		w.WriteHeader(307)
	})
	answer("broken", status(500))
	answer("wait", status(429, "Retry-After", "7"))
	answer("weird", status(799, "Retry-After", "soon"))
	answer("hang", func(http.ResponseWriter, *http.Request) { <-release })
	answer("close", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	answer("header", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 1000 {
			w.Header().Set(fmt.Sprintf("X-%d-%s", i, secret), strings.Repeat("x", 100))
		}
	})
	answer("endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	answer("nonsense", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, secret+"\r\n\r\n")
		_ = conn.Close()
	})
	s.Server = start(mux)
	s.Config.ErrorLog = errorLog(func(string, ...any) {})
	t.Cleanup(func() { close(release); s.Close() })
	return s
}

func (s *hookServer) address(path string) string {
	return s.URL + "/" + secret + "/" + path + "?token=" + secret
}

// delivery is one that may go to loopback.
func delivery(address string) probe.Delivery {
	return probe.Delivery{URL: address, Body: json.RawMessage(`{"content":"a"}`), AllowHTTP: true, AllowPrivate: true, TimeoutMS: 10000}
}

// try posts with a hand of its own; a fault that tells of the address fails the
// test.
func try(t *testing.T, d probe.Delivery, roots *x509.CertPool) (status int, fault *probe.Fault) {
	t.Helper()
	h := &Hand{hook: webhook{agent: "left4med/1.2.3", roots: roots}}
	ctx, cancel := context.WithTimeout(t.Context(), d.Timeout())
	defer cancel()
	done, fault := h.post(ctx, d)
	if fault == nil {
		return done.Status, nil
	}
	if words := secretsOf(d.URL); tellsOf(fault.Detail, words) {
		t.Errorf("the fault %q tells of %q", fault.Detail, words)
	}
	return 0, fault
}

// secretsOf are the parts of an address that nobody is told.
func secretsOf(address string) []string {
	words := []string{secret, address}
	if u, err := url.Parse(address); err == nil {
		words = append(words, u.Hostname(), u.Port(), strings.Trim(u.Path, "/"))
	}
	return words
}

func tellsOf(text string, words []string) bool {
	for _, word := range words {
		if len(word) > 3 && strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func TestDelivers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		s := newHookServer(t, start)
		var roots *x509.CertPool
		if c := s.Certificate(); c != nil {
			roots = x509.NewCertPool()
			roots.AddCert(c)
		}
		for path, status := range map[string]int{"taken": 204, "ok": 200, "endless": 200} {
			if got, fault := try(t, delivery(s.address(path)), roots); got != status || fault != nil {
				t.Errorf("%s %s: %d, %v", name, path, got, fault)
			}
			want := posted{
				Request: "POST /" + secret + "/" + path + "?token=" + secret, Body: `{"content":"a"}`,
				Header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"left4med/1.2.3"}, "Content-Length": {"15"}, "Connection": {"close"}},
			}
			if diff := cmp.Diff(want, <-s.got); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", name, path, diff)
			}
		}
	}
}

// TestDeliveriesThatFail goes through the ways in which one can; each is told once,
// without the address, and nothing of it is sent anywhere else.
func TestDeliveriesThatFail(t *testing.T) {
	t.Parallel()
	plain, tls := newHookServer(t, httptest.NewServer), newHookServer(t, httptest.NewTLSServer)
	known := x509.NewCertPool()
	known.AddCert(tls.Certificate())
	closed := httptest.NewServer(nil)
	closed.Close()
	with := func(address string, change func(*probe.Delivery)) probe.Delivery {
		d := delivery(address)
		change(&d)
		return d
	}
	public := func(d *probe.Delivery) { d.AllowPrivate = false }
	_, port, err := net.SplitHostPort(plain.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, tlsPort, err := net.SplitHostPort(tls.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tail := "/" + secret + "/ok"
	deliveries := map[string]probe.Delivery{
		"redirects":               delivery(plain.address("redirect")),
		"is broken":               delivery(plain.address("broken")),
		"wants a pause":           delivery(plain.address("wait")),
		"answers what is not one": delivery(plain.address("weird")),
		"hangs":                   with(plain.address("hang"), func(d *probe.Delivery) { d.TimeoutMS = 100 }),
		"closes":                  delivery(plain.address("close")),
		"has a long header":       delivery(plain.address("header")),
		"speaks no HTTP":          delivery(plain.address("nonsense")),
		"is not there":            delivery(closed.URL + tail),
		"speaks no TLS":           delivery("https" + strings.TrimPrefix(plain.address("ok"), "http")),
		"is signed by nobody":     delivery(tls.address("ok")),
		"has another name":        delivery("https://localhost:" + tlsPort + tail),
		"is http":                 with(plain.address("ok"), func(d *probe.Delivery) { d.AllowHTTP = false }),
		"is loopback":             with(plain.address("ok"), public),
		"is loopback by name":     with("http://localhost:"+port+tail, public),
		"is loopback of IPv6":     with("http://[::1]:"+port+tail, public),
		"is loopback in disguise": with("http://[::ffff:127.0.0.1]:"+port+tail, public),
		"is everywhere":           delivery("http://0.0.0.0:" + port + tail),
		"is multicast":            delivery("http://224.0.0.1:" + port + tail),
		"has a user":              delivery("http://" + secret + ":" + secret + "@127.0.0.1:" + port + tail),
		"has a fragment":          delivery(plain.URL + tail + "#"),
		"has no scheme":           delivery("127.0.0.1:" + port + tail),
		"is another scheme":       delivery("file:///" + secret),
		"has no host":             delivery("https:///" + secret),
		"is no address":           delivery("https://[" + secret),
		"has an empty body":       with(plain.address("ok"), func(d *probe.Delivery) { d.Body = nil }),
		"takes a minute":          with(plain.address("ok"), func(d *probe.Delivery) { d.TimeoutMS = 60000 }),
	}
	got := map[string]probe.Fault{}
	for name, d := range deliveries {
		var roots *x509.CertPool
		if name == "has another name" {
			roots = known
		}
		if status, fault := try(t, d, roots); fault != nil {
			got[name] = *fault
		} else {
			t.Errorf("who %s answered %d", name, status)
		}
	}
	address := probe.Fault{Code: probe.FaultAddress, Detail: "the webhook's name leads to an address that is loopback, private, link-local or otherwise not of the internet; allow_private permits most of these"}
	network := func(detail string) probe.Fault { return probe.Fault{Code: probe.FaultNetwork, Detail: detail} }
	wrong := func(detail string) probe.Fault { return probe.Fault{Code: probe.FaultInvalid, Detail: detail} }
	tlsFault := func(detail string) probe.Fault { return probe.Fault{Code: probe.FaultTLS, Detail: detail} }
	want := map[string]probe.Fault{
		"redirects":               {Code: probe.FaultRedirect, Detail: "the webhook answers with status 307, a redirect, which is not followed; name the address that it leads to"},
		"is broken":               {Code: probe.FaultStatus, Status: 500, Detail: "the webhook answers with status 500"},
		"wants a pause":           {Code: probe.FaultStatus, Status: 429, RetryAfterMS: 7000, Detail: "the webhook answers with status 429"},
		"answers what is not one": {Code: probe.FaultStatus, Status: 799, Detail: "the webhook answers with status 799"},
		"hangs":                   {Code: probe.FaultSilent, Detail: "the webhook does not answer in time"},
		"closes":                  network("the webhook closed the connection before it answered"),
		"has a long header":       network("what the webhook answers is not HTTP"),
		"speaks no HTTP":          network("what the webhook answers is not HTTP"),
		"is not there":            {Code: probe.FaultRefused, Detail: "nothing listens at the webhook's address"},
		"speaks no TLS":           tlsFault("the webhook does not speak TLS at that port"),
		"is signed by nobody":     tlsFault("the webhook's certificate is signed by nobody that this host knows"),
		"has another name":        tlsFault("the webhook's certificate is of another name"),
		"is http":                 {Code: probe.FaultAddress, Detail: "the webhook's address is http, where everybody on the way can read it; allow_http permits that"},
		"is loopback":             address, "is loopback by name": address, "is loopback of IPv6": address, "is loopback in disguise": address,
		"is everywhere": address, "is multicast": address,
		"has a user":        wrong("the webhook's address has a user's name or password before an @, which is not sent"),
		"has a fragment":    wrong("the webhook's address has a #, and what follows that is not sent"),
		"has no scheme":     wrong("the webhook's address is none"),
		"is another scheme": wrong("the webhook's address does not begin with https://"),
		"has no host":       wrong("the webhook's address names no host"),
		"is no address":     wrong("the webhook's address is none"),
		"has an empty body": wrong("the delivery has no body"),
		"takes a minute":    wrong("the timeout is 60000 ms, and may be 1 to 30000"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var requests []string
	for len(plain.got)+len(tls.got) > 0 {
		select {
		case p := <-plain.got:
			requests = append(requests, p.Request)
		case p := <-tls.got:
			requests = append(requests, p.Request)
		}
	}
	for _, r := range requests {
		if strings.HasSuffix(r, "/ok") || strings.Contains(r, "/ok?") {
			t.Errorf("what must not be sent was sent: %s", r)
		}
	}
}

// What fails before there is a connection says so by its code, and what fails later
// does not: then the webhook may have got it.
func TestFaultsTellWhetherSomethingWasSent(t *testing.T) {
	t.Parallel()
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	got := map[string]probe.Fault{}
	for what, err := range map[string]error{
		"no such name":   dial(&net.DNSError{Err: "no such host", Name: secret, IsNotFound: true}),
		"no name server": dial(&net.DNSError{Err: "i/o timeout", Name: secret, IsTimeout: true}),
		"no way":         dial(os.NewSyscallError("connect", syscall.ENETUNREACH)),
		"no answer":      dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)),
		"refused":        dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
		"broke":          &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
	} {
		got[what] = *hookFault(t.Context(), err)
	}
	want := map[string]probe.Fault{
		"no such name":   {Code: probe.FaultUnreached, Detail: "the webhook's name does not exist"},
		"no name server": {Code: probe.FaultUnreached, Detail: "the webhook's name cannot be resolved: no name server answers"},
		"no way":         {Code: probe.FaultUnreached, Detail: "the webhook cannot be reached: network is unreachable"},
		"no answer":      {Code: probe.FaultUnreached, Detail: "the webhook cannot be reached: connection timed out"},
		"refused":        {Code: probe.FaultRefused, Detail: "nothing listens at the webhook's address"},
		"broke":          {Code: probe.FaultNetwork, Detail: "the connection to the webhook broke: connection reset by peer"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	got := map[string]int64{}
	want := map[string]int64{
		"": 0, "0": 0, "1": 1000, "-5": 0, "3600": 3600000, "3601": 3600000, "99999999999999999999": 3600000, "-99999999999999999999": 0,
		"1.5": 0, "soon": 0, "Mon, 23 Nov 2026 12:00:10 GMT": 10000, "Mon, 23 Nov 2026 11:00:00 GMT": 0, "Fri, 31 Dec 9999 23:59:59 GMT": 3600000,
	}
	for header := range want {
		got[header] = retryAfter(header, now)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzHookAddress(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/" + secret, "http://" + secret, "https://" + secret + "@x/", "https://x/#" + secret, "//" + secret, "https:" + secret,
		"https://x/#", "https://[::1%25" + secret + "]/", "https://x:" + secret + "/", "https://%" + secret, "\x00", "HTTPS://X",
	} {
		f.Add(seed, "7")
	}
	f.Fuzz(func(t *testing.T, address, header string) {
		u, fault := hookAddress(probe.Delivery{URL: address})
		set, err := server.NewWebhook(address)
		rule := server.AlertRule{Name: "a", On: server.AlertEvents(), Format: server.FormatJSON, URL: set}
		switch {
		case fault != nil && err == nil && set.IsSet() && rule.Check() == nil:
			t.Errorf("%q may be in the settings, and is refused: %v", address, fault)
		case fault == nil && (u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != ""):
			t.Errorf("%q was let through", address)
		case fault != nil && tellsOf(fault.Detail, []string{secret}):
			t.Errorf("the fault %q tells of the address", fault.Detail)
		}
		if ms := retryAfter(header, time.Now()); ms < 0 || ms > probe.MaxRetryAfterMS {
			t.Errorf("%q is %d ms", header, ms)
		}
	})
}
