package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/server"
)

// problem is an error as a browser sees it (RFC 9457), like the daemon's own.
type problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Code   string       `json:"code"`
	Errors []fieldError `json:"errors,omitempty"`

	Setup bool `json:"setup,omitempty"` // for not-signed-in: there is no user yet

	retryAfter time.Duration
}

// fieldError is what is wrong with one part of a request.
type fieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// The codes that are the frontend's own. Others are account's, and the daemon's.
const (
	codeNotSignedIn       = "not-signed-in"
	codeCrossSite         = "cross-site"
	codeNotAuthorized     = string(server.CodeNotAuthorized)
	codeNotFound          = string(server.CodeNotFound)
	codeMethodNotAllowed  = string(server.CodeMethodNotAllowed)
	codeInvalidRequest    = string(server.CodeInvalidRequest)
	codeUnsupportedType   = "unsupported-media-type"
	codeTooLarge          = string(server.CodeTooLarge)
	codeTooMany           = string(server.CodeTooMany)
	codeBusy              = string(server.CodeBusy)
	codeDaemonUnreachable = "daemon-unreachable"
	codeShuttingDown      = string(server.CodeShuttingDown)
	codeInternal          = string(server.CodeInternal)
)

const (
	problemType = "urn:left4med:problem:"
	problemJSON = "application/problem+json"
	plainJSON   = "application/json"
	maxShown    = 200 // characters of what a browser sent, in a message
)

// kindOf maps a code to its status and title.
func kindOf(code string) (status int, title string) {
	switch code {
	case codeNotSignedIn:
		return http.StatusUnauthorized, "Not signed in"
	case string(account.CodeWrongCredentials):
		return http.StatusUnauthorized, "The name or the password is wrong"
	case codeCrossSite:
		return http.StatusForbidden, "The request came from another page"
	case codeNotAuthorized:
		return http.StatusForbidden, "Not authorized"
	case string(account.CodeSetupRefused):
		return http.StatusForbidden, "The link is not valid"
	case codeNotFound:
		return http.StatusNotFound, "There is nothing here"
	case string(account.CodeUserNotFound):
		return http.StatusNotFound, "There is no such user"
	case string(account.CodeSessionNotFound):
		return http.StatusNotFound, "There is no such session"
	case codeMethodNotAllowed:
		return http.StatusMethodNotAllowed, "This cannot be done here"
	case string(account.CodeNameTaken):
		return http.StatusConflict, "The name is taken"
	case string(account.CodeLastAdmin):
		return http.StatusConflict, "There must be an admin"
	case codeTooLarge:
		return http.StatusRequestEntityTooLarge, "The request is too large"
	case codeUnsupportedType:
		return http.StatusUnsupportedMediaType, "The body is not JSON"
	case codeInvalidRequest:
		return http.StatusUnprocessableEntity, "The request is not valid"
	case string(account.CodeTooManyAttempts):
		return http.StatusTooManyRequests, "Too many attempts"
	case codeTooMany:
		return http.StatusTooManyRequests, "Too many at once"
	case codeDaemonUnreachable:
		return http.StatusBadGateway, "left4med does not answer"
	case codeBusy:
		return http.StatusServiceUnavailable, "The frontend is busy"
	case string(account.CodeStorage):
		return http.StatusServiceUnavailable, "The database cannot be used"
	case codeShuttingDown:
		return http.StatusServiceUnavailable, "The frontend is stopping"
	}
	return http.StatusInternalServerError, "Something went wrong inside the frontend"
}

// problemf makes the problem of a code. What the detail holds of others' text is
// escaped here.
func problemf(code, format string, args ...any) *problem {
	status, title := kindOf(code)
	return &problem{Type: problemType + code, Title: title, Status: status, Code: code, Detail: server.Visible(fmt.Sprintf(format, args...))}
}

// Error makes a problem an error.
func (p *problem) Error() string { return p.Detail }

func isNoSession(err error) bool { return errors.Is(err, account.ErrNoSession) }

// problemOf maps any error to what a browser is told. The text of one that is not
// meant for users goes to the log alone.
func (s *Server) problemOf(ctx context.Context, err error) *problem {
	var p *problem
	var a *account.Error
	var d *client.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, account.ErrNoSession):
		return problemf(codeNotSignedIn, "nobody is signed in here, or no more; sign in")
	case errors.As(err, &a):
		p = problemf(string(a.Code), "%s", a.Detail)
		if a.Field != "" {
			p.Errors = []fieldError{{Field: a.Field, Detail: p.Detail}}
		}
		p.retryAfter = a.RetryAfter
	case errors.As(err, &d) && d.Code != "":
		p = problemf(string(d.Code), "%s", d.Detail)
		if d.Status != 0 {
			p.Status = d.Status
		}
	case ctx.Err() != nil || s.closing.Err() != nil:
		return problemf(codeShuttingDown, "the request ended before its answer was there; ask again")
	case errors.Is(err, client.ErrUnreachable), errors.As(err, &d):
		p = problemf(codeDaemonUnreachable, "left4med does not answer, so nothing can be read or done now; its games go on. \"systemctl status left4med.service\" on the host says more")
	default:
		p = problemf(codeInternal, "the frontend met an error it did not expect; \"journalctl -u left4med-web.service\" on the host says which")
	}
	if p.Status >= http.StatusInternalServerError {
		s.opts.Log.Error().Str("code", p.Code).Str("error", client.Visible(err.Error())).Msg("cannot answer a request")
	}
	return p
}

// refuse answers a request with an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problemOf(r.Context(), err)
	body, err := json.Marshal(p)
	if err != nil { // a problem holds texts and numbers alone
		panic(err)
	}
	h := w.Header()
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	h.Set("Content-Type", problemJSON)
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}
