package server_test

import (
	"testing"

	"github.com/left4med/left4med/internal/server"
)

// Every pair of active and sub state that a service of systemd 252 to 258 can
// be in (src/basic/unit-def.c, src/core/service.c).
func TestDeriveState(t *testing.T) {
	t.Parallel()
	tests := []struct {
		unit server.Unit
		want server.State
	}{
		{server.Unit{}, server.StateUnknown},
		{server.Unit{Active: "active", Sub: "running"}, server.StateRunning},
		{server.Unit{Active: "active", Sub: "start-post"}, server.StateRunning},
		{server.Unit{Active: "active", Sub: "exited"}, server.StateStopped},
		{server.Unit{Active: "active", Sub: "running", Load: "masked"}, server.StateRunning},
		{server.Unit{Active: "active", Sub: "running", Load: "not-found"}, server.StateRunning},
		{server.Unit{Active: "reloading", Sub: "reload"}, server.StateRunning},
		{server.Unit{Active: "reloading", Sub: "reload-signal"}, server.StateRunning},
		{server.Unit{Active: "reloading", Sub: "reload-notify"}, server.StateRunning},
		{server.Unit{Active: "refreshing", Sub: "refresh-extensions"}, server.StateRunning},
		{server.Unit{Active: "activating", Sub: "condition"}, server.StateStarting},
		{server.Unit{Active: "activating", Sub: "start-pre"}, server.StateStarting},
		{server.Unit{Active: "activating", Sub: "start"}, server.StateStarting},
		{server.Unit{Active: "activating", Sub: "start-post"}, server.StateStarting},
		{server.Unit{Active: "activating", Sub: "auto-restart"}, server.StateRestarting},
		{server.Unit{Active: "activating", Sub: "auto-restart-queued"}, server.StateRestarting},
		{server.Unit{Active: "inactive", Sub: "dead-before-auto-restart", Load: "loaded"}, server.StateRestarting},
		{server.Unit{Active: "failed", Sub: "failed-before-auto-restart", Load: "loaded"}, server.StateRestarting},
		{server.Unit{Active: "deactivating", Sub: "stop"}, server.StateStopping},
		{server.Unit{Active: "deactivating", Sub: "stop-sigterm"}, server.StateStopping},
		{server.Unit{Active: "deactivating", Sub: "stop-sigkill"}, server.StateStopping},
		{server.Unit{Active: "deactivating", Sub: "stop-watchdog"}, server.StateStopping},
		{server.Unit{Active: "deactivating", Sub: "stop-post"}, server.StateStopping},
		{server.Unit{Active: "deactivating", Sub: "final-sigterm"}, server.StateStopping},
		{server.Unit{Active: "deactivating", Sub: "final-sigkill"}, server.StateStopping},
		{server.Unit{Active: "deactivating", Sub: "final-watchdog"}, server.StateStopping},
		{server.Unit{Active: "inactive", Sub: "dead", Load: "loaded"}, server.StateStopped},
		{server.Unit{Active: "inactive", Sub: "dead-resources-pinned", Load: "loaded"}, server.StateStopped},
		{server.Unit{Active: "inactive", Sub: "dead", Load: "masked"}, server.StateStopped},
		{server.Unit{Active: "inactive", Sub: "dead", Load: "loaded", Job: 7, JobType: "start"}, server.StateStarting},
		{server.Unit{Active: "inactive", Sub: "dead", Load: "loaded", Job: 7, JobType: "restart"}, server.StateStarting},
		{server.Unit{Active: "inactive", Sub: "dead", Load: "loaded", Job: 7, JobType: "stop"}, server.StateStopped},
		{server.Unit{Active: "inactive", Sub: "dead", Load: "loaded", Job: 7}, server.StateStopped},
		{server.Unit{Active: "inactive", Sub: "dead", Load: "not-found"}, server.StateUnknown},
		{server.Unit{Active: "inactive", Sub: "dead", Load: "bad-setting"}, server.StateUnknown},
		{server.Unit{Active: "inactive", Sub: "dead", Load: "error"}, server.StateUnknown},
		{server.Unit{Active: "maintenance", Sub: "cleaning", Load: "loaded"}, server.StateStopped},
		{server.Unit{Active: "failed", Sub: "failed", Load: "loaded"}, server.StateFailed},
		{server.Unit{Active: "failed", Sub: "failed", Load: "loaded", Job: 7, JobType: "start"}, server.StateStarting},
		{server.Unit{Active: "levitating", Sub: "up"}, server.StateUnknown},
	}
	for _, tt := range tests {
		if got := server.DeriveState(tt.unit); got != tt.want {
			t.Errorf("DeriveState(%+v) = %s, want %s", tt.unit, got, tt.want)
		}
	}
}

