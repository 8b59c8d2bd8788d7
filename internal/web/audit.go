package web

import (
	"errors"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/account"
	"github.com/left4med/left4med/internal/server"
)

// What users do to servers is in the daemon's history. Here is who signed in, who
// failed to, and what was done to users.

// audit logs what a signed-in user did, to which user if to one.
func (s *Server) audit(c *call, did, whom string) {
	s.entry(s.opts.Log.Info(), c, whom).Str("user", c.session.User.Name).Msg(server.Visible(did))
}

// auditOutcome logs what a signed-in user did, or tried.
func (s *Server) auditOutcome(c *call, did, whom string, err error) {
	if err == nil {
		s.audit(c, did, whom)
		return
	}
	s.entry(s.opts.Log.Warn(), c, whom).Str("user", c.session.User.Name).
		Str("tried", server.Visible(did)).Str("why", server.Visible(err.Error())).Msg("a change of users was refused")
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
	if len(name) > 32 {
		name = name[:32] + "…"
	}
	s.entry(s.opts.Log.Warn(), c, "").Str("name", server.Visible(name)).Str("result", result).
		Str("why", server.Visible(err.Error())).Msg("a sign-in was refused")
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
