package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// maxBody is how large a request's body may be, in bytes.
const maxBody = 64 << 10

// readBody reads a request's body, of bounded size and in bounded time.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	// net/http goes on reading, to notice when the browser leaves, and would take
	// the deadline for that.
	control.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, problemf(codeTooLarge, "the body is larger than %d KiB; send less at once", maxBody>>10)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		p := problemf(codeInvalidRequest, "the body did not arrive within %v; send it again", bodyTimeout)
		p.Status = http.StatusRequestTimeout
		return nil, p
	case err != nil:
		return nil, problemf(codeInvalidRequest, "the body could not be read to its end; send it again")
	}
	return body, nil
}

// decode reads a request's body as JSON. A form of another page cannot have its
// type.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != plainJSON {
		return problemf(codeUnsupportedType, "the body's type is not known; send JSON with Content-Type: %s", plainJSON)
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		p := problemf(codeInvalidRequest, "%s cannot be a %s", wrong.Field, wrong.Value)
		p.Errors = []fieldError{{Field: wrong.Field, Detail: p.Detail}}
		return p
	case err != nil:
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return problemf(codeInvalidRequest, "there is no field %s here", server.Quote(strings.Trim(field, `"`), 60))
		}
		return problemf(codeInvalidRequest, "the body is not JSON as it is expected here")
	case d.More():
		return problemf(codeInvalidRequest, "the body holds more than one value; send one")
	}
	return nil
}

// answer sends a value as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // the values are our own structs of texts, numbers and times
		panic(err)
	}
	w.Header().Set("Content-Type", plainJSON)
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
