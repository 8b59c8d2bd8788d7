package server

import (
	"fmt"
	"time"
)

// HistoryKind is what an entry of the history is about.
type HistoryKind string

// The kinds of entries. Readers ignore kinds they do not know.
const (
	HistoryJob     HistoryKind = "job"     // a job was accepted, or has ended
	HistoryRefusal HistoryKind = "refusal" // a request was refused
	HistoryChange  HistoryKind = "change"  // something was changed without a job
	HistoryState   HistoryKind = "state"   // a server's state changed; the same state twice: its unit ran anew, unseen
	HistoryDesired HistoryKind = "desired" // a server was enabled or disabled
	HistoryDrift   HistoryKind = "drift"   // intent and truth parted, or met again
	HistoryHealing HistoryKind = "healing" // left4med is about to start a server again, or gave up
	HistoryOrphan  HistoryKind = "orphan"  // a unit or an instance's directory without a server was found, or is one no more
	HistoryAlert   HistoryKind = "alert"   // alerts that will never be delivered
)

// What became of alerts that will never be delivered, as a HistoryEntry's To.
const (
	AlertDropped = "dropped"  // too many waited
	AlertGivenUp = "given-up" // tried for too long
)

// HistoryEntry is one thing that happened, and who asked for it. A field that
// is zero is unknown, or there is none.
type HistoryEntry struct {
	ID       int64       `json:"id" doc:"Grows; never used again."`
	At       time.Time   `json:"at"`
	Server   string      `json:"server,omitempty" doc:"The server's name; for a refusal as it was named, cut and escaped when it is no name."`
	ServerID int64       `json:"server_id,omitempty"`
	Kind     HistoryKind `json:"kind" doc:"job (accepted, or ended), refusal, change, state, desired, drift, healing, orphan, alert; there may be others."`
	What     string      `json:"what,omitempty" doc:"The job's kind, or the verb: start, initialize, change, cancel."`
	From     string      `json:"from,omitempty" doc:"The state, intent or drift before; left out when it is new."`
	To       string      `json:"to,omitempty" doc:"The state, intent or drift from then on."`
	Job      int64       `json:"job,omitempty" doc:"The job it is about, or that was under way; for a refusal with the code busy, the one in the way."`
	By       *Requester  `json:"by,omitempty" doc:"Who asked, from the kernel's or the bus's word."`
	SeenBy   string      `json:"seen_by,omitempty" doc:"How it was observed: signal, resync or job."`
	Since    time.Time   `json:"since,omitzero" doc:"When the server came to that state, as systemd says, where it was seen only later."`
	Code     Code        `json:"code,omitempty" doc:"Why it was refused or did not succeed."`
	Detail   string      `json:"detail,omitempty" doc:"The same in words; for a change: what was changed."`
}

// Words says in a few words what happened, without the server, the detail and
// who asked: "start asked for, job 17", "stop refused".
func (e HistoryEntry) Words() string {
	var s string
	switch {
	case e.Kind == HistoryRefusal && e.What == "":
		return "requests refused"
	case e.Kind == HistoryRefusal:
		return e.What + " refused"
	case e.Kind == HistoryJob && e.To == string(JobQueued):
		s = e.What + " asked for"
	case e.Kind == HistoryJob:
		s = e.What + " " + e.To
	case e.Kind == HistoryChange:
		s = e.What
	case e.Kind == HistoryDesired && e.To == string(DesiredRunning):
		s = "enabled"
	case e.Kind == HistoryDesired:
		s = "disabled"
	case e.Kind == HistoryHealing && e.To == "gave-up":
		s = "healing gave up"
	case e.Kind == HistoryHealing:
		s = "healing " + e.To
	case e.Kind == HistoryOrphan && e.To == OrphanFound:
		s = "orphan found"
	case e.Kind == HistoryOrphan:
		s = "orphan no more"
	case e.Kind == HistoryAlert:
		s = "alert " + e.To
	case e.Kind == HistoryState:
		s = e.From + " -> " + e.To
	default:
		s = fmt.Sprintf("%s: %s -> %s", e.Kind, e.From, e.To)
	}
	if e.Job != 0 {
		s += fmt.Sprintf(", job %d", e.Job)
	}
	return s
}

// HistoryOf is what the history says of a job as it stands: that it was
// accepted, or how it has ended. From is left out.
func HistoryOf(j *Job) HistoryEntry {
	e := HistoryEntry{
		At: j.CreatedAt, Server: string(j.Server), ServerID: j.ServerID, Kind: HistoryJob,
		What: string(j.Kind), To: string(j.State), Job: j.ID, By: &j.RequestedBy,
	}
	if j.State.Finished() {
		e.At = j.FinishedAt
	}
	switch {
	case j.Error != nil:
		e.Code, e.Detail = j.Error.Code, j.Error.Detail
	case j.SupersededBy != nil:
		e.Detail = fmt.Sprintf("job %d took its place", *j.SupersededBy)
	}
	return e
}

// HistoryFilter selects entries of the history, newest first.
type HistoryFilter struct {
	Server Name          // empty: all; else also those of earlier servers of the name
	Kinds  []HistoryKind // empty: all
	Since  time.Time     // none older; zero: all
	Before int64         // only ids below; 0: from the newest
	Limit  int           // at most so many; 0: 100
}

// Refusal is a request that was refused, for the history.
type Refusal struct {
	By     Requester
	What   string // the kind of the job asked for, or the verb, as in HistoryEntry
	Server string // as the request named it, unchecked; empty when it is about none
	Err    *Error // its cause, Err.Err, is left out of the history
}
