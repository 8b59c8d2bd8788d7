package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

// errNeither is the backend's mistake: a request ends in a job or a refusal.
var errNeither = errors.New("the request was neither accepted nor refused")

// maxWait is how long a request may wait for its job.
const maxWait = 10 * time.Minute

// Waiting is the parameter of requests that may wait for their jobs. Like
// OnServer and OnJob it is exported only because huma overlooks embedded structs
// that are not.
type Waiting struct {
	Wait string `query:"wait" example:"30s" doc:"Hold the answer until the job ends, at most so long: a duration like 30s, up to 10m. The job goes on when the time is over or the client leaves."`
}

func (q Waiting) duration() (time.Duration, error) {
	if q.Wait == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(q.Wait)
	if err != nil || d < 0 || d > maxWait {
		return 0, &server.Error{
			Code: server.CodeInvalidRequest, Field: "wait",
			Detail: server.Quote(q.Wait, 40) + " is no time to wait: a duration from 0s to 10m, like 30s",
		}
	}
	return d, nil
}

// jobOutput answers with a job: 202 while it has not ended, 200 when the
// request waited and it has.
type jobOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the job can be read: /v1/jobs/ID."`
	Body     *server.Job
}

// answer waits for a job that was accepted.
func (h *handler) answer(ctx context.Context, job *server.Job, err error, wait time.Duration) (*jobOutput, error) {
	if err == nil && job == nil {
		err = errNeither
	}
	if err != nil {
		return nil, err
	}
	if job, err = h.await(ctx, job, wait); err != nil {
		return nil, err
	}
	out := &jobOutput{Status: http.StatusAccepted, Location: "/v1/jobs/" + strconv.FormatInt(job.ID, 10), Body: job}
	if wait > 0 && job.State.Finished() {
		out.Status = http.StatusOK
	}
	return out, nil
}

// await returns the job when it has ended, or as it is when the time is over,
// the client leaves or the daemon stops.
func (h *handler) await(ctx context.Context, job *server.Job, wait time.Duration) (*server.Job, error) {
	if wait == 0 || job.State.Finished() {
		return job, nil
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(closing(ctx), cancel)()
	now, err := h.backend.WaitJob(ctx, job.ID)
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	if now == nil {
		now = job
	}
	return now, nil
}

type listJobsInput struct {
	Server string `query:"server" doc:"Only this server's, also those of earlier servers of the name."`
	State  string `query:"state" enum:"queued,running,succeeded,failed,canceled" doc:"Only jobs in this state."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" doc:"At most so many. Default 100."`
	Before int64  `query:"before" minimum:"1" doc:"Only ids below, to page on."`
}

type jobsOutput struct {
	Body jobsBody
}

type jobsBody struct {
	Jobs []*server.Job `json:"jobs"`
}

func (h *handler) listJobs(ctx context.Context, in *listJobsInput) (*jobsOutput, error) {
	f := orchestrator.JobFilter{State: server.JobState(in.State), Before: in.Before, Limit: in.Limit}
	if in.Server != "" {
		name, err := server.ParseName(in.Server)
		if err != nil {
			return nil, err
		}
		f.Server = name
	}
	jobs, err := h.backend.Jobs(ctx, f)
	if err != nil {
		return nil, err
	}
	return &jobsOutput{jobsBody{list(jobs)}}, nil
}

// list is an empty list, not null, when there is nothing.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// OnJob is a request about one job.
type OnJob struct {
	ID int64 `path:"id" minimum:"1" doc:"The job's id."`
}

type getJobInput struct {
	OnJob
	Waiting
}

type oneJobOutput struct {
	Body *server.Job
}

func (h *handler) getJob(ctx context.Context, in *getJobInput) (*oneJobOutput, error) {
	wait, err := in.duration()
	if err != nil {
		return nil, err
	}
	job, err := h.backend.Job(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if job, err = h.await(ctx, job, wait); err != nil {
		return nil, err
	}
	return &oneJobOutput{job}, nil
}

func (h *handler) cancelJob(ctx context.Context, in *OnJob) (*oneJobOutput, error) {
	job, err := h.backend.Cancel(ctx, in.ID, callFrom(ctx).who)
	if err != nil {
		return nil, err
	}
	return &oneJobOutput{job}, nil
}

func (h *handler) resync(ctx context.Context, _ *struct{}) (*struct{}, error) {
	return nil, h.backend.Resync(ctx)
}

type healthOutput struct {
	Body orchestrator.Health
}

func (h *handler) health(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	health := h.backend.Health(ctx)
	health.Checks = list(health.Checks)
	return &healthOutput{health}, nil
}
