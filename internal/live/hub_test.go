package live_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/live"
)

func want(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// shown is a State without its times.
type shown struct {
	Event   string                  `json:"event_id"`
	Servers []json.RawMessage       `json:"servers"`
	Samples map[string][][]*float64 `json:"samples"`
	Link    struct{ Up bool }       `json:"link"`
}

func state(t *testing.T, h *live.Hub) shown {
	t.Helper()
	plain, zipped := h.State()
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	again, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(plain, again) {
		t.Errorf("plain and compressed differ: %v", err)
	}
	var s shown
	if err := json.Unmarshal(plain, &s); err != nil {
		t.Fatalf("%v: %s", err, plain)
	}
	return s
}

func list(servers ...string) []json.RawMessage {
	all := []json.RawMessage{}
	for i, s := range servers {
		if s != "" {
			all = append(all, json.RawMessage(raw(i+1, s)))
		}
	}
	return all
}

func TestChangesReachEverybodyWithoutAGap(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a stopped", "b running 5")
	h := d.hub(t, nil)
	before := state(t, h)
	want(t, "at first", shown{Event: "100", Servers: list("a stopped", "b running 5"), Samples: map[string][][]*float64{}, Link: struct{ Up bool }{true}}, before)

	v := newViewer(t, h, before.Event)
	defer v.Close()
	d.set(1, "a starting")
	d.job(`{"id":7}`)
	d.delete(2)
	d.set(3, "c stopped")
	changes := []string{
		"server " + raw(1, "a starting") + " #101", `job {"id":7} #102`, `deleted {"id":2,"name":"b"} #103`, "server " + raw(3, "c stopped") + " #104",
	}
	want(t, "told", append([]string{"link up"}, changes...), v.take(5))
	after := state(t, h)
	want(t, "after", shown{Event: "104", Servers: list("a starting", "", "c stopped"), Samples: map[string][][]*float64{}, Link: struct{ Up bool }{true}}, after)

	for i, id := range []string{"100", "101", "102", "103", "104"} {
		again := newViewer(t, h, id)
		want(t, "resumed after "+id, append([]string{"link up"}, changes[i:]...), again.take(5-i))
		again.Close()
	}
	for _, id := range []string{"99", "105", "0", "x", "-1"} {
		strange := newViewer(t, h, id)
		want(t, "resumed after "+id, []string{"link up", "reset {} #104"}, strange.take(2))
		strange.Close()
	}
	want(t, "streams at the daemon", 1, d.count(&d.streams))
}

func (d *daemon) count(n *int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return *n
}

// What left4med still has after an interruption is told once, in order.
func TestABrokenStreamGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a stopped", "b stopped", "c stopped")
	h := d.hub(t, nil)
	v := newViewer(t, h, "")
	defer v.Close()
	d.kill()
	want(t, "told", []string{"link up", "link down"}, v.take(2))
	if l := h.Link(); l.Up || l.Detail == "" || time.Since(l.Since) > time.Minute {
		t.Errorf("the link is %+v", l)
	}
	want(t, "while it is down", list("a stopped", "b stopped", "c stopped"), state(t, h).Servers)
	d.set(1, "a starting")
	d.job(`{"id":7}`)
	d.set(1, "a running")
	d.delete(2)
	d.start(t)
	got := v.until("link up")
	d.set(3, "c starting")
	got = append(got, v.until("server "+raw(3, "c starting")+" #105")...)
	if len(got) > 0 && got[0] == "link down" { // another reason
		got = got[1:]
	}
	want(t, "told", []string{"server " + raw(1, "a running"), `deleted {"id":2,"name":"b"}`, `job {"id":7}`}, got)
	want(t, "in the end", shown{Event: "105", Servers: list("a running", "", "c starting"), Samples: map[string][][]*float64{}, Link: struct{ Up bool }{true}}, state(t, h))

	again := newViewer(t, h, "100")
	defer again.Close()
	want(t, "who was away too", append([]string{"link up"}, got...), again.take(4))
}

// A daemon that has started anew knows nothing of what was before.
func TestARestartedDaemonIsReadAgain(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a stopped", "b stopped")
	var mu sync.Mutex
	var gone []string
	h := d.hub(t, func(o *live.Options) {
		o.OnDeleted = func(name string) {
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, name)
		}
	})
	v := newViewer(t, h, "")
	defer v.Close()
	d.kill()
	v.until("link down")
	d.change(func() {
		d.quietly(1, "a running")
		d.quietly(2, "")
	})
	d.forget()
	d.start(t)
	v.until("link up")
	v.until("reset {} #1100")
	s := state(t, h)
	want(t, "after", shown{Event: "1100", Servers: list("a running"), Samples: map[string][][]*float64{}, Link: struct{ Up bool }{true}}, s)
	d.set(1, "a stopping")
	want(t, "then", "server "+raw(1, "a stopping")+" #1101", v.next())
	mu.Lock()
	defer mu.Unlock()
	want(t, "told to be gone", []string{"b"}, gone)
}

