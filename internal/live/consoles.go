package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/left4med/left4med/client"
)

// Bounds of what is kept of a log that is followed.
const (
	consoleLines = 1000
	consoleBytes = 4 << 20
	grace        = 5 * time.Second
)

// Consoles follow servers' logs at the daemon, each once, however many read it.
type Consoles struct {
	client *client.Client
	limit  int
	grace  time.Duration // how long a log is followed that nobody reads
	pause  time.Duration // before a log that broke is followed anew

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu   sync.Mutex
	open map[string]*follow
}

// NewConsoles follows at most limit logs at once. Close ends it.
func NewConsoles(c *client.Client, limit int) *Consoles {
	ctx, cancel := context.WithCancel(context.Background())
	return &Consoles{client: c, limit: limit, grace: grace, pause: firstPause, ctx: ctx, cancel: cancel, open: map[string]*follow{}}
}

// Close ends all of them. Readers get io.EOF.
func (c *Consoles) Close() {
	c.mu.Lock()
	c.cancel() // none is opened any more
	c.mu.Unlock()
	c.work.Wait()
}

// Follow reads a server's log: the last lines of those that are kept, at most
// 1,000, and then each line as it is written. The error is the daemon's, or an
// *client.Error with client.CodeTooMany when too many servers' logs are read.
func (c *Consoles) Follow(ctx context.Context, name string, lines int) (*Console, error) {
	if _, err := client.ParseName(name); err != nil {
		return nil, err
	}
	f, err := c.take(name)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.ready:
	case <-ctx.Done():
		c.release(f)
		return nil, ctx.Err()
	}
	if f.err != nil {
		c.release(f)
		return nil, f.err
	}
	return f.console(c, min(max(lines, 0), consoleLines)), nil
}

// take counts a reader in, and opens the log for the first one.
func (c *Consoles) take(name string) (*follow, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil, errClosed
	}
	if f := c.open[name]; f != nil {
		f.readers++
		f.stopTimer()
		return f, nil
	}
	if len(c.open) >= c.limit && !c.evict() {
		return nil, &client.Error{Code: client.CodeTooMany,
			Detail: fmt.Sprintf("the logs of %d servers are being read, which is all there may be at once; close one and try again", c.limit)}
	}
	ctx, cancel := context.WithCancel(c.ctx)
	f := &follow{name: name, readers: 1, cancel: cancel, ready: make(chan struct{}), done: make(chan struct{}), feed: newFeed(consoleLines, consoleBytes)}
	c.open[name] = f
	c.work.Go(func() {
		defer cancel()
		defer close(f.done)
		f.run(ctx, c)
		c.mu.Lock()
		c.forget(f)
		c.mu.Unlock()
	})
	return f, nil
}

// evict ends one log that nobody reads any more, if there is one.
func (c *Consoles) evict() bool {
	for _, f := range c.open {
		if f.readers == 0 {
			c.forget(f)
			return true
		}
	}
	return false
}

// forget has the next reader open the log anew, and ends this one.
func (c *Consoles) forget(f *follow) {
	f.stopTimer()
	f.cancel()
	if c.open[f.name] == f {
		delete(c.open, f.name)
	}
}

func (c *Consoles) release(f *follow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.readers--; f.readers > 0 || c.open[f.name] != f {
		return
	}
	f.timer = time.AfterFunc(c.grace, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if f.readers == 0 {
			c.forget(f)
		}
	})
}

// Deleted ends the log of a server that is gone.
func (c *Consoles) Deleted(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.open[name]; f != nil {
		f.end("the server was deleted")
		c.forget(f)
	}
}

// follow is one server's log.
type follow struct {
	name   string
	cancel context.CancelFunc
	ready  chan struct{} // closed once the lines that were there are in the feed
	err    error         // why they are not; set before ready is closed
	done   chan struct{} // closed once the log is no longer followed

	readers int         // guarded by Consoles' lock
	timer   *time.Timer // the same

	feed feed   // its lock guards what follows
	lost string // why the log is not live; empty while it is
}

func (f *follow) stopTimer() {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
}

// run reads what is there, tells that it is ready, and goes on until ctx ends or
// the server is gone.
func (f *follow) run(ctx context.Context, c *Consoles) {
	seen, err := f.backlog(ctx, c)
	f.err = err
	close(f.ready)
	if err != nil {
		return
	}
	for {
		err := f.goOn(ctx, c, seen)
		if ctx.Err() != nil {
			f.end("")
			return
		}
		if errors.Is(err, &client.Error{Code: client.CodeServerNotFound}) {
			f.end("the server was deleted")
			return
		}
		f.broke(err)
		if sleep(ctx, max(c.pause, maxPause)) != nil {
			f.end("")
			return
		}
	}
}

// newest are the entries that a log that is opened anew may tell again.
type newest struct {
	at      time.Time
	cursors map[string]bool // of the entries of at's second
}

