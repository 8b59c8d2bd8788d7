package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
)

// History returns what happened and who asked, newest first.
func (o *Orchestrator) History(ctx context.Context, f server.HistoryFilter) ([]server.HistoryEntry, error) {
	return o.Store.History(ctx, f)
}

// noteChange puts on record what somebody changed without a job; e says what,
// of which server and who. It returns when that is on the disk. The deed is
// done by then, so a disk that refuses undoes nothing: the journal has it.
func (o *Orchestrator) noteChange(ctx context.Context, e server.HistoryEntry) {
	e.Kind, e.At = server.HistoryChange, time.Now().UTC()
	o.logEntry(e, nil)
	if err := o.Store.AddHistory(context.WithoutCancel(ctx), e); err != nil {
		o.Log.Error().Err(err).Str("SERVER", e.Server).Msg("a change is missing in the history")
	}
}

// logJob writes the line of a job that was accepted or has ended; err is why it
// did not succeed, with what clients are not told. The history has it already:
// the store writes it together with the job.
func (o *Orchestrator) logJob(job *server.Job, err error) {
	o.logEntry(server.HistoryOf(job), err)
}

// logResumed writes the line of a job that goes on after the daemon's restart,
// again with who asked: the line of its beginning may have died with the daemon.
func (o *Orchestrator) logResumed(job *server.Job) {
	e := server.HistoryOf(job)
	e.To = "resumed"
	o.logEntry(e, nil)
}

// logEntry writes an entry of the history to the log: a warning for what was
// refused or did not succeed. It is the one place that names the fields of who
// did what.
func (o *Orchestrator) logEntry(e server.HistoryEntry, err error) {
	level := zerolog.InfoLevel
	if e.Kind == server.HistoryRefusal || e.To == string(server.JobFailed) || e.To == string(server.JobCanceled) {
		level = zerolog.WarnLevel
	}
	line := o.Log.WithLevel(level)
	text, by := e.Words(), server.Requester{}
	if e.Server != "" {
		text = e.Server + ": " + text
	}
	if e.By != nil {
		by = *e.By
		line.Uint32("UID", by.UID)
		text += " (" + asker(by) + ")"
	}
	if err == nil && e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Job != 0 {
		line.Int64("JOB", e.Job)
	}
	for _, f := range []struct{ name, value string }{
		{"SERVER", e.Server}, {"VERB", e.What}, {"STATE", e.To}, {"CODE", string(e.Code)},
		{"USER", by.User}, {"VIA", string(by.Via)}, {"ON_BEHALF_OF", by.OnBehalfOf},
	} {
		if f.value != "" {
			line.Str(f.name, f.value)
		}
	}
	line.AnErr(zerolog.ErrorFieldName, err).Msg(text)
}

// asker is who asked, for people.
func asker(by server.Requester) string {
	who := fmt.Sprintf("uid %d", by.UID)
	if by.User != "" {
		who = by.User + ", " + who
	}
	if by.OnBehalfOf != "" {
		who += ", for " + by.OnBehalfOf
	}
	return who
}

// RecordRefusal puts on record that a request was refused. It returns at once
// and may be called from anywhere; see refusals for what becomes of a flood.
func (o *Orchestrator) RecordRefusal(r server.Refusal) {
	o.mu.RLock()
	var id int64
	if rec := o.records[server.Name(r.Server)]; rec != nil {
		id = rec.row.ID
	}
	o.mu.RUnlock()
	o.refusals.add(r, id)
}

// FlushRefusals stores the refusals that are not stored yet. It is for the
// daemon's end, when no request is served any more.
func (o *Orchestrator) FlushRefusals(ctx context.Context) { o.refusals.flush(ctx, true) }

// noteRefused puts on record that a request about one server was refused, if
// *err says so. It is deferred by whatever takes such requests.
func (o *Orchestrator) noteRefused(who server.Requester, what string, name server.Name, err *error) {
	if e := refusalIn(*err); e != nil {
		o.RecordRefusal(server.Refusal{By: who, What: what, Server: string(name), Err: e})
	}
}

// noteRefusedOf is noteRefused for a request about many servers: those left out,
// or all of them.
func (o *Orchestrator) noteRefusedOf(who server.Requester, what string, names []server.Name, refused *[]Refusal, err *error) {
	var name server.Name
	if len(names) == 1 {
		name = names[0]
	}
	o.noteRefused(who, what, name, err)
	for _, r := range *refused {
		o.RecordRefusal(server.Refusal{By: who, What: what, Server: r.Server, Err: r.Err})
	}
}

// refusalIn is the refusal that an error stands for, or nil: what failed for
// the host's sake was not refused, and is in the log already.
func refusalIn(err error) *server.Error {
	var e *server.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code {
	case server.CodeStorage, server.CodeInternal, server.CodeShuttingDown:
		return nil
	}
	return e
}
