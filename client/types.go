package client

import (
	"encoding/json"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// The domain's types, as the API speaks them.
type (
	Name        = server.Name
	Server      = server.Server
	State       = server.State
	Desired     = server.Desired
	Drift       = server.Drift
	Healing     = server.Healing
	Phase       = server.Phase
	Observer    = server.Observer
	Config      = server.Config
	ConfigPatch = server.ConfigPatch
	Heal        = server.Heal
	Job         = server.Job
	JobKind     = server.JobKind
	JobState    = server.JobState
	JobError    = server.JobError
	Progress    = server.Progress
	Requester   = server.Requester
	Via         = server.Via
	Code        = server.Code

	Game    = server.Game
	Player  = server.Player
	Players = server.Players
	Output  = server.Output

	Orphan  = server.Orphan
	Overlay = server.Overlay

	InstallOptions = server.InstallOptions
	When           = server.When
	Updates        = server.Updates

	Backup       = server.Backup
	BackupReason = server.BackupReason

	Availability = server.Availability
	PresenceSpan = server.PresenceSpan
	Presence     = server.Presence
	Series       = server.Series

	HistoryEntry = server.HistoryEntry
	HistoryKind  = server.HistoryKind

	Health        = server.Health
	SystemdHealth = server.SystemdHealth
	ResyncHealth  = server.ResyncHealth
	JobsHealth    = server.JobsHealth
	DBHealth      = server.DBHealth
	ProbeHealth   = server.ProbeHealth
	Check         = server.Check
	AlertHealth   = server.AlertHealth
	AlertResult   = server.AlertResult
)

// The states of a server.
const (
	StateRunning    = server.StateRunning
	StateStarting   = server.StateStarting
	StateRestarting = server.StateRestarting
	StateStopping   = server.StateStopping
	StateStopped    = server.StateStopped
	StateFailed     = server.StateFailed
	StateUnknown    = server.StateUnknown
)

// The two intents.
const (
	DesiredRunning = server.DesiredRunning
	DesiredStopped = server.DesiredStopped
)

// WhenEmpty has a job wait until nobody plays. The progress of one that does begins
// with WaitingForEmpty.
const (
	WhenEmpty       = server.WhenEmpty
	WaitingForEmpty = server.WaitingForEmpty
)

// The kinds of drift.
const (
	DriftMasked     = server.DriftMasked
	DriftMissing    = server.DriftMissing
	DriftDown       = server.DriftDown
	DriftFlapping   = server.DriftFlapping
	DriftNotEnabled = server.DriftNotEnabled
	DriftNone       = server.DriftNone
)

// The phases of a server's life.
const (
	PhaseCreating = server.PhaseCreating
	PhaseReady    = server.PhaseReady
	PhaseDeleting = server.PhaseDeleting
)

// The wishes for healing.
const (
	HealOff    = server.HealOff
	HealFailed = server.HealFailed
	HealAlways = server.HealAlways
)

// The kinds of jobs.
const (
	JobInstall       = server.JobInstall
	JobCheck         = server.JobCheck
	JobInitialize    = server.JobInitialize
	JobStart         = server.JobStart
	JobStop          = server.JobStop
	JobRestart       = server.JobRestart
	JobReset         = server.JobReset
	JobDelete        = server.JobDelete
	JobAdopt         = server.JobAdopt
	JobDisableOrphan = server.JobDisableOrphan
	JobBackup        = server.JobBackup
	JobRestore       = server.JobRestore
)

// The states of a job; the last three are final.
const (
	JobQueued    = server.JobQueued
	JobRunning   = server.JobRunning
	JobSucceeded = server.JobSucceeded
	JobFailed    = server.JobFailed
	JobCanceled  = server.JobCanceled
)

// The kinds of entries of the history.
const (
	HistoryJob     = server.HistoryJob
	HistoryRefusal = server.HistoryRefusal
	HistoryChange  = server.HistoryChange
	HistoryState   = server.HistoryState
	HistoryDesired = server.HistoryDesired
	HistoryDrift   = server.HistoryDrift
	HistoryHealing = server.HistoryHealing
	HistoryOrphan  = server.HistoryOrphan
	HistoryAlert   = server.HistoryAlert
)

// What a server was at a time.
const (
	PresenceUp      = server.PresenceUp
	PresenceDown    = server.PresenceDown
	PresenceStopped = server.PresenceStopped
	PresenceUnknown = server.PresenceUnknown
)

// Why backups are taken.
const (
	BackupAsked         = server.BackupAsked
	BackupBeforeReset   = server.BackupBeforeReset
	BackupBeforeRestore = server.BackupBeforeRestore
	BackupUnknown       = server.BackupUnknown
)

// The codes of errors.
const (
	CodeInvalidRequest     = server.CodeInvalidRequest
	CodeInvalidName        = server.CodeInvalidName
	CodeServerNotFound     = server.CodeServerNotFound
	CodeJobNotFound        = server.CodeJobNotFound
	CodeOrphanNotFound     = server.CodeOrphanNotFound
	CodeBackupNotFound     = server.CodeBackupNotFound
	CodeBackupDamaged      = server.CodeBackupDamaged
	CodeNoSpace            = server.CodeNoSpace
	CodeNotFound           = server.CodeNotFound
	CodeMethodNotAllowed   = server.CodeMethodNotAllowed
	CodeNameTaken          = server.CodeNameTaken
	CodePortTaken          = server.CodePortTaken
	CodeNoFreePort         = server.CodeNoFreePort
	CodeOverlayNotFound    = server.CodeOverlayNotFound
	CodeOverlayInUse       = server.CodeOverlayInUse
	CodeBusy               = server.CodeBusy
	CodeTooLarge           = server.CodeTooLarge
	CodeTooMany            = server.CodeTooMany
	CodeNotAuthorized      = server.CodeNotAuthorized
	CodeNotRunning         = server.CodeNotRunning
	CodeGameUnreachable    = server.CodeGameUnreachable
	CodeGameStranger       = server.CodeGameStranger
	CodeRCONRefused        = server.CodeRCONRefused
	CodeProbeUnavailable   = server.CodeProbeUnavailable
	CodeSystemdUnavailable = server.CodeSystemdUnavailable
	CodeTemplateMissing    = server.CodeTemplateMissing
	CodeMasked             = server.CodeMasked
	CodeNotInstalled       = server.CodeNotInstalled
	CodeInstanceFiles      = server.CodeInstanceFiles
	CodeNotAdoptable       = server.CodeNotAdoptable
	CodeJobsDisabled       = server.CodeJobsDisabled
	CodeJobFailed          = server.CodeJobFailed
	CodeJobFinished        = server.CodeJobFinished
	CodeOvertaken          = server.CodeOvertaken
	CodeStorage            = server.CodeStorage
	CodeShuttingDown       = server.CodeShuttingDown
	CodeInternal           = server.CodeInternal

	CodeInstallationInUse   = server.CodeInstallationInUse
	CodeNotEmpty            = server.CodeNotEmpty
	CodeSteamCMDMissing     = server.CodeSteamCMDMissing
	CodeNoNetwork           = server.CodeNoNetwork
	CodeInvalidPlatform     = server.CodeInvalidPlatform
	CodeLoginFailed         = server.CodeLoginFailed
	CodeSteamGuard          = server.CodeSteamGuard
	CodeSteamCMDFailed      = server.CodeSteamCMDFailed
	CodeInstallationDamaged = server.CodeInstallationDamaged
)

// Snapshot is all servers at one moment, sorted by name.
type Snapshot struct {
	Servers []Server
	EventID uint64 // where Events begins without a gap
}

// Listing is a Snapshot whose servers are JSON, as they came.
type Listing struct {
	Servers []json.RawMessage
	EventID uint64
}

// Action is what POST /v1/actions does to many servers.
type Action string

// The actions.
const (
	ActionStart   Action = "start"
	ActionStop    Action = "stop"
	ActionRestart Action = "restart"
)

// ActionResult is the answer to a request over many servers.
type ActionResult struct {
	Jobs    []Job     `json:"jobs"`
	Refused []Refusal `json:"refused"`
}

// Refusal says why one server of a request over many was left out.
type Refusal struct {
	Server string `json:"server"`
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
	Job    int64  `json:"job,omitempty"` // the job in the way, for CodeBusy
}

// JobsFilter selects jobs, newest first. The zero value selects the newest ones
// of all servers, as many as the daemon gives at once.
type JobsFilter struct {
	Server string   // empty: all, also of deleted servers
	State  JobState // empty: all
	Before int64    // only ids below; 0: from the newest
	Limit  int      // 0: the daemon's default
}

// HistoryFilter selects entries of the history, newest first. The zero value
// selects the newest ones of all servers, as many as the daemon gives at once.
type HistoryFilter struct {
	Server string        // empty: all; else also those of earlier servers of the name
	Kinds  []HistoryKind // empty: all
	Since  time.Time     // none older; zero: all
	Before int64         // only ids below; 0: from the newest
	Limit  int           // 0: the daemon's default
}

// EventType is what an event is about. Readers ignore types they do not know.
type EventType string

// The types of events.
const (
	EventServer  EventType = "server"  // a server is new or changed: Event.Server
	EventJob     EventType = "job"     // a job is new or changed: Event.Job
	EventDeleted EventType = "deleted" // a server is gone: Event.Deleted
	EventReset   EventType = "reset"   // events were missed: read everything again
)

// Event is one change. The field of its type is set, the others are nil.
type Event struct {
	ID      uint64
	Type    EventType
	Server  *Server
	Job     *Job
	Deleted *Deleted
	Data    []byte // the JSON as it came
}

// Deleted is a server that is gone.
type Deleted struct {
	ID   int64 `json:"id"`
	Name Name  `json:"name"`
}

// LogEntry is one line of a server's log. Message may hold anything a game can
// write.
type LogEntry struct {
	At       time.Time `json:"at"`
	Priority int       `json:"priority"` // syslog's: 3 error, 4 warning, 6 informational
	PID      int       `json:"pid,omitempty"`
	Message  string    `json:"message"`
	Cursor   string    `json:"cursor"` // journald's name of this entry
}

// Visible returns text in a form that is safe to show to a person: control
// characters, invalid UTF-8 and invisible characters appear escaped.
func Visible(s string) string { return server.Visible(s) }

// Bytes is a number of bytes for people: "12.3 MB".
func Bytes(n int64) string { return server.Bytes(n) }

// In names a time to come by how long it is until then: "in 40 s".
func In(d time.Duration) string { return server.In(d) }

// ParseName checks a server's name against the rule for names.
func ParseName(s string) (Name, error) {
	name, err := server.ParseName(s)
	if err != nil {
		return "", refusedHere(err)
	}
	return name, nil
}

// CheckSecret checks a secret's name, rcon, password or gslt, and the value it
// shall have, which may be empty. The error does not hold the value.
func CheckSecret(which, value string) error {
	name, err := server.ParseSecretName(which)
	if err == nil {
		_, err = server.NewSecret(name, value)
	}
	if err != nil {
		return refusedHere(err)
	}
	return nil
}