// What a server takes of the host, or when it was looked at, makes no news.
func TestOnlyWhatDiffersIsTold(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running 5", "b running 5")
	h := d.hub(t, nil)
	v := newViewer(t, h, "")
	defer v.Close()
	d.kill()
	v.until("link down")
	d.change(func() {
		d.quietly(1, "a running 6")
		d.quietly(2, "b failed 6")
		d.next++
	})
	d.start(t)
	got := v.until("link up")
	want(t, "told", "server "+raw(2, "b failed 6"), got[len(got)-1])
	for _, g := range got[:len(got)-1] {
		if g != "link down" {
			t.Errorf("told %s", g)
		}
	}
	want(t, "shown", list("a running 6", "b failed 6"), state(t, h).Servers)
}

func TestBeforeTheFirstListNothingIsKnown(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a stopped")
	h := live.New(live.Options{Client: d.client(t), Pause: time.Millisecond})
	s := state(t, h)
	want(t, "shown", shown{Event: "0", Samples: map[string][][]*float64{}}, s)
	early, late := newViewer(t, h, s.Event), (*viewer)(nil)
	defer early.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	want(t, "told", []string{"link down", "reset {} #100", "link up"}, early.take(3))
	late = newViewer(t, h, s.Event)
	defer late.Close()
	want(t, "told later", []string{"link up", "reset {} #100"}, late.take(2))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhoIsTooSlowIsToldToReadAgain(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a stopped")
	h := d.hub(t, func(o *live.Options) { o.Ring = 4 })
	slow, quick := newViewer(t, h, ""), newViewer(t, h, "")
	defer slow.Close()
	defer quick.Close()
	for i := range 5 {
		d.job(fmt.Sprintf(`{"id":%d}`, i))
		quick.until(fmt.Sprintf(`job {"id":%d} #%d`, i, 101+i))
	}
	want(t, "the slow one", []string{"link up", "link up", "reset {} #105"}, slow.take(3))
	d.job(`{"id":5}`)
	want(t, "and then", `job {"id":5} #106`, slow.next())
	behind := newViewer(t, h, "101")
	defer behind.Close()
	want(t, "who comes too late", []string{"link up", "reset {} #106"}, behind.take(2))
}

func TestRecheckWakesEverybodyOnce(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a stopped")
	h := d.hub(t, nil)
	v, w := newViewer(t, h, ""), newViewer(t, h, "")
	defer w.Close()
	want(t, "viewers", 2, h.Viewers())
	v.take(1)
	w.take(1)
	h.Recheck()
	want(t, "one", "nudge", v.next())
	want(t, "the other", "nudge", w.next())
	d.job(`{}`)
	want(t, "then", "job {} #101", v.next())
	v.Close()
	v.Close()
	want(t, "viewers", 1, h.Viewers())
	if _, err := v.Next(t.Context()); err == nil {
		t.Error("a closed subscription goes on")
	}
}

// A daemon that an operator stopped is left alone for the pause.
func TestTheHubWaitsBeforeItConnectsAgain(t *testing.T) {
	t.Parallel()
	const pause = 200 * time.Millisecond
	d := newDaemon(t, "a stopped")
	h := d.hub(t, func(o *live.Options) { o.Pause, o.ResourcesEvery = pause, time.Millisecond })
	v := newViewer(t, h, "")
	defer v.Close()
	v.next()
	began := time.Now()
	d.kill()
	v.until("link down")
	if took := time.Since(began); took >= pause {
		t.Errorf("the link was shown to be down after %v", took)
	}
	d.start(t)
	asked := d.count(&d.listed)
	v.until("link up")
	if took := time.Since(began); took < pause {
		t.Errorf("connected again after %v", took)
	}
	if n := d.count(&d.listed) - asked; n < 1 || n > 2 { // and a sample, once it is up
		t.Errorf("the daemon was asked %d times", n)
	}
}

func TestAThousandBrowsersAreOneStream(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a stopped")
	h := d.hub(t, nil)
	const n = 1000
	var all sync.WaitGroup
	var ready sync.WaitGroup
	ready.Add(n)
	got := make([]string, n)
	for i := range n {
		v := newViewer(t, h, "")
		all.Go(func() {
			defer v.Close()
			v.next()
			ready.Done()
			got[i] = v.next()
		})
	}
	ready.Wait()
	d.set(1, "a starting")
	all.Wait()
	for i, g := range got {
		if g != "server "+raw(1, "a starting")+" #101" {
			t.Fatalf("browser %d got %q", i, g)
		}
	}
	want(t, "streams at the daemon", 1, d.count(&d.streams))
	want(t, "viewers", 0, h.Viewers())
}

func TestSamplesAreTakenWhileSomebodyWatches(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running 5", "b stopped")
	h := d.hub(t, func(o *live.Options) { o.ResourcesEvery = time.Millisecond })
	v := newViewer(t, h, "")
	defer v.Close()
	for { // the look of the hub's own first viewer may have come first
		if got := v.next(); strings.HasPrefix(got, "samples ") && strings.HasSuffix(got, `,"servers":{"1":[5,12.3]}}`) {
			break
		} else if got != "link up" {
			t.Fatalf("told %q", got)
		}
	}
	for len(state(t, h).Samples["1"]) < 60 {
		v.next()
	}
	for range 5 {
		v.next()
	}
	samples := state(t, h).Samples
	want(t, "kept", 60, len(samples["1"]))
	memory, cpu := 5.0, 12.3
	want(t, "the newest", []*float64{&memory, &cpu}, samples["1"][59][1:])
	if len(samples) != 1 {
		t.Errorf("there are samples of %d servers", len(samples))
	}
	d.set(1, "a stopped")
	for !strings.HasSuffix(v.next(), `"servers":{"1":[null,null]}}`) {
	}
}

// An older list must not overwrite what events have told since.
func TestSamplesChangeNothingElse(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a running 5", "b running 7")
	h := d.hub(t, nil)
	made, answer := make(chan struct{}), make(chan struct{})
	d.change(func() {
		d.onList = func() {
			made <- struct{}{}
			<-answer
		}
	})
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		h.SampleOnce(t.Context())
	}()
	<-made
	v := newViewer(t, h, "")
	defer v.Close()
	d.set(1, "a failed")
	d.delete(2)
	d.set(3, "c running 9")
	v.until("server " + raw(3, "c running 9") + " #103")
	close(answer)
	<-sampled
	got := v.next()
	if !strings.HasSuffix(got, `"servers":{"1":[5,12.3]}}`) {
		t.Errorf("told %q", got)
	}
	s := state(t, h)
	want(t, "shown", list("a failed", "", "c running 9"), s.Servers)
	want(t, "events", "103", s.Event)
}

