package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// state answers with the hub's picture, whose bytes are shared by all who ask.
func (s *Server) state(w http.ResponseWriter, r *http.Request, _ *call) {
	plain, gzipped := s.opts.Hub.State()
	body := plain
	header := w.Header()
	header.Set("Content-Type", plainJSON)
	header.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		body = gzipped
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// maxDocument bounds what is read of the daemon's OpenAPI document.
const maxDocument = 8 << 20

// openapi answers with the daemon's OpenAPI document. It changes with the
// daemon's version alone, so browsers keep it and ask whether it is still the
// same.
func (s *Server) openapi(w http.ResponseWriter, r *http.Request, c *call) {
	body, err := s.document(r, c)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	sum := sha256.Sum256(body)
	f := newFile("openapi.json", body, nil, hex.EncodeToString(sum[:8]))
	w.Header().Set("Cache-Control", "private, no-cache")
	f.serve(w, r)
}

func (s *Server) document(r *http.Request, c *call) ([]byte, error) {
	ctx, cancel := s.lasting(r)
	defer cancel()
	give, ok := s.turns.take(ctx, c.session.User.ID)
	if !ok {
		return nil, s.noTurn(ctx)
	}
	defer give()
	resp, err := s.opts.Client.OnBehalfOf(c.session.User.Name).Do(ctx, http.MethodGet, "/openapi.json", nil, nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("left4med answered %s", resp.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read left4med's OpenAPI document: %w", err)
	}
	return body, nil
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request, _ *call) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	io.WriteString(w, "ok\n")
}
