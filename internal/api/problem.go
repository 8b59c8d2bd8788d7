package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/left4med/left4med/internal/server"
)

// Problem is an error as a client sees it (RFC 9457).
type Problem struct {
	Type   string       `json:"type" doc:"A name for this kind of problem; the code with a prefix."`
	Title  string       `json:"title" doc:"What kind of problem it is, the same for every one of its code."`
	Status int          `json:"status" doc:"The HTTP status."`
	Detail string       `json:"detail" doc:"What could not be done, and what to do about it."`
	Code   server.Code  `json:"code" doc:"Stable and machine-readable."`
	Errors []FieldError `json:"errors,omitempty" doc:"What is wrong with which part of the request."`
	Job    int64        `json:"job,omitempty" doc:"The job in the way, for busy."`

	Challenge bool `json:"challenge,omitempty" doc:"For not-authorized: a password would do; ask again with X-Allow-Interaction."`
}

// FieldError is what is wrong with one part of a request.
type FieldError struct {
	Field  string `json:"field" doc:"The field of the body, or the name of the parameter or header."`
	Detail string `json:"detail"`
}

const (
	problemType  = "urn:left4med:problem:"
	maxFieldErrs = 16  // more do not help anyone
	maxShown     = 300 // runes of a message that may hold what a client sent
)

// kind is the HTTP side of a code.
type kind struct {
	status int
	title  string
}

// kindOf maps a code to its status and title. It is the only place that does;
// a code it does not know is our own mistake.
func kindOf(code server.Code) kind {
	switch code {
	case server.CodeInvalidRequest:
		return kind{http.StatusBadRequest, "The request is not valid"}
	case server.CodeInvalidName:
		return kind{http.StatusBadRequest, "The name breaks the rule for names"}
	case server.CodeNotAuthorized:
		return kind{http.StatusForbidden, "Not authorized"}
	case server.CodeServerNotFound:
		return kind{http.StatusNotFound, "There is no such server"}
	case server.CodeJobNotFound:
		return kind{http.StatusNotFound, "There is no such job"}
	case server.CodeOrphanNotFound:
		return kind{http.StatusNotFound, "There is no such orphan"}
	case server.CodeOverlayNotFound:
		return kind{http.StatusNotFound, "There is no such overlay"}
	case server.CodeBackupNotFound:
		return kind{http.StatusNotFound, "There is no such backup"}
	case server.CodeNotFound:
		return kind{http.StatusNotFound, "There is nothing here"}
	case server.CodeMethodNotAllowed:
		return kind{http.StatusMethodNotAllowed, "This cannot be done here"}
	case server.CodeNameTaken:
		return kind{http.StatusConflict, "The name is taken"}
	case server.CodePortTaken:
		return kind{http.StatusConflict, "The port is taken"}
	case server.CodeNoFreePort:
		return kind{http.StatusConflict, "No port is free"}
	case server.CodeBusy:
		return kind{http.StatusConflict, "Another job is in the way"}
	case server.CodeOverlayInUse:
		return kind{http.StatusConflict, "The overlay is in use"}
	case server.CodeInstallationInUse:
		return kind{http.StatusConflict, "Servers run on the installation"}
	case server.CodeNotEmpty:
		return kind{http.StatusConflict, "Somebody plays, or may"}
	case server.CodeMasked:
		return kind{http.StatusConflict, "The unit is masked"}
	case server.CodeNotInstalled:
		return kind{http.StatusConflict, "The game is not installed"}
	case server.CodeInstanceFiles:
		return kind{http.StatusConflict, "The server's files are not in order"}
	case server.CodeNotAdoptable:
		return kind{http.StatusConflict, "The instance cannot be adopted as it is"}
	case server.CodeJobFailed:
		return kind{http.StatusConflict, "The job failed"}
	case server.CodeJobFinished:
		return kind{http.StatusConflict, "The job has ended"}
	case server.CodeOvertaken:
		return kind{http.StatusConflict, "Another hand was faster"}
	case server.CodeNotRunning:
		return kind{http.StatusConflict, "The server does not run"}
	case server.CodeGameUnreachable:
		return kind{http.StatusBadGateway, "The game does not answer"}
	case server.CodeGameStranger:
		return kind{http.StatusBadGateway, "Another program has the game's port"}
	case server.CodeRCONRefused:
		return kind{http.StatusBadGateway, "The game refused the RCON password"}
	case server.CodeProbeUnavailable:
		return kind{http.StatusServiceUnavailable, "left4med-probe does not answer"}
	case server.CodeBackupDamaged:
		return kind{http.StatusConflict, "The backup is damaged"}
	case server.CodeNoSpace:
		return kind{http.StatusInsufficientStorage, "The disk is full"}
	case server.CodeTooLarge:
		return kind{http.StatusRequestEntityTooLarge, "The request is too large"}
	case server.CodeTooMany:
		return kind{http.StatusTooManyRequests, "Too many at once"}
	case server.CodeSystemdUnavailable:
		return kind{http.StatusServiceUnavailable, "systemd cannot be reached"}
	case server.CodeTemplateMissing:
		return kind{http.StatusServiceUnavailable, "The unit template is missing"}
	case server.CodeJobsDisabled:
		return kind{http.StatusServiceUnavailable, "Jobs are switched off"}
	case server.CodeStorage:
		return kind{http.StatusServiceUnavailable, "The database cannot be written"}
	case server.CodeShuttingDown:
		return kind{http.StatusServiceUnavailable, "left4med is stopping"}
	}
	return kind{http.StatusInternalServerError, "Something went wrong inside left4med"}
}

