package server

import "time"

// JobKind is what a job does.
type JobKind string

// The kinds of jobs.
const (
	JobInstall       JobKind = "install"
	JobCheck         JobKind = "check" // is there a newer build of the game
	JobInitialize    JobKind = "initialize"
	JobStart         JobKind = "start"
	JobStop          JobKind = "stop"
	JobRestart       JobKind = "restart"
	JobReset         JobKind = "reset"
	JobDelete        JobKind = "delete"
	JobAdopt         JobKind = "adopt"
	JobDisableOrphan JobKind = "disable-orphan"
	JobBackup        JobKind = "backup"
	JobRestore       JobKind = "restore"
)

// Starts says whether jobs of the kind start a server.
func (k JobKind) Starts() bool { return k == JobStart || k == JobRestart }

// Ends says whether jobs of the kind leave a server stopped.
func (k JobKind) Ends() bool {
	switch k {
	case JobStop, JobReset, JobDelete, JobDisableOrphan, JobRestore:
		return true
	}
	return false
}

// EndsWait says whether a request for the kind takes the place of a job that waits
// until nobody plays. All others go on beside it.
func (k JobKind) EndsWait() bool { return k == JobRestart || k == JobInstall || k.Ends() }

// OfHost says whether jobs of the kind are about the installation that all servers
// share, and no server's.
func (k JobKind) OfHost() bool { return k == JobInstall || k == JobCheck }

// JobState is where a job stands.
type JobState string

// The states of a job. The last three are final.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobSucceeded JobState = "succeeded"
	JobFailed    JobState = "failed"
	JobCanceled  JobState = "canceled"
)

// Finished says whether the state is final.
func (s JobState) Finished() bool {
	return s == JobSucceeded || s == JobFailed || s == JobCanceled
}

// Via is the door a request came through.
type Via string

// The doors.
const (
	ViaHTTP Via = "http"
	ViaDBus Via = "dbus"
	ViaHeal Via = "heal"
)

// Requester is who asked for a job, from the kernel's or the bus's word.
type Requester struct {
	UID        uint32 `json:"uid"`
	User       string `json:"user,omitempty" doc:"The uid's name, when it has one."`
	Via        Via    `json:"via" enum:"http,dbus,heal"`
	OnBehalfOf string `json:"on_behalf_of,omitempty" doc:"The user of the web frontend, as the frontend says."`
}

// Job is one piece of work. It is stored before it begins.
type Job struct {
	ID           int64     `json:"id"`
	Server       Name      `json:"server,omitempty"`
	ServerID     int64     `json:"server_id,omitempty"`
	SupersededBy *int64    `json:"superseded_by" doc:"The job that took this one's place, or null."`
	Kind         JobKind   `json:"kind" enum:"install,check,initialize,start,stop,restart,reset,delete,adopt,disable-orphan,backup,restore"`
	State        JobState  `json:"state" enum:"queued,running,succeeded,failed,canceled"`
	RequestedBy  Requester `json:"requested_by"`
	CreatedAt    time.Time `json:"created_at"`
	StartedAt    time.Time `json:"started_at,omitzero"`
	FinishedAt   time.Time `json:"finished_at,omitzero"`
	Progress     *Progress `json:"progress,omitempty"`
	Error        *JobError `json:"error,omitempty"`
}

// Progress is how far a job is.
type Progress struct {
	Done  int64  `json:"done"`
	Total int64  `json:"total" doc:"In the unit of done; 0 when not known."`
	Text  string `json:"text"`
}

// JobError says why a job failed or was canceled.
type JobError struct {
	Code   Code     `json:"code"`
	Detail string   `json:"detail"`
	Logs   []string `json:"logs,omitempty" doc:"The unit's last lines, escaped, oldest first."`
}

// Verdict is what to do with a request for a job while another is queued or
// in flight for the same server.
type Verdict int

// The verdicts.
const (
	Accept    Verdict = iota // nothing is in the way
	Join                     // the same job is already there: answer with it
	Supersede                // the other job ends canceled, the new one takes its place
	Busy                     // refuse with the job in the way
)

// JudgeWait is Judge for a request that is to wait until nobody plays: it does so
// beside a backup, and beside a check for updates.
func JudgeWait(requested, current JobKind) Verdict {
	if current == JobBackup || current == JobCheck {
		return Accept
	}
	return Judge(requested, current)
}

// Judge decides between a new request and the job that is queued or in flight
// for its server; current is empty when there is none. A stop always wins:
// stop, reset and delete supersede what would start the server. The same
// request twice is one job.
func Judge(requested, current JobKind) Verdict {
	switch {
	case current == "":
		return Accept
	case requested == current:
		return Join
	case (requested == JobStop || requested == JobDelete || requested == JobReset) &&
		(current == JobStart || current == JobRestart):
		return Supersede
	}
	return Busy
}
