package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
)

// files are the page's, with their compressed forms, in memory.
type files struct {
	byPath map[string]*file
}

const indexPath = "/index.html"

// readFiles takes over what is there once and for all.
func readFiles(from fs.FS, log zerolog.Logger) *files {
	f := &files{byPath: map[string]*file{}}
	if from == nil {
		return f
	}
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".gz") || typeOf(name) == "" {
			return err
		}
		plain, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		gzipped, err := fs.ReadFile(from, name+".gz")
		if errors.Is(err, fs.ErrNotExist) {
			gzipped, err = compressed(plain), nil
		}
		if err != nil {
			return err
		}
		sum := sha256.Sum256(plain)
		f.byPath["/"+name] = newFile(name, plain, gzipped, hex.EncodeToString(sum[:8]))
		return nil
	})
	if err != nil {
		log.Error().Err(err).Msg("cannot read all of the page's files; the program was built wrongly")
	}
	return f
}

// compressed is b in gzip, or nil when that saves nothing.
func compressed(b []byte) []byte {
	if len(b) < compressFrom {
		return nil
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b) // a Buffer refuses nothing
	z.Close()
	if out.Len() > len(b)*9/10 {
		return nil
	}
	return out.Bytes()
}

// file is one file as browsers get it.
type file struct {
	media          string
	tag            string
	plain, gzipped []byte
}

func newFile(name string, plain, gzipped []byte, tag string) *file {
	return &file{media: typeOf(name), tag: tag, plain: plain, gzipped: gzipped}
}

// typeOf is the type of the files that a page is made of. It does not depend on
// the host's own list.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".json", ".map":
		return plainJSON
	case ".webmanifest":
		return "application/manifest+json"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".webp":
		return "image/webp"
	case ".woff2":
		return "font/woff2"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	return ""
}

// serve answers with the file, unless the browser has it.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	body, tag := f.plain, `"`+f.tag+`"`
	header := w.Header()
	header.Set("Content-Type", f.media)
	header.Add("Vary", "Accept-Encoding")
	if f.gzipped != nil && acceptsGzip(r) {
		body, tag = f.gzipped, `"`+f.tag+`-gz"`
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("ETag", tag)
	for _, known := range listed(r.Header.Values("If-None-Match")) {
		if strings.TrimPrefix(known, "W/") == tag {
			header.Del("Content-Type")
			header.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// page answers for all paths that no route has: a file, or the page itself, which
// shows what its address names.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	at := r.URL.Path
	header := w.Header()
	switch {
	case isAPI(at):
		s.refuse(w, r, problemf(codeNotFound, "there is nothing here to %s; /api/openapi.json lists what left4med itself has", r.Method))
		return
	case !reads(r):
		header.Set("Allow", "GET, HEAD")
		s.refuse(w, r, problemf(codeMethodNotAllowed, "the page can only be read"))
		return
	}
	f := s.files.byPath[at]
	if f == nil && !strings.Contains(at, ".") && !strings.HasPrefix(at, "/assets/") {
		f = s.files.byPath[indexPath]
		if f == nil {
			noPage(w)
			return
		}
	}
	if f == nil {
		header.Set("Cache-Control", "no-store")
		s.refuse(w, r, problemf(codeNotFound, "there is no such file; reload the page, which may have been updated"))
		return
	}
	header.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(at, "/assets/") { // the name changes with the content
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	f.serve(w, r)
}

func noPage(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	io.WriteString(w, "left4med-web was built without its page: run make web, then make build.\n")
}
