package srcds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Querier asks any number of games at once, over one UDP socket. It holds for each
// query at most maxAnswer bytes of unfinished answers and one whole answer; how many
// queries run at once is the caller's to bound. What comes from an address and port
// that nobody waits for is dropped.
type Querier struct {
	conn *net.UDPConn
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	waiting map[netip.AddrPort]*exchange
}

// NewQuerier opens the socket at an address of this host, IPv4, and any free port: at
// the unspecified one everybody could fill its buffer. Close gives it back.
func NewQuerier(at netip.Addr) (*Querier, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		return nil, fmt.Errorf("cannot open a socket for queries: %w", err)
	}
	q := &Querier{conn: conn, done: make(chan struct{}), waiting: map[netip.AddrPort]*exchange{}}
	go q.read()
	return q, nil
}

// Close ends what waits, with net.ErrClosed, and the reader.
func (q *Querier) Close() error {
	err := q.conn.Close()
	<-q.done
	return err
}

// Info asks for A2S_INFO. It repeats the request twice within the context's time,
// or every second when that has no end; took is from the last request before the
// answer to the answer. Errors are ErrMalformed, the context's or the network's.
func (q *Querier) Info(ctx context.Context, game netip.AddrPort) (info Info, took time.Duration, err error) {
	answer, took, err := q.ask(ctx, game, tellInfo)
	if err != nil {
		return Info{}, 0, err
	}
	if info, err = parseInfo(answer); err != nil {
		return Info{}, 0, err
	}
	return info, took, nil
}

// Players asks for A2S_PLAYER, as Info does for A2S_INFO. At most 255 are told of.
func (q *Querier) Players(ctx context.Context, game netip.AddrPort) ([]Player, error) {
	answer, _, err := q.ask(ctx, game, tellPlayers)
	if err != nil {
		return nil, err
	}
	return parsePlayers(answer)
}

// ask sends until an answer of the kind is there: first without a challenge, then
// with the one that the game answered.
func (q *Querier) ask(ctx context.Context, game netip.AddrPort, kind byte) (answer []byte, took time.Duration, err error) {
	game = plain(game)
	e, err := q.enter(ctx, game, kind)
	if err != nil {
		return nil, 0, err
	}
	defer q.leave(game, e)
	again := time.NewTicker(pause(ctx))
	defer again.Stop()
	var sent []time.Time
	for {
		for more := true; more; {
			var packet []byte
			packet, more = e.request()
			sent = append(sent, time.Now())
			if _, err := q.conn.WriteToUDPAddrPort(packet, game); err != nil {
				return nil, 0, err
			}
		}
		for due := false; !due; {
			select {
			case <-ctx.Done():
				return nil, 0, e.late(ctx.Err())
			case <-again.C:
				e.repeat()
				due = true
			case <-e.wake:
				var came time.Time
				answer, came, due, err = e.look()
				if answer != nil || err != nil {
					return answer, since(sent, came), err
				}
			}
		}
	}
}

// since is the time to a moment from the last one that is not after it.
func since(moments []time.Time, to time.Time) time.Duration {
	for _, m := range slices.Backward(moments) {
		if d := to.Sub(m); d >= 0 {
			return d
		}
	}
	return 0
}

// pause is the time between repetitions: a third of what the context leaves.
func pause(ctx context.Context) time.Duration {
	deadline, found := ctx.Deadline()
	if !found {
		return time.Second
	}
	return max(time.Until(deadline)/3, time.Millisecond)
}

// enter waits until no other query of the same game runs: nothing in an answer says
// to which of two it belongs.
func (q *Querier) enter(ctx context.Context, game netip.AddrPort, kind byte) (*exchange, error) {
	e := &exchange{want: kind, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q.mu.Lock()
		other := q.waiting[game]
		if other == nil {
			q.waiting[game] = e
			q.mu.Unlock()
			return e, nil
		}
		q.mu.Unlock()
		select {
		case <-other.ended:
		case <-ctx.Done():
		}
	}
}

func (q *Querier) leave(game netip.AddrPort, e *exchange) {
	q.mu.Lock()
	delete(q.waiting, game)
	q.mu.Unlock()
	close(e.ended)
}

// read hands each datagram to the query that waits for its sender, until the socket
// is closed.
func (q *Querier) read() {
	defer close(q.done)
	buf := make([]byte, maxDatagram+1) // one more, to tell what is too long
	for {
		n, from, err := q.conn.ReadFromUDPAddrPort(buf)
		at := time.Now()
		if err != nil {
			for _, e := range q.all() {
				e.fail(err)
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // no error of a socket's shall take a whole processor
			continue
		}
		q.mu.Lock()
		e := q.waiting[plain(from)]
		q.mu.Unlock()
		if e != nil {
			e.hear(buf[:n], at)
		}
	}
}

func (q *Querier) all() []*exchange {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*exchange, 0, len(q.waiting))
	for _, e := range q.waiting {
		all = append(all, e)
	}
	return all
}

// plain writes an IPv4 address in one way only.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
