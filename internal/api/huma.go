package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/left4med/left4med/internal/journal"
	"github.com/left4med/left4med/internal/server"
)

// maxBody is how large a request's body may be, in bytes.
const maxBody = 1 << 20

func humaConfig() huma.Config {
	jsonFormat := huma.Format{Marshal: encode, Unmarshal: decode}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "left4med",
				Version:     "1",
				Description: "Keeps Left 4 Dead 2 servers as systemd units. Served on the unix socket /run/left4med/left4med.sock; the kernel says who asks. Readers ignore fields they do not know.",
			},
			Components: &huma.Components{Schemas: huma.NewMapRegistry(schemaPrefix, schemaName)},
		},
		Formats:       map[string]huma.Format{plainJSON: jsonFormat, "json": jsonFormat},
		DefaultFormat: plainJSON,
		Transformers:  []huma.Transformer{ownProblem},
	}
}

const schemaPrefix = "#/components/schemas/"

// schemaName names the types whose own name says too little.
func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[journal.Entry]() {
		return "LogEntry"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// decode is json.Unmarshal with errors that speak of the request, not of Go,
// and with field names taken as they are: Go and huma would take "Name" for
// "name".
func decode(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errors.New(wrong.Field + ": " + wrong.Value + unfit)
	}
	if untyped, ok := v.(*any); ok && err == nil {
		return lowerCase(*untyped)
	}
	return err
}

// unfit ends the message about a value of another type than its field, whose name
// begins it: huma knows only that the body is wrong.
const unfit = " does not fit here"

// lowerCase refuses objects with upper-case letters in a key; no field of ours
// has one, nor has a cvar.
func lowerCase(v any) error {
	object, _ := v.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if key != strings.ToLower(key) {
			return errors.New("unexpected property " + server.Quote(key, 60) + ": names are in lower case")
		}
		if err := lowerCase(object[key]); err != nil {
			return err
		}
	}
	return nil
}

// ownProblem turns huma's own errors, which are all about requests that are
// not valid, into ours. The values that huma would echo are left out.
func ownProblem(ctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problemOf(model)
	if c, ok := ctx.(*humaContext); ok {
		c.override = p.Status
	}
	return p, nil
}

func problemOf(model *huma.ErrorModel) *Problem {
	switch model.Status {
	case http.StatusRequestEntityTooLarge:
		return newProblem(server.CodeTooLarge, "the body is larger than 1 MiB; send less at once")
	case http.StatusRequestTimeout:
		p := newProblem(server.CodeInvalidRequest, "the body did not arrive in time; send it again")
		p.Status = http.StatusRequestTimeout
		return p
	case http.StatusUnsupportedMediaType:
		p := newProblem(server.CodeInvalidRequest, "the body's type is not known; send JSON with Content-Type: application/json")
		p.Status = http.StatusUnsupportedMediaType
		return p
	case http.StatusInternalServerError: // the only one that huma makes is an unreadable body
		return newProblem(server.CodeInvalidRequest, "the body could not be read to its end")
	}
	errs := make([]FieldError, 0, len(model.Errors))
	for _, e := range model.Errors {
		if e != nil {
			field, detail := fieldOf(e.Location), e.Message
			if path, rest, ok := strings.Cut(detail, ": "); ok && field == "body" && strings.HasSuffix(rest, unfit) {
				field, detail = path, rest
			}
			errs = append(errs, FieldError{Field: shown(field, 100), Detail: shown(detail, maxShown)})
		}
	}
	if len(errs) == 0 {
		return newProblem(server.CodeInvalidRequest, model.Detail)
	}
	return fieldProblem(errs)
}

// fieldOf makes "body.config.port" and "query.lines" the names a client used.
func fieldOf(location string) string {
	for _, prefix := range []string{"body.", "query.", "path.", "header."} {
		if rest, ok := strings.CutPrefix(location, prefix); ok {
			return rest
		}
	}
	return location
}

// adapter puts huma's operations behind the guard.
type adapter struct {
	handler *handler
	routes  map[string]route // by operation id
}

var _ huma.Adapter = (*adapter)(nil)

// Handle implements huma.Adapter.
func (a *adapter) Handle(op *huma.Operation, serve func(huma.Context)) {
	h, rt := a.handler, a.routes[op.OperationID]
	h.mux.HandleFunc(rt.pattern(), h.guard(rt, queryParams(op), func(w http.ResponseWriter, r *http.Request, c call) {
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, &c))
		ctx := &humaContext{inner: humago.NewContext(op, r, w)}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler || ctx.Status() != 0 {
				panic(v)
			}
			h.log.Error().Any("panic", v).Str("operation", op.OperationID).Bytes("stack", debug.Stack()).Msg("a request hit a mistake of ours")
			h.refuse(w, r, server.Errorf(server.CodeInternal, "left4med met an error it did not expect; \"journalctl -u left4med.service\" says which"))
		}()
		serve(ctx)
	}))
}

// ServeHTTP implements huma.Adapter.
func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

func queryParams(op *huma.Operation) map[string]bool {
	known := map[string]bool{}
	for _, p := range op.Parameters {
		if p.In == "query" {
			known[p.Name] = true
		}
	}
	return known
}

// inner has another name than huma.Context, which has a method of that name.
type inner = huma.Context

// humaContext lets the status of a Problem win over the one huma has chosen.
type humaContext struct {
	inner
	override int
}

// Unwrap gives huma the adapter's own context.
func (c *humaContext) Unwrap() huma.Context { return c.inner }

// SetStatus sends the status.
func (c *humaContext) SetStatus(code int) {
	if c.override != 0 {
		code = c.override
	}
	c.inner.SetStatus(code)
}
