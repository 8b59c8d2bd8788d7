package hand

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/left4med/left4med/internal/probe"
)

// webhook posts to addresses that root's settings name. The address is a secret,
// and net/http's errors have it in them: no error of a library goes any further.
type webhook struct {
	agent string
	roots *x509.CertPool // who may sign a certificate; nil are those that the host knows
}

// Bounds of what a webhook answers, in bytes. Only its status and Retry-After are
// looked at; of the body so much is read that a server which writes one is not cut
// off.
const (
	maxHookHeader = 32 << 10
	maxHookBody   = 64 << 10
)

// errAddress is a connection that is not made.
var errAddress = errors.New("the webhook's address is not allowed")

// post delivers.
func (h *Hand) post(ctx context.Context, d probe.Delivery) (*probe.Delivered, *probe.Fault) {
	if fault := checkTimeout(d.TimeoutMS, 30000); fault != nil {
		return nil, fault
	}
	if len(d.Body) == 0 || !json.Valid(d.Body) {
		return nil, invalid("the delivery has no body")
	}
	address, fault := hookAddress(d)
	if fault != nil {
		return nil, fault
	}
	return h.hook.post(ctx, address, d)
}

// hookAddress takes apart the address and says what is wrong with it. Any port will
// do. A user's name would be sent on as a password, and what follows a # never: both
// are refused, since whoever wrote them meant something else.
func hookAddress(d probe.Delivery) (*url.URL, *probe.Fault) {
	address, err := url.Parse(d.URL)
	if err != nil { // the error has the address in it
		return nil, invalid("the webhook's address is none")
	}
	switch {
	case address.Scheme != "https" && address.Scheme != "http":
		return nil, invalid("the webhook's address does not begin with https://")
	case address.Hostname() == "" || address.Opaque != "":
		return nil, invalid("the webhook's address names no host")
	case address.User != nil:
		return nil, invalid("the webhook's address has a user's name or password before an @, which is not sent")
	case strings.Contains(d.URL, "#"):
		return nil, invalid("the webhook's address has a #, and what follows that is not sent")
	case address.Scheme == "http" && !d.AllowHTTP:
		return nil, &probe.Fault{Code: probe.FaultAddress, Detail: "the webhook's address is http, where everybody on the way can read it; allow_http permits that"}
	}
	return address, nil
}

func (w webhook) post(ctx context.Context, address *url.URL, d probe.Delivery) (*probe.Delivered, *probe.Fault) {
	r := (&http.Request{
		Method: http.MethodPost, URL: address, Host: address.Host,
		Header:        http.Header{"Content-Type": {"application/json"}, "User-Agent": {w.agent}},
		Body:          io.NopCloser(bytes.NewReader(d.Body)),
		ContentLength: int64(len(d.Body)),
	}).WithContext(ctx)
	transport := w.transport(d)
	defer transport.CloseIdleConnections()
	// The transport by itself follows no redirect.
	res, err := transport.RoundTrip(r)
	if err != nil {
		return nil, hookFault(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	switch {
	case res.StatusCode >= 300 && res.StatusCode <= 399:
		return nil, &probe.Fault{Code: probe.FaultRedirect, Detail: fmt.Sprintf(
			"the webhook answers with status %d, a redirect, which is not followed; name the address that it leads to", res.StatusCode)}
	case res.StatusCode < 200 || res.StatusCode > 299:
		return nil, &probe.Fault{
			Code: probe.FaultStatus, Status: res.StatusCode, RetryAfterMS: retryAfter(res.Header.Get("Retry-After"), time.Now()),
			Detail: fmt.Sprintf("the webhook answers with status %d", res.StatusCode),
		}
	}
	if res.StatusCode != http.StatusNoContent {
		_, _ = io.CopyN(io.Discard, res.Body, maxHookBody) // it has taken the delivery, whatever comes of this
	}
	return &probe.Delivered{Status: res.StatusCode}, nil
}

// transport makes a transport for one delivery: HTTP/1.1, no proxy, whatever the
// environment says, and nothing kept.
func (w webhook) transport(d probe.Delivery) *http.Transport {
	dialer := net.Dialer{
		// After the name is resolved, for each address that is tried: a name that
		// leads somewhere else when it is asked for again leads nowhere.
		Control: func(_, address string, _ syscall.RawConn) error { return allowed(address, d.AllowPrivate) },
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.roots},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHookHeader,
	}
}

// allowed judges an address that is about to be connected to.
func allowed(address string, private bool) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !reachable(to.Addr()) || !private && !ofInternet(to.Addr()) {
		return errAddress
	}
	return nil
}

// retryAfter is a Retry-After header (RFC 9110, 10.2.3), seconds or a date, in
// milliseconds from now; 0 for none that makes sense, at most an hour.
func retryAfter(header string, now time.Time) int64 {
	if header == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(header, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return 1000 * min(max(seconds, 0), probe.MaxRetryAfterMS/1000)
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now).Milliseconds(), 0), probe.MaxRetryAfterMS)
}
