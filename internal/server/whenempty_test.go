package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestEmptyPolicyMessages(t *testing.T) {
	t.Parallel()
	p := server.DefaultEmptyPolicy()
	type said struct {
		Due  int
		Text string
	}
	got := map[time.Duration]said{}
	for _, left := range []time.Duration{
		6 * time.Hour, 6*time.Hour - time.Second, 5*time.Hour + 58*time.Minute, 10*time.Minute + 1, 10 * time.Minute, 5 * time.Minute, time.Second, 0, -time.Hour,
	} {
		got[left] = said{p.Due(left), p.Message(left)}
	}
	text := func(left string) string {
		return "This server restarts as soon as nobody plays. It waits " + left + " for that."
	}
	want := map[time.Duration]said{
		6 * time.Hour:                {1, text("6 h")},
		6*time.Hour - time.Second:    {1, text("6 h")},
		5*time.Hour + 58*time.Minute: {1, text("5 h 58 min")},
		10*time.Minute + 1:           {1, text("11 min")},
		10 * time.Minute:             {2, text("10 min")},
		5 * time.Minute:              {3, text("5 min")},
		time.Second:                  {4, text("1 min")},
		0:                            {4, text("1 min")},
		-time.Hour:                   {4, text("1 min")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what players are told (-want +got):\n%s", diff)
	}
}

func TestEmptyPolicyCheck(t *testing.T) {
	t.Parallel()
	if err := server.DefaultEmptyPolicy().Check(); err != nil {
		t.Error(err)
	}
	if p := (server.EmptyPolicy{Timeout: time.Minute}); p.Check() != nil {
		t.Error(p.Check())
	}
	for setting, change := range map[string]func(p *server.EmptyPolicy){
		"timeout is 59s":     func(p *server.EmptyPolicy) { p.Timeout = 59 * time.Second },
		"timeout is 168h":    func(p *server.EmptyPolicy) { p.Timeout = 168*time.Hour + 1 },
		"grace is -1ns":      func(p *server.EmptyPolicy) { p.Grace = -1 },
		"grace is 11m":       func(p *server.EmptyPolicy) { p.Grace = 11 * time.Minute },
		"warn has 11 times":  func(p *server.EmptyPolicy) { p.Warn = make([]time.Duration, 11) },
		"warn has 0s":        func(p *server.EmptyPolicy) { p.Warn = []time.Duration{time.Minute, 0} },
		"say is 121 bytes":   func(p *server.EmptyPolicy) { p.Say = strings.Repeat("a", 121) },
		`say is "a""`:        func(p *server.EmptyPolicy) { p.Say = `a"` },
		`say is "a; quit"`:   func(p *server.EmptyPolicy) { p.Say = "a; quit" },
		`say is "a\x0arcon"`: func(p *server.EmptyPolicy) { p.Say = "a\nrcon" },
	} {
		p := server.DefaultEmptyPolicy()
		change(&p)
		if err := p.Check(); err == nil || !strings.HasPrefix(err.Error(), setting) {
			t.Errorf("want %s…, got %v", setting, err)
		}
	}
}

func TestJudgeWait(t *testing.T) {
	t.Parallel()
	for current, want := range map[server.JobKind]server.Verdict{
		"": server.Accept, server.JobBackup: server.Accept, server.JobRestart: server.Join,
		server.JobStart: server.Busy, server.JobStop: server.Busy, server.JobInitialize: server.Busy,
	} {
		if got := server.JudgeWait(server.JobRestart, current); got != want {
			t.Errorf("a restart when empty over %q: %d, want %d", current, got, want)
		}
	}
	if got := server.JudgeWait(server.JobInstall, server.JobCheck); got != server.Accept {
		t.Errorf("an install when empty over a check: %d", got)
	}
	var ends []server.JobKind
	for _, k := range []server.JobKind{
		server.JobStart, server.JobStop, server.JobRestart, server.JobReset, server.JobDelete, server.JobBackup, server.JobRestore, server.JobCheck, server.JobInstall,
	} {
		if k.EndsWait() {
			ends = append(ends, k)
		}
	}
	want := []server.JobKind{server.JobStop, server.JobRestart, server.JobReset, server.JobDelete, server.JobRestore, server.JobInstall}
	if diff := cmp.Diff(want, ends); diff != "" {
		t.Errorf("what takes the place of a wait (-want +got):\n%s", diff)
	}
}