// One that the hub cannot read must not be met again and again.
func TestAnEventThatNobodyUnderstandsIsPassed(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a stopped")
	h := d.hub(t, nil)
	v := newViewer(t, h, "")
	defer v.Close()
	d.change(func() { d.happen("server", `{"id":"what"}`) })
	v.until("link down")
	v.until("reset {} #101")
	v.until("link up")
	d.job(`{}`)
	want(t, "then", "job {} #102", v.next())
}

func TestManyWhoAskAtOnceShareOneState(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "a stopped")
	h := d.hub(t, nil)
	first, _ := h.State()
	for range 10 {
		if again, _ := h.State(); &again[0] != &first[0] {
			t.Error("a State was made again that had not changed")
		}
	}
}

// BenchmarkFanOut measures from an event at the hub to the last of 1,000 browsers.
func BenchmarkFanOut(b *testing.B) {
	d := newDaemon(b, "a stopped")
	h := d.hub(b, nil)
	const n = 1000
	got := make(chan struct{}, n)
	for range n {
		s := h.Subscribe("")
		defer s.Close()
		go func() {
			for {
				if _, err := s.Next(b.Context()); err != nil {
					return
				}
				got <- struct{}{}
			}
		}()
		<-got // the link
	}
	data := []byte(raw(1, "a running 5"))
	b.ReportAllocs()
	for id := uint64(1000); b.Loop(); id++ {
		h.Event(id, 1, "a", data)
		for range n {
			<-got
		}
	}
}

// BenchmarkState measures what a change costs the next browser: 1,000 servers, with
// all their samples.
func BenchmarkState(b *testing.B) {
	d := newDaemon(b)
	for i := range 1000 {
		d.quietly(i+1, fmt.Sprintf("server-%d running 123456789", i))
	}
	h := d.hub(b, nil)
	for range 60 {
		h.SampleOnce(b.Context())
	}
	for id := uint64(1000); b.Loop(); id++ {
		h.Event(id, 1, "server-0", []byte(raw(1, "server-0 running 5")))
		plain, zipped := h.State()
		b.ReportMetric(float64(len(plain)), "plain-B")
		b.ReportMetric(float64(len(zipped)), "gzipped-B")
	}
}
