package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

// eventID is the header that says where to start watching without a gap.
const eventID = "Event-Id"

// listServers writes the JSON that each server keeps ready, one after the
// other. It encodes nothing.
func (h *handler) listServers(w http.ResponseWriter, r *http.Request, c call) {
	const opening, end = `{"servers":[`, "]}\n"
	inspect := h.canInspect(r.Context(), c, "list")
	snapshot := h.backend.List()
	size := len(opening) + len(end) + max(0, len(snapshot.Servers)-1)
	for _, e := range snapshot.Servers {
		size += len(e.JSON(inspect))
	}
	jsonHeader(w, snapshot.EventID, size)

	chunk := h.chunks.Get().(*[]byte)
	defer h.chunks.Put(chunk)
	b := append((*chunk)[:0], opening...)
	for i, e := range snapshot.Servers {
		if i > 0 {
			b = append(b, ',')
		}
		if b = append(b, e.JSON(inspect)...); len(b) >= chunkSize {
			if _, err := w.Write(b); err != nil {
				return
			}
			b = b[:0]
		}
	}
	b = append(b, end...)
	*chunk = b
	w.Write(b)
}

// chunkSize is how much of a list is written at once, in bytes: about what a
// socket holds, so that each write costs the two sides one change of turns, and
// little enough to stay in the processor's cache.
const chunkSize = 256 << 10

func (h *handler) getServer(w http.ResponseWriter, r *http.Request, c call) {
	entry, event, err := h.backend.Get(c.server)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	body := entry.JSON(h.canInspect(r.Context(), c, "show"))
	jsonHeader(w, event, len(body))
	w.Write(body)
}

// jsonHeader sets the headers of the answers that are read most.
func jsonHeader(w http.ResponseWriter, event uint64, size int) {
	values := []string{plainJSON, strconv.Itoa(size), strconv.FormatUint(event, 10)} // one allocation for all
	header := w.Header()
	header["Content-Type"] = values[0:1:1]
	header["Content-Length"] = values[1:2:2]
	header[eventID] = values[2:3:3]
}

func (h *handler) openapi(w http.ResponseWriter, _ *http.Request, _ call) {
	header := w.Header()
	header.Set("Content-Type", plainJSON)
	header.Set("Content-Length", strconv.Itoa(len(h.spec)))
	w.Write(h.spec)
}

// OnServer is a request about one server. The guard has checked the name.
type OnServer struct {
	Name string `path:"name" pattern:"^[a-z0-9][a-z0-9_-]{0,23}$" doc:"The server's name."`
}

type createInput struct {
	Waiting
	Body createBody
}

type createBody struct {
	Name   server.Name        `json:"name" doc:"1 to 24 characters: lower-case letters, digits, '_' and '-'; the first a letter or a digit."`
	Config server.ConfigPatch `json:"config,omitempty" doc:"What is left out has its default."`
}

func (h *handler) createServer(ctx context.Context, in *createInput) (*jobOutput, error) {
	wait, err := in.duration()
	if err != nil {
		return nil, err
	}
	name, err := server.ParseName(string(in.Body.Name))
	if err != nil {
		return nil, err
	}
	job, err := h.backend.Create(ctx, name, in.Body.Config, callFrom(ctx).who)
	return h.answer(ctx, job, err, wait)
}

type changeInput struct {
	OnServer
	Body changeBody
}

type changeBody struct {
	Config server.ConfigPatch `json:"config" doc:"The settings to change."`
}

type serverOutput struct {
	Body *server.Server
}

func (h *handler) changeServer(ctx context.Context, in *changeInput) (*serverOutput, error) {
	c := callFrom(ctx)
	entry, err := h.backend.Change(ctx, c.server, in.Body.Config, c.who)
	if err != nil {
		return nil, err
	}
	if !h.canInspect(ctx, *c, "show") {
		return &serverOutput{entry.Public()}, nil
	}
	return &serverOutput{&entry.Server}, nil
}

type verbInput struct {
	OnServer
	Waiting
}

// verb serves the routes that ask for one job for one server.
func (h *handler) verb(kind server.JobKind) func(context.Context, *verbInput) (*jobOutput, error) {
	return func(ctx context.Context, in *verbInput) (*jobOutput, error) {
		wait, err := in.duration()
		if err != nil {
			return nil, err
		}
		c := callFrom(ctx)
		jobs, refused, err := h.backend.Request(ctx, kind, []server.Name{c.server}, c.who)
		return h.answerOne(ctx, jobs, refused, err, wait)
	}
}

// answerOne answers a request for one job for one server.
func (h *handler) answerOne(ctx context.Context, jobs []*server.Job, refused []orchestrator.Refusal, err error, wait time.Duration) (*jobOutput, error) {
	switch {
	case err != nil:
		return nil, err
	case len(refused) > 0:
		return nil, refused[0].Err
	case len(jobs) == 0:
		return nil, errNeither
	}
	return h.answer(ctx, jobs[0], nil, wait)
}

type restartInput struct {
	OnServer
	Waiting
	When server.When `query:"when" enum:"empty" doc:"empty: wait until nobody plays; the job fails with not-empty when that takes too long."`
}

func (h *handler) restart(ctx context.Context, in *restartInput) (*jobOutput, error) {
	wait, err := in.duration()
	if err != nil {
		return nil, err
	}
	c := callFrom(ctx)
	jobs, refused, err := h.request(ctx, server.JobRestart, in.When, []server.Name{c.server}, c.who)
	return h.answerOne(ctx, jobs, refused, err, wait)
}

// request asks for jobs that begin at once, or for restarts that begin when nobody
// plays.
func (h *handler) request(ctx context.Context, kind server.JobKind, when server.When, names []server.Name, who server.Requester) ([]*server.Job, []orchestrator.Refusal, error) {
	if when == server.WhenEmpty {
		return h.backend.RestartWhenEmpty(ctx, names, who)
	}
	return h.backend.Request(ctx, kind, names, who)
}
