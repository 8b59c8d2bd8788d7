package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// LogsOptions select log entries.
type LogsOptions struct {
	Lines  int       // at most so many, the newest ones; 0: the daemon's default
	Since  time.Time // only entries from then on; zero: no limit
	Follow bool      // go on with new entries as they are written

	// Lost, when set, is called when a followed log broke and is about to be opened
	// again, with the reason; at each attempt that fails it is called again.
	Lost func(error)
	// Stands, when set, is called each time a followed log stands, the first time
	// too.
	Stands func()
	// Pause is waited for at least before a followed log is opened again.
	Pause time.Duration
}

// resumeLines bounds what is read again of a followed log after an
// interruption.
const resumeLines = 1000

// Logs hands out a server's log entries, oldest first. With Follow it goes on
// until ctx ends, also over a restart of the daemon, without handing out an
// entry twice. An error is handed out once, as the last value.
func (c *Client) Logs(ctx context.Context, name string, opts LogsOptions) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		n, err := ParseName(name)
		if err != nil {
			yield(LogEntry{}, err)
			return
		}
		l := &logStream{client: c, path: "/v1/servers/" + string(n) + "/logs", opts: opts, yield: yield}
		if opts.Follow {
			err = l.follow(ctx)
		} else {
			err = l.read(ctx)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(LogEntry{}, err)
		}
	}
}

type logStream struct {
	client *Client
	path   string
	opts   LogsOptions
	yield  func(LogEntry, error) bool

	last LogEntry        // the newest entry handed out
	seen map[string]bool // cursors of the entries handed out in last's second
}

// read hands out what is there: one JSON document a line.
func (l *logStream) read(ctx context.Context) error {
	resp, err := l.client.send(ctx, request{method: http.MethodGet, path: l.path, query: l.query(), accept: "application/x-ndjson"})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(make([]byte, 0, 16<<10), maxLine)
	for scanner.Scan() {
		if err := l.hand(scanner.Bytes()); err != nil {
			return err
		}
	}
	return l.broken(ctx, scanner.Err())
}

func (l *logStream) follow(ctx context.Context) error {
	wait := backoff{least: l.opts.Pause}
	for {
		err := l.connection(ctx, &wait)
		switch {
		case errors.Is(err, errStopped):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !retriable(err):
			return err
		}
		if l.opts.Lost != nil {
			l.opts.Lost(err)
		}
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

// connection follows the log once, until the stream breaks. It has no limit on
// silence: a game may say nothing for hours.
func (l *logStream) connection(ctx context.Context, wait *backoff) error {
	r := request{method: http.MethodGet, path: l.path, query: l.query(), accept: "text/event-stream", header: http.Header{}}
	if l.last.Cursor != "" {
		r.header.Set("Last-Event-ID", l.last.Cursor)
	}
	resp, err := l.client.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if l.opts.Stands != nil {
		l.opts.Stands()
	}
	stream := readMessages(resp.Body, wait.reset)
	for some := false; ; some = true {
		msg, err := stream.next()
		if errors.Is(err, io.EOF) {
			err = errors.New("the daemon ended the stream of log entries")
		}
		if err != nil {
			return l.broken(ctx, err)
		}
		if msg.event == "failed" {
			return l.failed(msg.data, some)
		}
		if err := l.hand(msg.data); err != nil {
			return err
		}
	}
}

// failed explains the daemon's word that it cannot go on reading the log. When
// it could read some of it, following again may help.
func (l *logStream) failed(data []byte, readSome bool) error {
	var p problem
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("cannot understand why the log ended: %w", err)
	}
	if readSome {
		return unreachable(l.client.opts.Socket, p.err())
	}
	return p.err()
}

func (l *logStream) broken(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, bufio.ErrTooLong) {
		return err
	}
	return l.client.lost(ctx, err)
}

func (l *logStream) query() url.Values {
	q := url.Values{}
	lines, since := l.opts.Lines, l.opts.Since
	if l.last.Cursor != "" {
		lines, since = resumeLines, l.last.At
	}
	if lines != 0 {
		q.Set("lines", strconv.Itoa(lines))
	}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if l.opts.Follow {
		q.Set("follow", "1")
	}
	return q
}

func (l *logStream) hand(line []byte) error {
	var entry LogEntry
	if err := json.Unmarshal(line, &entry); err != nil {
		return fmt.Errorf("cannot understand a log entry: %w", err)
	}
	if l.seen[entry.Cursor] {
		return nil
	}
	if l.opts.Follow && entry.Cursor != "" {
		if l.seen == nil || !entry.At.Truncate(time.Second).Equal(l.last.At.Truncate(time.Second)) {
			l.seen = map[string]bool{}
		}
		l.seen[entry.Cursor] = true
		l.last = entry
	}
	if !l.yield(entry, nil) {
		return errStopped
	}
	return nil
}