func TestDeriveDrift(t *testing.T) {
	t.Parallel()
	on, off := server.DesiredRunning, server.DesiredStopped
	tests := []struct {
		c    server.Circumstances
		want server.Drift
	}{
		{server.Circumstances{Desired: on, State: server.StateRunning}, server.DriftNone},
		{server.Circumstances{Desired: off, State: server.StateStopped}, server.DriftNone},
		{server.Circumstances{Desired: on, State: server.StateStopped}, server.DriftDown},
		{server.Circumstances{Desired: on, State: server.StateFailed}, server.DriftDown},
		{server.Circumstances{Desired: off, State: server.StateFailed}, server.DriftNone},
		{server.Circumstances{Desired: on, State: server.StateRestarting}, server.DriftNone},
		{server.Circumstances{Desired: on, State: server.StateStarting}, server.DriftNone},
		{server.Circumstances{Desired: on, State: server.StateStopping}, server.DriftNone},
		{server.Circumstances{Desired: on, State: server.StateUnknown}, server.DriftNone},
		{server.Circumstances{Desired: off, State: server.StateRunning}, server.DriftNotEnabled},
		{server.Circumstances{Desired: off, State: server.StateRestarting}, server.DriftNotEnabled},
		{server.Circumstances{Desired: off, State: server.StateStopping}, server.DriftNone},
		{server.Circumstances{Desired: on, State: server.StateRunning, Flapping: true}, server.DriftFlapping},
		{server.Circumstances{Desired: on, State: server.StateFailed, Flapping: true}, server.DriftDown},
		{server.Circumstances{Desired: on, State: server.StateStopped, Missing: true}, server.DriftMissing},
		{server.Circumstances{Desired: on, State: server.StateStopped, Missing: true, Masked: true}, server.DriftMasked},
	}
	for _, tt := range tests {
		if got := server.DeriveDrift(tt.c); got != tt.want {
			t.Errorf("DeriveDrift(%+v) = %s, want %s", tt.c, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		requested, current server.JobKind
		want               server.Verdict
	}{
		{server.JobStart, "", server.Accept},
		{server.JobStart, server.JobStart, server.Join},
		{server.JobDelete, server.JobDelete, server.Join},
		{server.JobStop, server.JobStart, server.Supersede},
		{server.JobStop, server.JobRestart, server.Supersede},
		{server.JobDelete, server.JobStart, server.Supersede},
		{server.JobReset, server.JobRestart, server.Supersede},
		{server.JobStart, server.JobStop, server.Busy},
		{server.JobStart, server.JobRestart, server.Busy},
		{server.JobStop, server.JobDelete, server.Busy},
		{server.JobDelete, server.JobStop, server.Busy},
		{server.JobDelete, server.JobInitialize, server.Busy},
		{server.JobStart, server.JobInitialize, server.Busy},
	}
	for _, tt := range tests {
		if got := server.Judge(tt.requested, tt.current); got != tt.want {
			t.Errorf("Judge(%s over %s) = %d, want %d", tt.requested, tt.current, got, tt.want)
		}
	}
}
