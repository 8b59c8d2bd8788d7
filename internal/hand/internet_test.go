package hand

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	// Whether a webhook may be there, and whether with allow_private.
	type may struct{ Internet, Private bool }
	want := map[string]may{
		"1.1.1.1": {true, true}, "100.63.255.255": {true, true}, "100.128.0.0": {true, true}, "172.15.255.255": {true, true},
		"172.32.0.0": {true, true}, "198.17.255.255": {true, true}, "223.255.255.255": {true, true}, "192.0.1.0": {true, true},
		"2606:4700::1111": {true, true}, "2a01::": {true, true}, "64:ff9b::1.1.1.1": {true, true}, "2002:101:101::1": {true, true}, "::ffff:1.1.1.1": {true, true},

		"127.0.0.1": {false, true}, "127.255.255.254": {false, true}, "10.0.0.1": {false, true}, "172.16.0.1": {false, true}, "172.31.255.255": {false, true},
		"192.168.1.1": {false, true}, "169.254.169.254": {false, true}, "100.64.0.1": {false, true}, "100.127.255.255": {false, true},
		"0.0.0.1": {false, true}, "192.0.0.8": {false, true}, "192.0.2.1": {false, true}, "198.51.100.1": {false, true}, "203.0.113.1": {false, true},
		"198.18.0.1": {false, true}, "198.19.255.255": {false, true}, "192.88.99.1": {false, true}, "240.0.0.1": {false, true},
		"::1": {false, true}, "fe80::1": {false, true}, "fe80::1%eth0": {false, true}, "fec0::1": {false, true}, "fc00::1": {false, true}, "fd12::1": {false, true},
		"2001::1": {false, true}, "2001:2::1": {false, true}, "2001:db8::1": {false, true}, "3fff::1": {false, true}, "100::1": {false, true}, "4000::1": {false, true},
		"64:ff9b:1::1": {false, true}, "5f00::1": {false, true},
		// What leads to an address of IPv4.
		"::ffff:127.0.0.1": {false, true}, "::ffff:169.254.169.254": {false, true}, "::ffff:0:127.0.0.1": {false, true}, "::127.0.0.1": {false, true},
		"64:ff9b::127.0.0.1": {false, true}, "64:ff9b::a00:1": {false, true}, "2002:7f00:1::1": {false, true}, "2002:c0a8:1::": {false, true},
		"64:ff9b::224.0.0.1": {false, true}, "64:ff9b::0.0.0.0": {false, true},

		"0.0.0.0": {}, "::": {}, "::ffff:0.0.0.0": {}, "255.255.255.255": {}, "224.0.0.1": {}, "239.255.255.255": {}, "::ffff:224.0.0.1": {}, "ff02::1": {}, "ff0e::1": {},
	}
	got := map[string]may{}
	for text := range want {
		to := netip.AddrPortFrom(netip.MustParseAddr(text), 443).String()
		got[text] = may{allowed(to, false) == nil, allowed(to, true) == nil}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{"", "x:443", "127.0.0.1", "[::1]", "256.0.0.1:1"} {
		if allowed(text, true) == nil {
			t.Errorf("%q is allowed", text)
		}
	}
}
