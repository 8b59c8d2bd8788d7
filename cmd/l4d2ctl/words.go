package main

import (
	"fmt"

	"github.com/left4med/left4med/client"
)

// done is what a server is after a job: "started".
func done(kind client.JobKind) string {
	switch kind {
	case client.JobInstall:
		return "installed"
	case client.JobCheck:
		return "checked for updates"
	case client.JobInitialize:
		return "initialized"
	case client.JobStart:
		return "started"
	case client.JobStop:
		return "stopped"
	case client.JobRestart:
		return "restarted"
	case client.JobReset:
		return "reset"
	case client.JobDelete:
		return "deleted"
	case client.JobAdopt:
		return "adopted"
	case client.JobDisableOrphan:
		return "disabled and stopped"
	case client.JobBackup:
		return "backed up"
	case client.JobRestore:
		return "restored"
	}
	return string(kind) + " done"
}

// subject is what a job is about: its server, the game that all share, or the job
// itself.
func subject(job client.Job) string {
	switch {
	case job.Server != "":
		return string(job.Server)
	case job.Kind.OfHost():
		return "game"
	}
	return fmt.Sprintf("job %d", job.ID)
}

// ended is how a finished job ended, in words: "started", "start failed: why".
func ended(job client.Job) string {
	var how string
	switch job.State {
	case client.JobSucceeded:
		return done(job.Kind)
	case client.JobFailed:
		how = string(job.Kind) + " failed"
	case client.JobCanceled:
		how = string(job.Kind) + " was canceled"
		if job.SupersededBy != nil {
			how += fmt.Sprintf(", job %d took its place", *job.SupersededBy)
		}
	default:
		return string(job.Kind) + " is " + string(job.State)
	}
	if job.Error != nil && job.Error.Detail != "" {
		how += ": " + job.Error.Detail
	}
	return how
}

// asker is who asked for a job.
func asker(r client.Requester) string {
	who := r.User
	if who == "" {
		who = fmt.Sprintf("uid %d", r.UID)
	}
	if r.Via == "heal" {
		return "healing"
	}
	if r.OnBehalfOf != "" {
		who = r.OnBehalfOf + " through " + who
	}
	return who
}
