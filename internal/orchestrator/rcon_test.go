package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
)

// TestRCON sends a command with the stored password, has it on record without
// secrets, and takes them out of what was printed.
func TestRCON(t *testing.T) {
	t.Parallel()
	o, log := deskBench(t)
	var sent probe.Command
	p := &fakeProbe{rcon: func(_ context.Context, c probe.Command) (*probe.Output, error) {
		sent = c
		return &probe.Output{Output: "the password is " + c.Password + "\nprinted\n"}, nil
	}}
	r := instanceOf(t, o, p)
	kim := server.Requester{UID: 1000, User: "kim", Via: server.ViaHTTP}
	password, err := o.Files.Secret("a", server.SecretRCON)
	if err != nil {
		t.Fatal(err)
	}

	command := "say hi; sv_password hunter2; echo " + password.Reveal()
	out, err := o.RCON(t.Context(), "a", command, kim)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&server.Output{Output: "the password is [secret]\nprinted\n"}, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := probe.Command{
		Target:   probe.Target{Port: r.row.Config.Port, Cgroup: 7},
		Password: password.Reveal(), Command: command, TimeoutMS: 5000,
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	entries, err := o.History(t.Context(), server.HistoryFilter{Limit: 1})
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	entry := entries[0]
	entry.ID, entry.At = 0, time.Time{}
	if diff := cmp.Diff(server.HistoryEntry{
		Server: "a", ServerID: 1, Kind: server.HistoryChange, What: "rcon", By: &kim, Detail: "say hi; sv_password [secret]; echo [secret]",
	}, entry); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
	all, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	log.mu.Lock()
	logged := log.buf.String()
	log.mu.Unlock()
	for _, secret := range []string{password.Reveal(), "hunter2", "printed"} {
		if strings.Contains(logged, secret) || strings.Contains(string(all), secret) {
			t.Errorf("%q is in the log or the history", secret)
		}
	}

	if err := o.say(t.Context(), r, "bye\"; quit"); err != nil || sent.Command != "say bye quit" {
		t.Errorf("said as %q: %v", sent.Command, err)
	}
}

// TestRCONThatFails: what a client is told, and what has not been asked.
func TestRCONThatFails(t *testing.T) {
	t.Parallel()
	o, _ := deskBench(t)
	var fault probe.FaultCode
	asked := 0
	p := &fakeProbe{rcon: func(context.Context, probe.Command) (*probe.Output, error) {
		asked++
		return nil, &probe.Fault{Code: fault, Detail: "because"}
	}}
	r := instanceOf(t, o, p)
	codeOf := func(name server.Name, command string) server.Code {
		t.Helper()
		_, err := o.RCON(t.Context(), name, command, server.Requester{})
		var e *server.Error
		if !errors.As(err, &e) {
			t.Fatalf("%v", err)
		}
		return e.Code
	}
	got, want := map[probe.FaultCode]server.Code{}, map[probe.FaultCode]server.Code{
		probe.FaultSilent: server.CodeGameUnreachable, probe.FaultRefused: server.CodeGameUnreachable,
		probe.FaultMalformed: server.CodeGameUnreachable, probe.FaultNetwork: server.CodeGameUnreachable,
		probe.FaultStranger: server.CodeGameStranger, probe.FaultPassword: server.CodeRCONRefused, probe.FaultBanned: server.CodeRCONRefused,
		probe.FaultGone: server.CodeProbeUnavailable, probe.FaultNonsense: server.CodeProbeUnavailable, probe.FaultBusy: server.CodeProbeUnavailable,
		probe.FaultInvalid: server.CodeInternal,
	}
	for fault = range want {
		got[fault] = codeOf("a", "status")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// They were sent, which is on record, and refused by the game at most.
	o.FlushRefusals(t.Context())
	entries, err := o.History(t.Context(), server.HistoryFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[server.HistoryKind]int{}
	for _, e := range entries {
		kinds[e.Kind]++
	}
	if diff := cmp.Diff(map[server.HistoryKind]int{server.HistoryChange: len(want), server.HistoryJob: 2}, kinds); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}

	before := asked
	if code := codeOf("a", "a\nb"); code != server.CodeInvalidRequest {
		t.Errorf("two lines: %s", code)
	}
	if code := codeOf("b", "status"); code != server.CodeServerNotFound {
		t.Errorf("no such server: %s", code)
	}
	o.mu.Lock()
	o.apply(r, unloaded(r.unit), time.Now(), server.BySignal)
	o.mu.Unlock()
	if code := codeOf("a", "status"); code != server.CodeNotRunning {
		t.Errorf("stopped: %s", code)
	}
	if _, err := o.Players(t.Context(), "a"); !errors.Is(err, &server.Error{Code: server.CodeNotRunning}) {
		t.Errorf("players of a stopped one: %v", err)
	}
	o.Settings.JobsEnabled = false
	if code := codeOf("a", "status"); code != server.CodeJobsDisabled {
		t.Errorf("jobs are switched off: %s", code)
	}
	if asked != before {
		t.Error("a game was asked that should not have been")
	}
}

// TestOneCommandAtATime: the second waits for the first, and goes with its client.
func TestOneCommandAtATime(t *testing.T) {
	t.Parallel()
	o, _ := deskBench(t)
	began, leave := make(chan struct{}, 2), make(chan struct{})
	p := &fakeProbe{rcon: func(context.Context, probe.Command) (*probe.Output, error) {
		began <- struct{}{}
		<-leave
		return &probe.Output{}, nil
	}}
	instanceOf(t, o, p)
	first := make(chan error, 1)
	go func() {
		_, err := o.RCON(t.Context(), "a", "first", server.Requester{})
		first <- err
	}()
	<-began
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := o.RCON(impatient, "a", "second", server.Requester{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second: %v", err)
	}
	close(leave)
	if err := <-first; err != nil || len(began) > 0 {
		t.Errorf("the first: %v; %d more were sent", err, len(began))
	}
}
