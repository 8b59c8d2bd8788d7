package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// What is measured, and what it may be.
const (
	manyServers = 500
	manyKills   = 9
	manyStreams = 1000
	ofOneUser   = 60 // one user may have 64

	loadLimit = 150 * 1000 // bytes of the page's files
	rssLimit  = 200 << 20  // of left4med-web with all streams
)

const (
	figuresUser     = "alice"
	figuresPassword = "no-mercy-4-players"
	figuresServer   = "measured"
)

// figures is what was measured, in order.
type figures struct {
	mu    sync.Mutex
	names []string
	value map[string]float64
}

func (f *figures) add(name string, value float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.value == nil {
		f.value = map[string]float64{}
	}
	f.names = append(f.names, name)
	f.value[name] = value
}

// BenchmarkFigures measures the page and left4med-web: how fast, how much, how many.
// It is one run, however often it is asked for.
func BenchmarkFigures(t *testing.B) {
	for _, release := range machine.Releases() {
		t.Run(string(release), func(t *testing.B) { measure(t, release) })
	}
}

func measure(t *testing.B, release machine.Release) {
	b := newBench(t, release)
	b.configure(t, "[start]\nsettle = \"0s\"\n")
	b.addUser(t, figuresUser, "admin")
	b.timed(t, "the servers were made", b.populate)
	var f figures
	t.Cleanup(func() {
		for _, name := range f.names {
			t.Logf("%-55s %12.1f", name, f.value[name])
		}
	})
	t.ReportMetric(0, "ns/op") // the figures are those that are logged

	hands := b.hands()
	hands["figure"] = func(_ context.Context, args []string) (string, error) {
		value, err := strconv.ParseFloat(args[1], 64)
		f.add(args[0], value)
		return "", err
	}
	hands["kill"] = b.kill
	b.drive(t, 4*time.Minute, "figures.mjs", hands,
		"FIGURES_USER="+figuresUser, "FIGURES_PASSWORD="+figuresPassword, "FIGURES_SERVER="+figuresServer,
		fmt.Sprintf("FIGURES_SERVERS=%d", manyServers), fmt.Sprintf("FIGURES_KILLS=%d", manyKills))
	b.timed(t, "the streams were measured", func(t testing.TB) { b.crowd(t, &f) })

	for name, limit := range map[string]float64{
		"first load, bytes": loadLimit,
		rssFigure:           rssLimit,
	} {
		if got, measured := f.value[name]; !measured || got > limit {
			t.Errorf("%s: %.1f (measured: %v), want at most %.1f", name, got, measured, limit)
		}
	}
	if got := f.value[streamsFigure]; got != 1 {
		t.Errorf("%s: %v, want 1", streamsFigure, got)
	}
}

// timed says how long a part of the test took.
func (b *bench) timed(t testing.TB, what string, part func(testing.TB)) {
	t.Helper()
	begun := time.Now()
	part(t)
	t.Logf("%s in %.1f s", what, time.Since(begun).Seconds())
}

// addUser adds a user of the page, whose password is all users'.
func (b *bench) addUser(t testing.TB, name, role string) {
	t.Helper()
	cmd := b.Command(t.Context(), "left4med-web", "user", "add", name, "--role", role)
	cmd.Stdin = strings.NewReader(figuresPassword + "\n")
	if _, err := machine.Output(cmd); err != nil {
		t.Fatal(err)
	}
}

