package api

import (
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/journal"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

func schemaOf[T any](r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

func content(kind string, s *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{kind: {Schema: s}}
}

func problemResponse(r huma.Registry) *huma.Response {
	return &huma.Response{Description: "The request was refused or failed.", Content: content(problemJSON, schemaOf[Problem](r))}
}

func stringParam(name, in, doc string) *huma.Param {
	return &huma.Param{Name: name, In: in, Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
}

// nameParam is the path's {name} of routes that huma does not decode.
func nameParam() *huma.Param {
	p := stringParam("name", "path", "The server's name.")
	p.Required = true
	p.Schema.Pattern = "^[a-z0-9][a-z0-9_-]{0,23}$"
	return p
}

// headers are the request headers that a route reads, beside its own.
func (rt route) headers() []*huma.Param {
	var params []*huma.Param
	if rt.asks.action != authz.None {
		p := stringParam(allowInteraction, "header", "Whether polkit may ask the user for a password.")
		p.Schema = &huma.Schema{Type: huma.TypeBoolean}
		params = append(params, p)
	}
	if rt.method != http.MethodGet {
		params = append(params, stringParam(onBehalfOf, "header",
			"The user of the web frontend, at most 64 bytes. Believed from the uid of "+authz.WebUser+" alone."))
	}
	return params
}

func eventIDHeader() map[string]*huma.Param {
	return map[string]*huma.Param{eventID: {
		Description: "Where to start watching without a gap: the Last-Event-ID to send.",
		Schema:      &huma.Schema{Type: huma.TypeInteger, Format: "int64"},
	}}
}

func docListServers(op *huma.Operation, r huma.Registry) {
	op.Responses["200"] = &huma.Response{
		Description: "All servers, by name; settings and jobs only for clients that may inspect.",
		Headers:     eventIDHeader(),
		Content: content(plainJSON, &huma.Schema{
			Type:       huma.TypeObject,
			Properties: map[string]*huma.Schema{"servers": {Type: huma.TypeArray, Items: schemaOf[server.Server](r)}},
			Required:   []string{"servers"},
		}),
	}
}

func docGetServer(op *huma.Operation, r huma.Registry) {
	op.Parameters = append(op.Parameters, nameParam())
	op.Responses["200"] = &huma.Response{
		Description: "The server; settings and job only for clients that may inspect.",
		Headers:     eventIDHeader(),
		Content:     content(plainJSON, schemaOf[server.Server](r)),
	}
}

func docOpenAPI(op *huma.Operation, _ huma.Registry) {
	op.Responses["200"] = &huma.Response{Description: "An OpenAPI 3.1 document.", Content: content(plainJSON, &huma.Schema{Type: huma.TypeObject})}
}

// docJob documents answers with a job.
func docJob(op *huma.Operation, r huma.Registry) {
	op.DefaultStatus = 202
	op.Responses["202"] = &huma.Response{Description: "The job is stored and will run; with wait: it has not ended in time."}
	op.Responses["200"] = &huma.Response{
		Description: "With wait: the job has ended. Its state says how.",
		Headers:     map[string]*huma.Param{"Location": {Description: "Where the job can be read.", Schema: &huma.Schema{Type: huma.TypeString}}},
		Content:     content(plainJSON, schemaOf[server.Job](r)),
	}
}

func docAct(op *huma.Operation, r huma.Registry) {
	op.Description += " When that is refused for all of them, so is the request."
	op.DefaultStatus = 202
	op.Responses["202"] = &huma.Response{Description: "The jobs are stored and will run; with wait: not all have ended in time."}
	op.Responses["200"] = &huma.Response{
		Description: "With wait: all jobs have ended. Their states say how.",
		Content:     content(plainJSON, schemaOf[actAnswer](r)),
	}
}

func docLogs(op *huma.Operation, r huma.Registry) {
	follow := stringParam("follow", "query", "Go on with new lines as they come, as Server-Sent Events.")
	follow.Schema = &huma.Schema{Type: huma.TypeBoolean}
	lines := stringParam("lines", "query", "The newest so many. Default 100.")
	lines.Schema = &huma.Schema{Type: huma.TypeInteger, Minimum: new(0.0), Maximum: new(float64(maxLines))}
	op.Parameters = append(op.Parameters, nameParam(), lines, follow,
		stringParam("since", "query", "Only lines from then on: a time (RFC 3339), or a duration back from now like 1h."))
	entry := schemaOf[journal.Entry](r)
	events := eventsSchema(
		sseEvent("log", "One line.", false, entry),
		sseEvent("failed", "The log cannot be followed any longer.", false, schemaOf[Problem](r)),
	)
	op.Responses["200"] = &huma.Response{
		Description: "The log, oldest line first. Messages are escaped: control and invisible characters appear as \\xNN or \\u{NNNN}.",
		Content: map[string]*huma.MediaType{
			jsonLines:   {Schema: entry},
			eventStream: {Schema: events},
		},
	}
}

func docEvents(op *huma.Operation, r huma.Registry) {
	op.Parameters = append(op.Parameters,
		stringParam("Last-Event-ID", "header", "Resume after this event, or after the Event-Id of a list. Without it the stream starts now."),
		stringParam("last_event_id", "query", "The same, for clients that cannot set the header."))
	op.Responses["200"] = &huma.Response{
		Description: "Server-Sent Events, and a comment every 15 s. Ids grow and are never used twice. Clients that may not inspect get servers without settings and jobs, and no job events.",
		Content: content(eventStream, eventsSchema(
			sseEvent("server", "A server is new or changed.", true, schemaOf[server.Server](r)),
			sseEvent("job", "A job is new or changed.", true, schemaOf[server.Job](r)),
			sseEvent("deleted", "A server is gone.", true, schemaOf[orchestrator.Deleted](r)),
			sseEvent("reset", "Events were missed: read everything again.", true, &huma.Schema{Type: huma.TypeObject}),
		)),
	}
}

// eventsSchema describes a stream of Server-Sent Events, for which OpenAPI 3.1
// has no words of its own, as a list of events.
func eventsSchema(events ...*huma.Schema) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{OneOf: events}}
}

func sseEvent(kind, doc string, id bool, data *huma.Schema) *huma.Schema {
	s := &huma.Schema{
		Type: huma.TypeObject, Title: "Event " + kind, Description: doc,
		Properties: map[string]*huma.Schema{
			"event": {Type: huma.TypeString, Extensions: map[string]any{"const": kind}},
			"data":  data,
		},
		Required: []string{"event", "data"},
	}
	if id {
		s.Properties["id"] = &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
		s.Required = append(s.Required, "id")
	}
	return s
}

// finishSpec says what Go's types cannot: that lists are never null, a server's
// job may be, and readers ignore fields they do not know while left4med refuses
// them.
func finishSpec(o *huma.OpenAPI) {
	schemas := o.Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own; see ownProblem
	delete(schemas, "ErrorDetail")
	given := []string{"CreateBody", "ChangeBody", "ActBody", "SecretBody", "InstallBody", "RconBody", "ConfigPatch"}
	for name, s := range schemas {
		if s.Type == huma.TypeObject && !slices.Contains(given, name) {
			s.AdditionalProperties = nil
		}
		for _, p := range s.Properties {
			if p.Type == huma.TypeArray {
				p.Nullable = false
			}
		}
	}
	srv := schemas["Server"].Properties
	srv["job"] = &huma.Schema{Description: srv["job"].Description, OneOf: []*huma.Schema{{Ref: schemaPrefix + "Job"}, {Type: "null"}}}
}
