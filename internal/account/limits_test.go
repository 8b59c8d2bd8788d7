package account

import (
	"net/netip"
	"testing"
	"time"
)

func TestSourceOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		same(t, want, sourceOf(netip.MustParseAddr(address)).String())
	}
	same(t, netip.Prefix{}.String(), sourceOf(netip.Addr{}).String())
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := newBuckets[int](3, 10*time.Second, c.now)
	for _, step := range []struct{ pass, wait time.Duration }{
		{0, 0}, {0, 0}, {0, 0}, {0, 10 * time.Second}, {0, 10 * time.Second},
		{9500 * time.Millisecond, time.Second}, {500 * time.Millisecond, 0}, {0, 10 * time.Second},
		{time.Hour, 0}, {0, 0}, {0, 0}, {0, 10 * time.Second},
		{-time.Hour, 10 * time.Second}, // the clock was set back
	} {
		c.pass(step.pass)
		same(t, step.wait, b.take(7))
	}
	same(t, time.Duration(0), b.take(8))
	b.give(9) // of none
}

// However many there are, the table does not grow; who is busy stays in it.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := newBuckets[int](1, time.Hour, c.now)
	b.take(-1)
	for i := range 3 * maxBuckets {
		b.take(i)
		if i%1000 == 0 && b.take(-1) == 0 {
			t.Fatal("one that tries again and again was forgotten")
		}
	}
	same(t, [2]int{maxBuckets, maxBuckets}, [2]int{len(b.byKey), b.used.Len()})
}
