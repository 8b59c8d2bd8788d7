package server

import "fmt"

// Code is the stable, machine-readable kind of an error, as it appears in
// problem+json and in a job.
type Code string

// The codes. A client may compare them; their meaning does not change.
const (
	CodeInvalidRequest     Code = "invalid-request"
	CodeInvalidName        Code = "invalid-name"
	CodeServerNotFound     Code = "server-not-found"
	CodeJobNotFound        Code = "job-not-found"
	CodeOrphanNotFound     Code = "orphan-not-found"
	CodeBackupNotFound     Code = "backup-not-found"
	CodeBackupDamaged      Code = "backup-damaged"
	CodeNoSpace            Code = "no-space"
	CodeNotFound           Code = "not-found"
	CodeMethodNotAllowed   Code = "method-not-allowed"
	CodeNameTaken          Code = "name-taken"
	CodePortTaken          Code = "port-taken"
	CodeNoFreePort         Code = "no-free-port"
	CodeOverlayNotFound    Code = "overlay-not-found"
	CodeOverlayInUse       Code = "overlay-in-use"
	CodeBusy               Code = "busy"
	CodeTooLarge           Code = "too-large"
	CodeTooMany            Code = "too-many"
	CodeNotAuthorized      Code = "not-authorized"
	CodeNotRunning         Code = "not-running"
	CodeGameUnreachable    Code = "game-unreachable"
	CodeGameStranger       Code = "game-stranger"
	CodeRCONRefused        Code = "rcon-refused"
	CodeProbeUnavailable   Code = "probe-unavailable"
	CodeSystemdUnavailable Code = "systemd-unavailable"
	CodeTemplateMissing    Code = "template-missing"
	CodeMasked             Code = "masked"
	CodeNotInstalled       Code = "game-not-installed"
	CodeInstanceFiles      Code = "instance-files"
	CodeNotAdoptable       Code = "not-adoptable"
	CodeJobsDisabled       Code = "jobs-disabled"
	CodeJobFailed          Code = "job-failed"
	CodeJobFinished        Code = "job-finished"
	CodeOvertaken          Code = "overtaken"
	CodeStorage            Code = "storage"
	CodeShuttingDown       Code = "shutting-down"
	CodeInternal           Code = "internal"
)

// Error is an error that a client is told: what could not be done, to what,
// and what to do about it.
type Error struct {
	Code   Code
	Field  string // the request's field at fault, as "config.port"; empty when none is
	Detail string // one or two plain sentences, without the code
	Job    int64  // the job in the way, for CodeBusy; 0 when there is none

	Challenge bool // for CodeNotAuthorized: a password would do

	Err error // the cause, for the log; never shown to a client
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Detail, e.Err)
	}
	return e.Detail
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) compare codes alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an Error of a code with a formatted detail.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}
