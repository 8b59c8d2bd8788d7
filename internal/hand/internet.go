package hand

import "net/netip"

// Addresses that are not of the internet, or that lead to such: what the IANA lists
// as special (RFC 6890 and what amends it), and what carries an address of IPv4.
// For IPv6 only what 2000::/3 holds besides these is of the internet.
var (
	special4 = prefixes(
		"0.0.0.0/8",       // this network, RFC 791
		"10.0.0.0/8",      // private, RFC 1918
		"100.64.0.0/10",   // behind a provider's NAT, RFC 6598
		"127.0.0.0/8",     // loopback, RFC 1122
		"169.254.0.0/16",  // link-local, RFC 3927; clouds tell machines their secrets there
		"172.16.0.0/12",   // private, RFC 1918
		"192.0.0.0/24",    // of the IETF, RFC 6890
		"192.0.2.0/24",    // documentation, RFC 5737
		"192.88.99.0/24",  // relays of 6to4, RFC 7526
		"192.168.0.0/16",  // private, RFC 1918
		"198.18.0.0/15",   // benchmarks, RFC 2544
		"198.51.100.0/24", // documentation, RFC 5737
		"203.0.113.0/24",  // documentation, RFC 5737
		"224.0.0.0/4",     // multicast, RFC 5771
		"240.0.0.0/4",     // reserved, RFC 1112, and broadcast
	)
	special6 = prefixes(
		"2001::/23",     // of the IETF, RFC 2928: Teredo, benchmarks (2001:2::/48), ORCHID
		"2001:db8::/32", // documentation, RFC 3849
		"3fff::/20",     // documentation, RFC 9637
	)
	global6 = netip.MustParsePrefix("2000::/3")
	sixTo4  = netip.MustParsePrefix("2002::/16")    // RFC 3056: the address of IPv4 is in bytes 2 to 5
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: in bytes 12 to 15
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// ofInternet says whether an address is one of the internet at large: not this
// host's own, not of a network that only some can reach.
func ofInternet(a netip.Addr) bool {
	a = a.Unmap() // ::ffff:127.0.0.1 connects to 127.0.0.1
	switch {
	case a.Is4():
		return !within(special4, a)
	case a.Zone() != "" || within(special6, a):
		return false
	case sixTo4.Contains(a):
		b := a.As16()
		return ofInternet(netip.AddrFrom4([4]byte(b[2:6])))
	case nat64.Contains(a):
		b := a.As16()
		return ofInternet(netip.AddrFrom4([4]byte(b[12:16])))
	}
	return global6.Contains(a)
}

// reachable says whether one host can be at an address at all, in whatever network.
func reachable(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func within(all []netip.Prefix, a netip.Addr) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
