package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// source is where a request came from. Each trusted proxy is believed about the
// one before it: X-Forwarded-For is read from its end, and what stands before the
// first address that is not trusted may be anyone's invention.
func (s *Server) source(r *http.Request) netip.Addr {
	at, ok := address(r.RemoteAddr)
	if !ok {
		return netip.Addr{}
	}
	hops := listed(r.Header.Values("X-Forwarded-For"))
	for i := len(hops) - 1; i >= 0 && s.trusts(at); i-- {
		next, ok := address(hops[i])
		if !ok {
			break
		}
		at = next
	}
	return at
}

// secure says whether the browser used https: with a proxy that says so.
func (s *Server) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	at, ok := address(r.RemoteAddr)
	protos := listed(r.Header.Values("X-Forwarded-Proto"))
	return ok && s.trusts(at) && len(protos) > 0 && strings.EqualFold(protos[len(protos)-1], "https")
}

func (s *Server) trusts(a netip.Addr) bool {
	for _, p := range s.opts.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// listed is a header's elements, those of repeated headers in their order.
func listed(values []string) []string {
	var all []string
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			all = append(all, strings.TrimSpace(part))
		}
	}
	return all
}

// address reads an address with or without a port. A zone counts for nothing,
// and an IPv4 address as itself however it is written.
func address(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), true
}
