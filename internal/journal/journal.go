package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// Reader runs journalctl.
type Reader struct {
	path string
	args []string
}

// New returns a reader that runs journalctl from path, looked up in PATH when
// it is a bare name. args come before all others, for instance
// --directory=DIR.
func New(path string, args ...string) *Reader { return &Reader{path: path, args: args} }

// Query chooses entries of one unit, oldest first.
type Query struct {
	Unit   string
	Lines  int       // only the last so many; 0: all; below 0: none of those there, for Follow
	Since  time.Time // only from then on; zero: from the beginning
	Follow bool      // go on with what is written later

	// Invocation leaves only one run of the unit, 32 hex digits; empty: all.
	// What a process wrote right before it ended can be missing then: journald
	// looks the run up when it reads a line, and may find the process gone.
	Invocation string
}

func (q Query) args() ([]string, error) {
	if q.Unit == "" || strings.ContainsAny(q.Unit, "*?[\x00") {
		return nil, server.Errorf(server.CodeInternal, "cannot read a log: %s is no unit", server.Quote(q.Unit, 80))
	}
	args := []string{"--output=json", "--all", "--output-fields=" + fields, "--no-pager", "--quiet", "--unit=" + q.Unit}
	switch {
	case q.Lines > 0:
		args = append(args, "--lines="+strconv.Itoa(q.Lines))
	case q.Lines < 0:
		args = append(args, "--lines=0")
	default:
		args = append(args, "--lines=all")
	}
	if !q.Since.IsZero() {
		us := q.Since.UnixMicro()
		args = append(args, fmt.Sprintf("--since=@%d.%06d", us/1e6, us%1e6))
	}
	if q.Follow {
		args = append(args, "--follow")
	}
	if q.Invocation != "" {
		if len(q.Invocation) != 32 || strings.Trim(q.Invocation, "0123456789abcdef") != "" {
			return nil, server.Errorf(server.CodeInvalidRequest, "%s is no invocation id: 32 hex digits", server.Quote(q.Invocation, 40))
		}
		// Matches after --unit narrow it; "+" is an "or" between these two.
		args = append(args, "_SYSTEMD_INVOCATION_ID="+q.Invocation, "+", "INVOCATION_ID="+q.Invocation)
	}
	return args, nil
}

// Stream is the entries of a query. Next and Close may be called from different
// goroutines.
type Stream struct {
	entries <-chan Entry
	stop    context.CancelFunc
	done    <-chan struct{} // closed once the child was waited for
	end     error           // why it ended; set before done is closed
}

// Open starts reading. The child ends with ctx, with the stream's Close, or
// when it has shown everything. The error says that it could not be started.
func (r *Reader) Open(ctx context.Context, q Query) (*Stream, error) {
	args, err := q.args()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	cmd := r.command(ctx, args...)
	stderr := &bounded{max: 4 << 10}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		return nil, r.failed(q.Unit, err, "")
	}
	entries, done := make(chan Entry), make(chan struct{})
	s := &Stream{entries: entries, stop: stop, done: done}
	go func() {
		defer close(done)
		defer stop()
		readErr := read(ctx, stdout, entries)
		if readErr != nil {
			stop()
		}
		s.end = r.ended(ctx, q, readErr, cmd.Wait(), stderr.String())
	}()
	return s, nil
}

func (r *Reader) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.path, append(append([]string{}, r.args...), args...)...)
	cmd.Env = []string{"LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_COLORS=0", "SYSTEMD_LOG_LEVEL=warning"}
	cmd.WaitDelay = time.Second // should a child of the child keep the pipes open
	return cmd
}

