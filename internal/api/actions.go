package api

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

type actInput struct {
	Waiting
	Body actBody
}

type actBody struct {
	Action  string   `json:"action" enum:"start,stop,restart"`
	Servers []string `json:"servers" minItems:"1" maxItems:"10000" nullable:"false" doc:"Names; one that stands there twice counts once."`

	When server.When `json:"when,omitempty" enum:"empty" doc:"Of a restart; empty: each waits until nobody plays on its server."`
}

type actOutput struct {
	Status int
	Body   actAnswer
}

type actAnswer struct {
	Jobs    []*server.Job `json:"jobs" doc:"In the order of the names."`
	Refused []refusal     `json:"refused" doc:"The servers that were left out, and why."`
}

type refusal struct {
	Server string      `json:"server" doc:"As it was named; cut and escaped when it is no name."`
	Code   server.Code `json:"code"`
	Detail string      `json:"detail"`
	Job    int64       `json:"job,omitempty" doc:"The job in the way, for busy."`
}

// act serves requests over many servers. One that is refused never fails the
// others; only when the client may act on none of them, the request as a whole
// is refused.
func (h *handler) act(ctx context.Context, in *actInput) (*actOutput, error) {
	wait, err := in.duration()
	if err != nil {
		return nil, err
	}
	if in.Body.When != "" && in.Body.Action != string(server.JobRestart) {
		return nil, &server.Error{Code: server.CodeInvalidRequest, Field: "when",
			Detail: "only a restart waits until nobody plays; leave out when, or ask for restart"}
	}
	names, refused, err := h.permitted(ctx, in.Body.Action, in.Body.Servers)
	if err != nil {
		return nil, err
	}
	var jobs []*server.Job
	if len(names) > 0 {
		var more []orchestrator.Refusal
		jobs, more, err = h.request(ctx, server.JobKind(in.Body.Action), in.Body.When, names, callFrom(ctx).who)
		if err != nil {
			return nil, err
		}
		for _, r := range more {
			refused = append(refused, h.refused(ctx, r.Server, r.Err))
		}
	}
	out := &actOutput{Status: http.StatusAccepted, Body: actAnswer{Jobs: list(jobs), Refused: list(refused)}}
	ended, err := h.awaitAll(ctx, out.Body.Jobs, wait)
	if err != nil {
		return nil, err
	}
	if ended {
		out.Status = http.StatusOK
	}
	return out, nil
}

// permitted sorts the names into those the client may act on and the others.
func (h *handler) permitted(ctx context.Context, verb string, given []string) ([]server.Name, []refusal, error) {
	seen := make(map[string]bool, len(given))
	var names, allowed []server.Name
	var refused []refusal
	for _, s := range given {
		if seen[s] {
			continue
		}
		seen[s] = true
		name, err := server.ParseName(s)
		if err != nil {
			refused = append(refused, h.refused(ctx, s, err))
			continue
		}
		names = append(names, name)
	}
	others := len(refused) > 0 // refused for another reason
	var denied error           // the last one
	for i, err := range h.checkEach(ctx, verb, names) {
		if err == nil {
			allowed = append(allowed, names[i])
			continue
		}
		refused, denied = append(refused, h.refused(ctx, string(names[i]), err)), err
	}
	if len(allowed) == 0 && !others {
		return nil, nil, denied
	}
	return allowed, refused, nil
}

// checksAtOnce is how many servers of one request are asked about side by side:
// each question takes polkit some 1.5 ms.
const checksAtOnce = 8

// checkEach asks for each server whether the client may act on it. A person is
// asked for a password one at a time, and not again after a no.
func (h *handler) checkEach(ctx context.Context, verb string, names []server.Name) []error {
	c := *callFrom(ctx)
	errs := make([]error, len(names))
	if c.interactive {
		for i, name := range names {
			errs[i] = h.gate.Check(ctx, c.asksFor(authz.Control, verb, string(name)))
			c.interactive = c.interactive && errs[i] == nil
		}
		return errs
	}
	var g errgroup.Group
	g.SetLimit(checksAtOnce)
	for i, name := range names {
		g.Go(func() error {
			errs[i] = h.gate.Check(ctx, c.asksFor(authz.Control, verb, string(name)))
			return nil
		})
	}
	_ = g.Wait() // each has its own error
	return errs
}

func (h *handler) refused(ctx context.Context, name string, err error) refusal {
	p := h.problem(ctx, err)
	return refusal{Server: shown(name, 60), Code: p.Code, Detail: p.Detail, Job: p.Job}
}

// awaitAll waits for all jobs in place and says whether all have ended. The
// jobs run side by side, so waiting for one after the other takes as long as
// the slowest of them.
func (h *handler) awaitAll(ctx context.Context, jobs []*server.Job, wait time.Duration) (ended bool, err error) {
	if wait == 0 {
		return false, nil
	}
	deadline := time.Now().Add(wait)
	ended = true
	for i, job := range jobs {
		left := time.Until(deadline)
		if left <= 0 || ctx.Err() != nil {
			left = time.Nanosecond // only look
		}
		if jobs[i], err = h.await(ctx, job, left); err != nil {
			return false, err
		}
		ended = ended && jobs[i].State.Finished()
	}
	return ended, nil
}