func (n *newest) note(e client.LogEntry) {
	if n.cursors == nil || !e.At.Truncate(time.Second).Equal(n.at.Truncate(time.Second)) {
		n.cursors = map[string]bool{}
	}
	n.cursors[e.Cursor] = true
	n.at = e.At
}

func (f *follow) backlog(ctx context.Context, c *Consoles) (*newest, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("left4med did not give the log of %s within %v", f.name, patience))
	defer cancel()
	seen := &newest{}
	for e, err := range c.client.Logs(ctx, f.name, client.LogsOptions{Lines: consoleLines}) {
		if err != nil {
			return nil, err
		}
		f.entry(e, seen)
	}
	return seen, nil
}

// goOn follows the log from where it was read to.
func (f *follow) goOn(ctx context.Context, c *Consoles, seen *newest) error {
	opts := client.LogsOptions{
		Lines: consoleLines, Since: seen.at, Follow: true,
		Pause: c.pause, Lost: f.broke, Stands: f.back,
	}
	for e, err := range c.client.Logs(ctx, f.name, opts) {
		if err != nil {
			return err
		}
		if !seen.cursors[e.Cursor] {
			f.entry(e, seen)
		}
	}
	return ctx.Err()
}

func (f *follow) entry(e client.LogEntry, seen *newest) {
	seen.note(e)
	data, err := json.Marshal(e)
	if err != nil { // only a year beyond 9999 could cause it
		return
	}
	id := e.Cursor
	if strings.ContainsAny(id, "\r\n\x00") {
		id = ""
	}
	f.add(frame{data: encode(id, "entry", data)})
}

func (f *follow) add(fr frame) {
	f.feed.mu.Lock()
	defer f.feed.mu.Unlock()
	f.feed.add(fr)
	f.feed.wake()
}

type detail struct {
	Detail string `json:"detail"`
}

func (f *follow) broke(err error) {
	f.feed.mu.Lock()
	defer f.feed.mu.Unlock()
	why := client.Visible(err.Error())
	if why == f.lost {
		return
	}
	f.lost = why
	f.feed.add(frame{data: encodeJSON("", "lost", detail{why}), passing: true})
	f.feed.wake()
}

func (f *follow) back() {
	f.feed.mu.Lock()
	defer f.feed.mu.Unlock()
	if f.lost == "" {
		return
	}
	f.lost = ""
	f.feed.add(frame{data: encode("", "back", []byte("{}")), passing: true})
	f.feed.wake()
}

// end is told once: why, when there is something to tell.
func (f *follow) end(why string) {
	f.feed.mu.Lock()
	defer f.feed.mu.Unlock()
	if f.feed.ended {
		return
	}
	if why != "" {
		f.feed.add(frame{data: encodeJSON("", "end", detail{why}), passing: true})
	}
	f.feed.ended = true
	f.feed.wake()
}

// Console is one browser's place in a log. One goroutine uses it.
type Console struct {
	consoles *Consoles
	follow   *follow
	reader   reader
	closed   atomic.Bool
}

func (f *follow) console(c *Consoles, lines int) *Console {
	f.feed.mu.RLock()
	defer f.feed.mu.RUnlock()
	s := &Console{consoles: c, follow: f}
	s.reader = reader{feed: &f.feed, nudges: f.feed.nudges, skip: f.feed.next, lapsed: lapsedLines}
	s.reader.place = f.feed.next
	for ; lines > 0 && s.reader.place > f.feed.first; s.reader.place-- {
		if !f.feed.at(s.reader.place - 1).passing {
			lines--
		}
	}
	if s.reader.seen = f.feed.lasts; s.reader.place < f.feed.next {
		s.reader.seen = f.feed.at(s.reader.place).nth
	}
	if f.lost != "" {
		s.reader.first = [][]byte{encodeJSON("", "lost", detail{f.lost})}
	}
	return s
}

// lapsedLines goes on with the oldest line there is, and says how many are missing.
func lapsedLines(r *reader) [][]byte {
	r.place = r.feed.first
	dropped := r.feed.at(r.place).nth - r.seen
	r.seen += dropped
	if dropped == 0 {
		return nil
	}
	return [][]byte{encode("", "gap", fmt.Appendf(nil, `{"dropped":%d}`, dropped))}
}

// Next waits for lines and returns all that are due at once, as Server-Sent
// Events: entry, gap when lines were dropped that were not read in time, lost when
// the log is not live and back when it is again, and end, after which the error is
// io.EOF. The bytes are shared and must not be changed.
func (s *Console) Next(ctx context.Context) ([]byte, error) {
	if s.closed.Load() {
		return nil, errClosed
	}
	return s.reader.next(ctx, io.EOF)
}

// Close gives the place up; a log that nobody reads is closed a moment later. It
// may be called twice.
func (s *Console) Close() {
	if !s.closed.Swap(true) {
		s.consoles.release(s.follow)
	}
}