// read hands on entries until the child ends or ctx does.
func read(ctx context.Context, stdout io.Reader, entries chan<- Entry) error {
	lines := bufio.NewReaderSize(stdout, 64<<10)
	for {
		line, cut, err := readLine(lines)
		if len(line) > 0 {
			e, err := decode(line, cut)
			if err != nil {
				return err
			}
			select {
			case entries <- e:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil {
			return nil // the pipe's end; the child's status says the rest
		}
	}
}

// readLine reads a line without its end and keeps at most maxLine bytes of it.
func readLine(r *bufio.Reader) (line []byte, cut bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if room := maxLine - len(line); len(part) > room {
			part, cut = part[:room], true
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimRight(line, "\n"), cut, err
	}
}

// ended is what Next returns after the last entry.
func (r *Reader) ended(ctx context.Context, q Query, readErr, waitErr error, stderr string) error {
	switch {
	case readErr != nil && !errors.Is(readErr, context.Canceled) && !errors.Is(readErr, context.DeadlineExceeded):
		return r.failed(q.Unit, readErr, stderr)
	case ctx.Err() != nil:
		return ctx.Err()
	case waitErr != nil:
		return r.failed(q.Unit, waitErr, stderr)
	case q.Follow:
		return r.failed(q.Unit, errors.New("it stopped following"), stderr)
	}
	return io.EOF
}

func (r *Reader) failed(unit string, err error, stderr string) error {
	detail := fmt.Sprintf("cannot read the log of %s: ", server.Visible(unit))
	switch said := server.Visible(strings.TrimSpace(strings.ReplaceAll(stderr, "\n", " "))); {
	case missing(err):
		detail += r.path + " cannot be run; it belongs to Debian's package systemd"
	case said != "":
		detail += "journalctl says: " + said
	default:
		detail += "journalctl ended early; is systemd-journald running (systemctl status systemd-journald)?"
	}
	return &server.Error{Code: server.CodeInternal, Detail: detail, Err: err}
}

// missing says that the child could not be started at all.
func missing(err error) bool {
	var lookup *exec.Error
	var start *fs.PathError
	return errors.As(err, &lookup) || errors.As(err, &start)
}

// Next returns the next entry and waits for it when there is none yet. After
// the last one the error is io.EOF; otherwise it is ctx's, Open's context's, or
// a *server.Error that says why reading failed.
func (s *Stream) Next(ctx context.Context) (Entry, error) {
	select {
	case e := <-s.entries:
		return e, nil
	case <-ctx.Done():
		return Entry{}, ctx.Err()
	case <-s.done:
		return Entry{}, s.end
	}
}

// Close ends the child and waits for it. It may be called more than once.
func (s *Stream) Close() {
	s.stop()
	<-s.done
}

// syncTimeout bounds how long Tail waits for journald to write down what it was
// sent.
const syncTimeout = 2 * time.Second

// Tail returns the last n messages of a unit since a time (the zero time: since
// ever), oldest first, a line each. It first has journald take in what the unit wrote before it ended; should that
// fail, what is there has to do.
func (r *Reader) Tail(ctx context.Context, unit string, n int, since time.Time) ([]string, error) {
	if n <= 0 {
		return []string{}, nil
	}
	r.sync(ctx)
	s, err := r.Open(ctx, Query{Unit: unit, Lines: n, Since: since})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	lines := []string{}
	for {
		e, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, e.Message)
	}
}

// Follow calls line with each message of a unit since a time, the last n of those
// there first, until ctx ends, whose error it returns, or reading fails. Of other
// runs than invocation nothing is shown; what journald has of no run counts as of
// this one.
func (r *Reader) Follow(ctx context.Context, unit, invocation string, n int, since time.Time, line func(at time.Time, message string)) error {
	s, err := r.Open(ctx, Query{Unit: unit, Lines: n, Since: since, Follow: true})
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		e, err := s.Next(ctx)
		if err != nil {
			return err
		}
		if e.InvocationID == "" || e.InvocationID == invocation {
			line(e.At, e.Message)
		}
	}
}

func (r *Reader) sync(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	_ = r.command(ctx, "--sync").Run() // best effort, see Tail
}

// bounded keeps the first bytes written to it.
type bounded struct {
	mu  sync.Mutex
	buf []byte
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, p[:min(len(p), b.max-len(b.buf))]...)
	return len(p), nil
}

func (b *bounded) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.buf)
}
