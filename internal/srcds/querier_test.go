package srcds_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/srcds"
)

func TestInfo(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("\x1b[2J", 1024)
	parts := partsOf(7, infoOf("in parts"), 3)
	reordered := slices.Clone(parts)
	slices.Reverse(reordered)
	for name, c := range map[string]struct {
		packets [][]byte
		want    string // the name
	}{
		"at once":              {[][]byte{infoOf("at once")}, "at once"},
		"4 kB of escapes":      {[][]byte{infoOf(long)}, long},
		"bytes that trail":     {[][]byte{append(infoOf("trail"), "more and more"...)}, "trail"},
		"in parts":             {parts, "in parts"},
		"last part first":      {reordered, "in parts"},
		"each part twice":      {append(slices.Clone(parts[:2]), parts...), "in parts"},
		"an old part between":  {[][]byte{parts[0], partsOf(6, infoOf("old"), 2)[1], parts[1], parts[2]}, "in parts"},
		"another answer first": {[][]byte{packet("D\x00"), packet("E\x00\x00"), packet("m"), infoOf("late")}, "late"},
		"one part of one":      {partsOf(8, infoOf("one"), 1), "one"},
		"four unfinished first": {append([][]byte{
			partsOf(1, infoOf("1"), 2)[0], partsOf(2, infoOf("2"), 2)[0], partsOf(3, infoOf("3"), 2)[0], partsOf(4, infoOf("4"), 2)[0],
		}, parts...), "in parts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, took, err := querier(t).Info(within(t, plenty), saying(t, c.packets...))
			if err != nil || took <= 0 {
				t.Fatalf("took %v, %v", took, err)
			}
			if diff := cmp.Diff(wantInfo(c.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestInfoMalformed(t *testing.T) {
	t.Parallel()
	compressed := partsOf(1<<31|7, infoOf("x"), 2)
	for name, c := range map[string]struct {
		packets [][]byte
		want    string
	}{
		"no header":            {[][]byte{[]byte("HTTP/1.1 400 Bad Request")}, "without the header"},
		"empty":                {[][]byte{{}}, "a packet of 0 bytes"},
		"header alone":         {[][]byte{packet("")}, "a packet of 4 bytes"},
		"unknown kind":         {[][]byte{packet("Z")}, "kind 0x5a where 0x49"},
		"half":                 {[][]byte{infoOf("x")[:20]}, "A2S_INFO that ends early"},
		"too long":             {[][]byte{infoOf(strings.Repeat("x", 16<<10))}, "more than 16384 bytes"},
		"short challenge":      {[][]byte{packet("A\x01\x02")}, "a challenge of 2 bytes"},
		"compressed":           {compressed, "compressed"},
		"short part":           {[][]byte{{0xfe, 0xff, 0xff, 0xff, 1, 0, 0, 0, 2}}, "too short for its header"},
		"no parts":             {[][]byte{{0xfe, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0}}, "part 0 of 0 parts"},
		"a part too many":      {[][]byte{{0xfe, 0xff, 0xff, 0xff, 1, 0, 0, 0, 2, 2, 0, 0}}, "part 2 of 2 parts"},
		"a total that changes": {[][]byte{partsOf(1, infoOf("x"), 2)[0], partsOf(1, infoOf("x"), 3)[1]}, "2 parts that then has 3"},
		"parts of parts":       {partsOf(1, partsOf(2, infoOf("x"), 2)[0], 2), "without the header"},
		"endless":              {partsOf(1, make([]byte, 100<<10), 100), "more than 65536 bytes"},
		"a part that is lost":  {partsOf(1, infoOf("x"), 3)[:2], "3 parts of which 1 never came"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			game := saying(t, c.packets...)
			// A reader that is kept waiting may lose some of a hundred packets.
			got, _, err := querier(t).Info(within(t, 3*time.Second), game)
			if !errors.Is(err, srcds.ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v; want %q", got, err, c.want)
			}
		})
	}
}

// TestChallenge has a game that wants one, another one the next time, and then
// answers: the request must bring the last one.
func TestChallenge(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	game := answering(t, func(g fake, from netip.AddrPort, nth int, request []byte) {
		mu.Lock()
		got = append(got, string(request))
		mu.Unlock()
		switch nth {
		case 0:
			g.say(from, challenge(0x04030201), challenge(0x04030201))
		case 1:
			g.say(from, challenge(0x08070605))
		default:
			g.say(from, packet("D\x01\x00Zoey\x00\xfe\xff\xff\xff\x00\x00\x20\x41"))
		}
	})
	players, err := querier(t).Players(within(t, plenty), game)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]srcds.Player{{Name: "Zoey", Score: -2, Seconds: 10}}, players); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"\xff\xff\xff\xffU\xff\xff\xff\xff", "\xff\xff\xff\xffU\x01\x02\x03\x04", "\xff\xff\xff\xffU\x05\x06\x07\x08"}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestChallengesWithoutEnd(t *testing.T) {
	t.Parallel()
	game := answering(t, func(g fake, from netip.AddrPort, nth int, request []byte) {
		if want := "\xff\xff\xff\xffTSource Engine Query\x00"; !strings.HasPrefix(string(request), want) {
			t.Errorf("asked %q", request)
		}
		g.say(from, challenge(uint32(nth)))
	})
	if _, _, err := querier(t).Info(within(t, plenty), game); !errors.Is(err, srcds.ErrMalformed) {
		t.Error(err)
	}
}

// TestChallengesReplayed has a game answer each request by all challenges that it
// ever gave, the right one last or first.
func TestChallengesReplayed(t *testing.T) {
	t.Parallel()
	for _, replies := range [][][]byte{{challenge(1), challenge(2), challenge(3)}, {challenge(3), challenge(1), challenge(2)}} {
		game := answering(t, func(g fake, from netip.AddrPort, nth int, request []byte) {
			g.say(from, replies...)
			if bytes.HasSuffix(request, []byte{3, 0, 0, 0}) {
				g.say(from, infoOf("right"))
			}
		})
		info, _, err := querier(t).Info(within(t, plenty), game)
		if diff := cmp.Diff(wantInfo("right"), info); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

// TestPlayersReplayed has a game that answers with an old list before it gives its
// challenge, and once more the old challenge.
func TestPlayersReplayed(t *testing.T) {
	t.Parallel()
	old := packet("D\x01\x00Old\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	game := answering(t, func(g fake, from netip.AddrPort, nth int, _ []byte) {
		if nth == 0 {
			g.say(from, old, old, challenge(1))
			return
		}
		g.say(from, challenge(1), infoOf("x"), packet("D\x00"))
	})
	players, err := querier(t).Players(within(t, plenty), game)
	if err != nil || len(players) != 0 {
		t.Errorf("%+v, %v", players, err)
	}
}

func TestPlayersMalformed(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"D": "without a number",
		"D\x02\x00Zoey\x00\x00\x00\x00\x00\x00\x00\x00\x00": "2 players and ends after 1",
		"D\x01\x00Zoey":     "1 players and ends after 0",
		"D\xff\x00\x00\x00": "255 players",
	} {
		t.Run(fmt.Sprintf("%q", list), func(t *testing.T) {
			t.Parallel()
			game := answering(t, func(g fake, from netip.AddrPort, nth int, _ []byte) {
				if nth == 0 {
					g.say(from, challenge(1))
					return
				}
				g.say(from, packet(list))
			})
			if _, err := querier(t).Players(within(t, plenty), game); !errors.Is(err, srcds.ErrMalformed) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want %q", err, want)
			}
		})
	}
}

// TestFromElsewhere has an answer come from another port than was asked: nobody
// hears it.
func TestFromElsewhere(t *testing.T) {
	t.Parallel()
	stranger, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	q := querier(t)
	lie := func(from netip.AddrPort) { fake{conn: stranger}.say(from, infoOf("a lie")) }
	truthful := answering(t, func(g fake, from netip.AddrPort, _ int, _ []byte) {
		lie(from)
		g.say(from, infoOf("the truth"))
	})
	info, _, err := q.Info(within(t, plenty), truthful)
	if diff := cmp.Diff(wantInfo("the truth"), info); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	silent := answering(t, func(_ fake, from netip.AddrPort, _ int, _ []byte) { lie(from) })
	if info, _, err := q.Info(within(t, brief), silent); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestLostRequest has the first two requests lost.
func TestLostRequest(t *testing.T) {
	t.Parallel()
	game := answering(t, func(g fake, from netip.AddrPort, nth int, _ []byte) {
		if nth == 2 {
			g.say(from, infoOf("third"))
		}
	})
	info, took, err := querier(t).Info(within(t, 3*time.Second), game)
	if err != nil || info.Name != "third" || took > time.Second {
		t.Errorf("%+v after %v, %v", info, took, err)
	}
}

// TestManyAtOnce asks many games, some of which are silent, endless or answer for
// others, and each of them twice at the same time.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	q := querier(t)
	junk := partsOf(1, bytes.Repeat([]byte{'x'}, 30<<10), 100)[:50]
	ctx, cancel := context.WithCancel(t.Context())
	var disturbed, asked sync.WaitGroup
	for _, packets := range [][][]byte{nil, junk, {infoOf("a")[:9]}} {
		game := saying(t, packets...)
		disturbed.Go(func() {
			for ctx.Err() == nil {
				_, _, _ = q.Info(within(t, brief), game)
			}
		})
	}
	for n := range 60 {
		name := fmt.Sprint("game ", n)
		game := answering(t, func(g fake, from netip.AddrPort, _ int, request []byte) {
			switch {
			case request[4] == 'T':
				g.say(from, infoOf(name))
			case bytes.HasSuffix(request, []byte{1, 0, 0, 0}):
				g.say(from, packet("D\x01\x00"+name+"\x00\x00\x00\x00\x00\x00\x00\x80\xbf"))
			default:
				g.say(from, challenge(1))
			}
		})
		asked.Go(func() {
			info, _, err := q.Info(within(t, plenty), game)
			if diff := cmp.Diff(wantInfo(name), info); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
		asked.Go(func() {
			players, err := q.Players(within(t, plenty), game)
			if diff := cmp.Diff([]srcds.Player{{Name: name}}, players); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	asked.Wait()
	cancel()
	disturbed.Wait()
}

func TestCancelAndClose(t *testing.T) {
	t.Parallel()
	asked := make(chan bool, 10)
	game := answering(t, func(fake, netip.AddrPort, int, []byte) { asked <- true })
	q, err := srcds.NewQuerier(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, _, err := q.Info(ctx, game); failed <- err }()
	<-asked
	go func() { _, err := q.Players(ctx, game); failed <- err }() // waits for its turn
	cancel()
	for range 2 {
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	go func() { _, _, err := q.Info(t.Context(), game); failed <- err }()
	<-asked
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, _, err := q.Info(t.Context(), game); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
