package web

import (
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/server"
)

// What users do to servers is in the daemon's history. Here is who signed in, who
// failed to, and what was done to users.

// audit logs what a signed-in user did, to which user if to one.
func (s *Server) audit(c *call, did, whom string) {
	s.entry(s.opts.Log.Info(), c, whom).Str("user", c.session.User.Name).Msg(did)
}

// auditOutcome logs what a signed-in user did, or tried.
func (s *Server) auditOutcome(c *call, did, whom string, err error) {
	if err == nil {
		s.audit(c, did, whom)
		return
	}
	s.entry(s.opts.Log.Warn(), c, whom).Str("user", c.session.User.Name).
		Str("tried", did).Str("why", server.Quote(err.Error(), maxShown)).Msg("a change of users was refused")
}

// auditSignIn logs and counts an attempt to sign in. The name is what was typed,
// and cut: it may be anything.
func (s *Server) auditSignIn(c *call, did, name string, err error) {
	result := signInResult(err)
	s.meter.signIns.WithLabelValues(result).Inc()
	if err == nil {
		s.entry(s.opts.Log.Info(), c, "").Str("user", server.Visible(name)).Msg(did)
		return
	}
	refused := s.opts.Log.Warn()
	if result == string(account.CodeTooManyAttempts) { // there may be thousands a second
		due, skipped := s.flood.due(time.Now())
		if !due {
			return
		}
		refused = refused.Int("more_since_the_last_line", skipped)
	}
	s.entry(refused, c, "").Str("name", server.Quote(name, 40)).Str("result", result).
		Str("why", server.Quote(err.Error(), maxShown)).Msg("a sign-in was refused")
}

// sparse lets one line of many through every ten seconds.
type sparse struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

const sparseEvery = 10 * time.Second

// due says whether a line may be written, and how many were not since the last.
func (s *sparse) due(now time.Time) (due bool, skipped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.next) {
		s.skipped++
		return false, 0
	}
	skipped, s.skipped, s.next = s.skipped, 0, now.Add(sparseEvery)
	return true, skipped
}

// roleText is a role that was sent, for the log: it may be anything.
func roleText(r account.Role) string {
	if _, err := account.ParseRole(string(r)); err != nil {
		return "of no known role"
	}
	return string(r)
}

func (s *Server) entry(e *zerolog.Event, c *call, whom string) *zerolog.Event {
	e = e.Str("source", c.source.String())
	if whom != "" {
		e = e.Str("whom", server.Quote(whom, 40))
	}
	return e
}

// signInResult names how an attempt ended, for the metrics.
func signInResult(err error) string {
	var e *account.Error
	switch {
	case err == nil:
		return "succeeded"
	case errors.As(err, &e):
		switch e.Code {
		case account.CodeWrongCredentials, account.CodeTooManyAttempts, account.CodeSetupRefused, account.CodeInvalidRequest:
			return string(e.Code)
		}
	}
	return "failed"
}