// newProblem makes the problem of a code; the detail is escaped here.
func newProblem(code server.Code, detail string) *Problem {
	k := kindOf(code)
	return &Problem{
		Type: problemType + string(code), Title: k.title, Status: k.status,
		Detail: server.Visible(detail), Code: code,
	}
}

// problem maps any error to what a client is told. It is the only place that
// does. The text of an error that is no *server.Error goes to the log alone.
func (h *handler) problem(ctx context.Context, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	e := domainError(err)
	p = newProblem(e.Code, e.Detail)
	if e.Field != "" {
		p.Errors = []FieldError{{Field: e.Field, Detail: p.Detail}}
		if p.Status == http.StatusNotFound { // what is missing is a setting's, not the path's
			p.Status = http.StatusBadRequest
		}
	}
	p.Job, p.Challenge = e.Job, e.Challenge
	if p.Status >= http.StatusInternalServerError && ctx.Err() == nil {
		h.log.Error().Err(err).Str("code", string(e.Code)).Msg("cannot answer a request")
	}
	return p
}

func domainError(err error) *server.Error {
	if e, ok := errors.AsType[*server.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &server.Error{Code: server.CodeShuttingDown, Detail: "the request ended before its answer was there; ask again", Err: err}
	}
	return &server.Error{
		Code:   server.CodeInternal,
		Detail: `left4med met an error it did not expect; "journalctl -u left4med.service" says which`,
		Err:    err,
	}
}

// Error makes a Problem an error, so that huma hands it through.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status; huma asks for it.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is problem+json whatever the client would like; huma asks for it.
func (p *Problem) ContentType(string) string { return problemJSON }

const (
	problemJSON = "application/problem+json"
	plainJSON   = "application/json"
)

// refuse answers a request with an error.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := h.problem(r.Context(), err)
	body, err := json.Marshal(p)
	if err != nil { // a Problem holds strings and numbers alone
		panic(err)
	}
	header := w.Header()
	header.Set("Content-Type", problemJSON)
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}

// fieldProblem is the problem of a request whose parts are not valid.
func fieldProblem(errs []FieldError) *Problem {
	errs = errs[:min(len(errs), maxFieldErrs)]
	p := newProblem(server.CodeInvalidRequest, "the request is not valid")
	p.Errors = errs
	if len(errs) > 0 {
		p.Detail = errs[0].Detail
		if errs[0].Field != "" {
			p.Detail = errs[0].Field + ": " + errs[0].Detail
		}
	}
	return p
}
