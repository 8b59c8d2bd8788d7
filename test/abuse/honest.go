package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/left4med/left4med/test/bus"
)

// waits are how long answers took, in ms.
type waits struct {
	mu sync.Mutex
	of map[string][]float64
}

// every is how often an honest client asks for one thing.
const every = 20 * time.Millisecond

// breath is how long a person needs between two requests: systemd may still
// reload because of the one before.
const breath = 300 * time.Millisecond

const (
	enough   = 10          // answers of a kind
	patience = time.Minute // polkit may hang for 15 s, see hung
)

// honest asks for what an honest user asks for, until standard input ends. The
// first thing that goes wrong ends it.
func honest(server string) (map[string][]float64, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := untilStdinEnds()
	go func() {
		<-ended
		cancel(nil)
	}()
	conn, err := bus.Dial(busSocket)
	if err != nil {
		return nil, err
	}
	w := &waits{of: map[string][]float64{}}
	jobs := map[string]func() error{
		"GET /v1/servers": func() error { return ask("GET", "/v1/servers", nil) },
		"D-Bus Get":       func() error { return get(conn) },
	}
	if server != "" {
		jobs["POST /v1/resync"] = func() error { return ask("POST", "/v1/resync", nil) }
	}
	var all sync.WaitGroup
	loop := func(do func() error) {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := do(); err != nil {
					cancel(err)
				}
				time.Sleep(every)
			}
		})
	}
	for what, do := range jobs {
		loop(func() error { return w.time(what, do) })
	}
	kinds := len(jobs)
	if server != "" {
		loop(func() error { return upAndDown(w, server) })
		kinds++
	}
	fmt.Println("asking")
	tellWhenEnough(ctx, w, kinds)
	<-ctx.Done()
	all.Wait()
	if err := context.Cause(ctx); err != context.Canceled {
		return nil, err
	}
	return w.of, nil
}

// tellWhenEnough prints a second line when each kind of question was answered
// often enough for a median, at the latest after patience.
func tellWhenEnough(ctx context.Context, w *waits, kinds int) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(every)
	defer look.Stop()
	for ctx.Err() == nil && w.often() < kinds {
		select {
		case <-ctx.Done():
		case <-look.C:
		}
	}
	fmt.Println("enough")
}

// often is of how many kinds there are enough answers.
func (w *waits) often() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, of := range w.of {
		if len(of) >= enough {
			n++
		}
	}
	return n
}

func (w *waits) time(what string, do func() error) error {
	began := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	took := float64(time.Since(began).Microseconds()) / 1000
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of[what] = append(w.of[what], took)
	return nil
}

// upAndDown starts a server and stops it, and waits for both; timed is how long
// it takes until the job is accepted.
func upAndDown(w *waits, server string) error {
	for _, verb := range []string{"start", "stop"} {
		time.Sleep(breath)
		var job struct{ ID int64 }
		err := w.time("POST start, stop", func() error { return ask("POST", "/v1/servers/"+server+"/"+verb, &job) })
		var end struct{ State string }
		if err == nil {
			err = ask("GET", fmt.Sprintf("/v1/jobs/%d?wait=60s", job.ID), &end)
		}
		if err != nil || end.State != "succeeded" {
			return fmt.Errorf("the %s of %s: %q, %w", verb, server, end.State, err)
		}
	}
	return nil
}

var plain = http.Client{Timeout: time.Minute, Transport: &http.Transport{
	DisableKeepAlives: true, // each request is let in anew
	DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", httpSocket)
	},
}}

// hung is what a refusal says when polkit let the question lie. polkit 122 now and
// then does so for 15 s ("Terminating runaway script" in its log): the wake-up of
// its own rules is lost, whoever asks.
const hung = "polkit did not answer"

// ask asks, and again after polkit hung: that time counts, too.
func ask(method, path string, into any) (err error) {
	for range 5 {
		if err = askOnce(method, path, into); err == nil || !strings.Contains(err.Error(), hung) {
			return err
		}
	}
	return err
}

func askOnce(method, path string, into any) error {
	req, err := http.NewRequest(method, "http://left4med"+path, nil)
	if err != nil {
		return err
	}
	res, err := plain.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		return fmt.Errorf("%d %s: %w", res.StatusCode, body, err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func get(conn *bus.Raw) error {
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	answer, err := conn.Call(&bus.Message{
		Destination: left4med, Path: rootPath, Interface: "org.freedesktop.DBus.Properties", Member: "Get",
		Sign: "ss", Body: bus.Texts(left4med+".Manager", "ServerCount"),
	})
	if err == nil && answer.Type != bus.Reply {
		err = fmt.Errorf("%s: %s", answer.ErrorName, answer.Body)
	}
	return err
}
