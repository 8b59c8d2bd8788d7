package web

import (
	"net/http"

	"github.com/left4med/left4med/internal/account"
)

func (s *Server) listUsers(w http.ResponseWriter, r *http.Request, _ *call) {
	users, err := s.opts.Book.Users(r.Context())
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string][]account.User{"users": users})
}

func (s *Server) addUser(w http.ResponseWriter, r *http.Request, c *call) {
	var in struct {
		Name     string       `json:"name"`
		Role     account.Role `json:"role"`
		Password string       `json:"password"`
	}
	if err := decode(w, r, &in); err != nil {
		s.refuse(w, r, err)
		return
	}
	user, err := s.opts.Book.Add(r.Context(), in.Name, in.Role, in.Password)
	s.auditOutcome(c, "added a user, "+roleText(in.Role), in.Name, err)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, http.StatusCreated, user)
}

func (s *Server) changeUser(w http.ResponseWriter, r *http.Request, c *call) {
	var in struct {
		Role     *account.Role `json:"role"`
		Password *string       `json:"password"`
	}
	err := decode(w, r, &in)
	if err == nil && in.Role == nil && in.Password == nil {
		err = problemf(codeInvalidRequest, "there is nothing to change; send role, password or both")
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	name := r.PathValue("user")
	err = s.opts.Book.Change(r.Context(), name, in.Role, in.Password)
	if in.Role != nil {
		s.auditOutcome(c, "made a user "+roleText(*in.Role), name, err)
	}
	if in.Password != nil {
		s.auditOutcome(c, "set the password of a user", name, err)
	}
	s.done(w, r, err)
}

func (s *Server) removeUser(w http.ResponseWriter, r *http.Request, c *call) {
	name := r.PathValue("user")
	err := s.opts.Book.Remove(r.Context(), name)
	s.auditOutcome(c, "removed a user", name, err)
	s.done(w, r, err)
}
