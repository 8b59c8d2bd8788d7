package web

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSource(t *testing.T) {
	t.Parallel()
	s := &Server{opts: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.0.0.0/8")}}}
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1"}, // not a proxy of ours
		{"127.0.0.1:5", nil, "127.0.0.1"},
		{"127.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"127.0.0.1:5", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},  // the first was invented
		{"127.0.0.1:5", []string{"198.51.100.1, 10.1.2.3"}, "198.51.100.1"}, // two proxies
		{"127.0.0.1:5", []string{"1.1.1.1", "198.51.100.1", "10.1.2.3"}, "198.51.100.1"},
		{"127.0.0.1:5", []string{"198.51.100.1, nonsense, 10.1.2.3"}, "10.1.2.3"},
		{"127.0.0.1:5", []string{""}, "127.0.0.1"},
		{"127.0.0.1:5", []string{"10.1.2.3, 10.1.2.4"}, "10.1.2.3"},
		{"127.0.0.1:5", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"[::1]:5", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"[::1]:5", []string{"2001:db8::1"}, "2001:db8::1"},
		{"[::1]:5", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"[::ffff:127.0.0.1]:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"[fe80::1%eth0]:5", nil, "fe80::1"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := s.source(r); got != netip.MustParseAddr(c.want) {
			t.Errorf("from %s, forwarded for %q: %v, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestSecure(t *testing.T) {
	t.Parallel()
	s := &Server{opts: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	got := map[string]bool{}
	for _, remote := range []string{"127.0.0.1:5", "192.0.2.1:5"} {
		for _, proto := range []string{"https", "http", "https, http", "http, HTTPS", ""} {
			r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-Proto": {proto}}}
			if s.secure(r) {
				got[remote+" "+proto] = true
			}
		}
	}
	if diff := cmp.Diff(map[string]bool{"127.0.0.1:5 https": true, "127.0.0.1:5 http, HTTPS": true}, got); diff != "" {
		t.Errorf("secure (-want +got):\n%s", diff)
	}
}
