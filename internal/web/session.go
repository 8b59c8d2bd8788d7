package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/left4med/left4med/internal/account"
)

// sessionAnswer is who is signed in, as the page is told.
type sessionAnswer struct {
	User      sessionUser `json:"user"`
	CSRF      string      `json:"csrf"`
	ExpiresAt time.Time   `json:"expires_at"`
	Version   string      `json:"version"`
}

type sessionUser struct {
	ID   int64        `json:"id"`
	Name string       `json:"name"`
	Role account.Role `json:"role"`
}

func (s *Server) answerSession(w http.ResponseWriter, session *account.Session) {
	u := session.User
	answer(w, http.StatusOK, sessionAnswer{sessionUser{u.ID, u.Name, u.Role}, session.CSRF, session.ExpiresAt, s.opts.Version})
}

func (s *Server) readSession(w http.ResponseWriter, _ *http.Request, c *call) {
	s.answerSession(w, c.session)
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request, c *call) {
	var in struct {
		User     string `json:"user"`
		Password string `json:"password"`
	}
	if err := decode(w, r, &in); err != nil {
		s.refuse(w, r, err)
		return
	}
	signed, err := s.opts.Book.SignIn(r.Context(), in.User, in.Password, s.from(r, c))
	s.auditSignIn(c, "signed in", in.User, err)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.welcome(w, r, signed)
}

func (s *Server) setUp(w http.ResponseWriter, r *http.Request, c *call) {
	var in struct {
		Token    string `json:"token"`
		User     string `json:"user"`
		Password string `json:"password"`
	}
	if err := decode(w, r, &in); err != nil {
		s.refuse(w, r, err)
		return
	}
	signed, err := s.opts.Book.SetUp(r.Context(), in.Token, in.User, in.Password, s.from(r, c))
	s.auditSignIn(c, "became the first admin", in.User, err)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.welcome(w, r, signed)
}

func (s *Server) from(r *http.Request, c *call) account.From {
	return account.From{Source: c.source, Device: cookie(r, deviceCookie), Agent: r.UserAgent()}
}

// deviceLasts is for how long a browser is known again: as long as browsers
// keep a cookie.
const deviceLasts = 400 * 24 * time.Hour

// welcome hands out the cookies of a new session. The one that the browser had
// before ends: nothing names it any more.
func (s *Server) welcome(w http.ResponseWriter, r *http.Request, signed *account.SignedIn) {
	if old := cookie(r, sessionCookie); old != "" {
		if session, err := s.opts.Book.Session(r.Context(), old); err == nil {
			if err := s.opts.Book.SignOut(r.Context(), session.ID); err != nil {
				s.opts.Log.Warn().Err(err).Msg("cannot end the session that a browser had before it signed in anew")
			}
		}
	}
	s.setCookie(w, r, sessionCookie, signed.Token, time.Until(signed.Session.ExpiresAt))
	s.setCookie(w, r, deviceCookie, signed.Device, deviceLasts)
	s.answerSession(w, &signed.Session)
}

func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, name, value string, lasts time.Duration) {
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(lasts.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: s.secure(r),
	}
	if c.MaxAge <= 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request, c *call) {
	if err := s.opts.Book.SignOut(r.Context(), c.session.ID); err != nil {
		s.refuse(w, r, err)
		return
	}
	s.audit(c, "signed out", "")
	s.setCookie(w, r, sessionCookie, "", 0)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) changePassword(w http.ResponseWriter, r *http.Request, c *call) {
	var in struct {
		Current string `json:"current"`
		New     string `json:"new"`
	}
	err := decode(w, r, &in)
	if err == nil {
		err = s.opts.Book.ChangePassword(r.Context(), c.session, in.Current, in.New)
		s.auditOutcome(c, "changed the own password", "", err)
	}
	var wrong *account.Error
	if errors.As(err, &wrong) && wrong.Code == account.CodeWrongCredentials {
		// 401 would tell the page that its session is over.
		p := s.problemOf(r.Context(), err)
		p.Status = http.StatusForbidden
		err = p
	}
	s.done(w, r, err)
}

// done answers a request that has nothing to tell but how it ended.
func (s *Server) done(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// ownSession is a session as its user sees it.
type ownSession struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at"`
	Source    string    `json:"source"`
	Agent     string    `json:"agent"`
	Current   bool      `json:"current,omitempty"`
}

func (s *Server) listSessions(w http.ResponseWriter, r *http.Request, c *call) {
	sessions, err := s.opts.Book.Sessions(r.Context(), c.session.User.ID)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	var out struct {
		Sessions []ownSession `json:"sessions"`
	}
	out.Sessions = make([]ownSession, 0, len(sessions))
	for _, o := range sessions {
		out.Sessions = append(out.Sessions, ownSession{o.ID, o.CreatedAt, o.UsedAt, o.Source, o.Agent, o.ID == c.session.ID})
	}
	answer(w, http.StatusOK, out)
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request, c *call) {
	err := s.opts.Book.EndSession(r.Context(), c.session.User.ID, r.PathValue("id"))
	s.auditOutcome(c, "ended one of the own sessions", "", err)
	s.done(w, r, err)
}