// populate makes the servers, of which one runs and comes back at once when killed.
func (b *bench) populate(t testing.TB) {
	t.Helper()
	c := b.Client()
	defer c.Close()
	var making errgroup.Group
	making.SetLimit(48)
	for i := range manyServers {
		name := fmt.Sprintf("row-%03d", i)
		if i == 0 {
			name = figuresServer
		}
		port := uint16(27000 + i)
		making.Go(func() error {
			job, err := c.Create(t.Context(), name, client.ConfigPatch{Port: &port})
			if err == nil {
				_, err = c.WaitJob(t.Context(), job.ID)
			}
			return err
		})
	}
	if err := making.Wait(); err != nil {
		t.Fatal(err)
	}
	unit := "/etc/systemd/system/left4me-server@" + figuresServer + ".service.d/test.conf"
	if err := b.WriteFile(t.Context(), unit, []byte("[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=200ms\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.MustRun(t, "systemctl", "daemon-reload")
	b.MustCtl(t, "start", figuresServer)
}

// kill kills a server's game, and says when it did and when a listener at left4med's
// socket had heard of it, in milliseconds since 1970.
func (b *bench) kill(ctx context.Context, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c := b.Client()
	defer c.Close()
	before, err := host.Await(ctx, c, args[0], host.InState(client.StateRunning))
	if err != nil {
		return "", err
	}
	snap, err := c.Servers(ctx)
	if err != nil {
		return "", err
	}
	type hearing struct {
		at  time.Time
		err error
	}
	heard := make(chan hearing, 1)
	listening := make(chan struct{})
	stands := func(context.Context) error {
		close(listening)
		return nil
	}
	go func() {
		for ev, err := range c.Events(ctx, client.EventsOptions{After: snap.EventID, Stands: stands}) {
			if err != nil {
				heard <- hearing{err: err}
				return
			}
			if ev.Server != nil && string(ev.Server.Name) == args[0] && ev.Server.State != client.StateRunning {
				heard <- hearing{at: time.Now()}
				return
			}
		}
	}()
	<-listening
	out, err := b.Output(ctx, "sh", "-euc", fmt.Sprintf("date +%%s%%N; kill -KILL %d", before.MainPID))
	if err != nil {
		return "", err
	}
	killed, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	if err != nil {
		return "", err
	}
	h := <-heard
	if h.err != nil {
		return "", h.err
	}
	text, err := json.Marshal(map[string]float64{"killed": float64(killed) / 1e6, "heard": float64(h.at.UnixNano()) / 1e6})
	return string(text), err
}

const (
	streamsFigure = "streams at left4med for all of them"
	rssFigure     = "left4med-web's memory with them, bytes"
)

// crowd opens many streams of events, and looks what that costs.
func (b *bench) crowd(t testing.TB, f *figures) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	idle := b.rss(t)
	var opening errgroup.Group
	opening.SetLimit(8)
	for first := 0; first < manyStreams; first += ofOneUser {
		name := fmt.Sprintf("viewer-%d", first/ofOneUser)
		b.addUser(t, name, "viewer")
		one, err := b.signedIn(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(one.CloseIdleConnections)
		for range min(ofOneUser, manyStreams-first) {
			opening.Go(func() error {
				body, err := b.stream(ctx, one)
				if err != nil {
					return err
				}
				readers.Go(func() {
					defer body.Close()
					_, _ = io.Copy(io.Discard, body) // until ctx ends
				})
				return nil
			})
		}
	}
	if err := opening.Wait(); err != nil {
		t.Fatal(err)
	}
	f.add("left4med-web's memory without streams, bytes", idle)
	f.add(rssFigure, b.rss(t))
	f.add(streamsFigure, b.streams(t))
}

// rss is the resident memory of left4med-web.
func (b *bench) rss(t testing.TB) float64 {
	t.Helper()
	out := b.MustRun(t, "sh", "-euc", `awk '$1 == "VmRSS:" {print $2}' "/proc/$(systemctl show --property=MainPID --value left4med-web.service)/status"`)
	kib, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib * 1024
}

// streams is how many streams of events are open at left4med, by its own count.
func (b *bench) streams(t testing.TB) float64 {
	t.Helper()
	c := b.Client()
	defer c.Close()
	resp, err := c.Do(t.Context(), http.MethodGet, "/metrics", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "left4med_event_streams "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the metrics do not tell how many streams are open")
	return 0
}

// signedIn is an HTTP client of a user's.
func (b *bench) signedIn(ctx context.Context, user string) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	c := &http.Client{Jar: jar, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return b.Dial(ctx, network, address)
		},
	}}
	body := fmt.Sprintf(`{"user":%q,"password":%q}`, user, figuresPassword)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+pageAddress+"/api/session", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return nil, fmt.Errorf("%s cannot sign in: %s: %s", user, resp.Status, text)
	}
	return c, nil
}

// stream opens a stream of events, and returns once its first has come.
func (b *bench) stream(ctx context.Context, c *http.Client) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pageAddress+"/api/events", nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil || resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("cannot open a stream: %s, %w", resp.Status, err)
	}
	return resp.Body, nil
}
