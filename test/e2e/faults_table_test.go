package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
)

func faults() []fault {
	return slices.Concat(faultsOfGames(), faultsByHand(), faultsOfFiles(), faultsOfSystemd(), faultsOfTheDaemon())
}

const restarting = string(client.StateRestarting)

// stoppedAndStarted is what the history tells of a server that another hand
// stops and starts.
func stoppedAndStarted(name, by string) []row {
	return []row{
		stateRow(name, client.StateRunning, client.StateStopped, "", by),
		driftRow(name, client.DriftNone, client.DriftDown, by),
		stateRow(name, client.StateStopped, client.StateRunning, aPID, by),
		driftRow(name, client.DriftDown, client.DriftNone, by),
	}
}

// stopAndStart does that.
func (f *faultLab) stopAndStart(t *testing.T, name string) {
	t.Helper()
	f.systemctl(t, "stop", unit(name))
	f.awaitMoment(t, name, lost)
	f.agree(t, name)
	f.systemctl(t, "start", unit(name))
	f.awaitMoment(t, name, up)
}

func faultsOfGames() []fault {
	return []fault{{
		name:    "Kill",
		happens: func(t *testing.T, f *faultLab) { f.kill(t, "a", func() {}) },
		rows: []row{
			stateRow("a", client.StateRunning, client.StateRestarting, "result signal", bySignal),
			stateRow("a", client.StateRestarting, client.StateRunning, aPID, bySignal),
		},
	}, {
		name: "CrashLoop",
		happens: func(t *testing.T, f *faultLab) {
			f.atStartRunning(t, "loop", "exit 3")
			f.systemctl(t, "kill", "--signal=SEGV", unit("loop"))
			f.awaitMoment(t, "loop", dead)
			f.agree(t, "loop")
			f.systemctl(t, "stop", "left4me-overlay@loop.service") // below a mount nothing may be changed
			f.MustRun(t, "rm", "/var/lib/left4me/runtime/loop/upper/standin.conf")
			f.MustCtl(t, "start", "loop")
		},
		// systemd tells of each start and each crash or, when they follow one
		// another too closely, does not.
		passing: []string{restarting, string(client.StateRunning)},
		rows: slices.Concat([]row{
			stateRow("loop", client.StateRunning, client.StateFailed, "result .+", bySignal),
			driftRow("loop", client.DriftNone, client.DriftDown, bySignal),
		}, jobRows(1, "loop", client.JobStart, client.JobSucceeded), []row{
			stateRow("loop", client.StateFailed, client.StateRunning, aPID, byJob).during(1),
			driftRow("loop", client.DriftDown, client.DriftNone, byJob),
		}),
	}}
}

func faultsByHand() []fault {
	return []fault{{
		name:    "Stop",
		happens: func(t *testing.T, f *faultLab) { f.stopAndStart(t, "a") },
		rows:    stoppedAndStarted("a", bySignal),
	}, {
		name: "DisableNow",
		happens: func(t *testing.T, f *faultLab) {
			f.systemctl(t, "disable", "--now", unit("a"))
			f.awaitMoment(t, "a", down)
			f.agree(t, "a")
			f.systemctl(t, "enable", "--now", unit("a"))
		},
		// It is done in two steps.
		passing: []string{string(client.DriftNotEnabled), string(client.DriftDown)},
		rows: []row{
			desiredRow("a", client.DesiredStopped, byReload),
			stateRow("a", client.StateRunning, client.StateStopped, "", byReload),
			desiredRow("a", client.DesiredRunning, byReload),
			stateRow("a", client.StateStopped, client.StateRunning, aPID, byReload),
		},
	}, {
		name: "Enable",
		happens: func(t *testing.T, f *faultLab) {
			f.systemctl(t, "enable", unit("idle"))
			f.awaitMoment(t, "idle", lost)
			f.agree(t, "idle")
			f.systemctl(t, "disable", unit("idle"))
		},
		rows: []row{
			desiredRow("idle", client.DesiredRunning, byReload), driftRow("idle", client.DriftNone, client.DriftDown, byReload),
			desiredRow("idle", client.DesiredStopped, byReload), driftRow("idle", client.DriftDown, client.DriftNone, byReload),
		},
	}, {
		name: "Mask",
		happens: func(t *testing.T, f *faultLab) {
			f.systemctl(t, "mask", unit("run"), unit("a"))
			f.awaitMoment(t, "run", moment{client.DesiredRunning, client.StateRunning, client.DriftMasked})
			f.awaitMoment(t, "a", moment{client.DesiredRunning, client.StateRunning, client.DriftMasked})
			f.agree(t, "run")
			f.systemctl(t, "stop", unit("a"))
			f.awaitMoment(t, "a", moment{client.DesiredRunning, client.StateStopped, client.DriftMasked})
			f.agree(t, "a")
			f.systemctl(t, "unmask", unit("run"), unit("a"))
			f.awaitMoment(t, "a", lost)
			f.systemctl(t, "start", unit("a"))
		},
		rows: []row{
			driftRow("run", client.DriftNone, client.DriftMasked, byReload), driftRow("run", client.DriftMasked, client.DriftNone, byReload),
			driftRow("a", client.DriftNone, client.DriftMasked, byReload), driftRow("a", client.DriftMasked, client.DriftDown, byReload),
			driftRow("a", client.DriftDown, client.DriftNone, byReload),
			stateRow("a", client.StateRunning, client.StateStopped, "", byReload),
			stateRow("a", client.StateStopped, client.StateRunning, aPID, byReload),
		},
	}}
}

func faultsOfFiles() []fault {
	const idle = "/var/lib/left4me/instances/idle"
	failed := jobRows(1, "idle", client.JobStart, client.JobFailed)
	failed[1].Code, failed[1].Detail = client.CodeInstanceFiles, ".*"+idle+".*"
	var lacking []row
	for _, name := range []string{"a", "b", "idle", "loop", "run"} {
		lacking = append(lacking, driftRow(name, client.DriftNone, client.DriftMissing, byReload), driftRow(name, client.DriftMissing, client.DriftNone, byReload))
	}
	return []fault{{
		name: "DeletedInstance",
		happens: func(t *testing.T, f *faultLab) {
			gone := moment{client.DesiredStopped, client.StateStopped, client.DriftMissing}
			f.shell(t, "cp -a "+idle+" /root/idle; rm -r "+idle)
			if f.deaf {
				f.awaitMoment(t, "idle", gone)
			}
			// Nobody tells that a file is gone, but a start looks.
			f.jobFails(t, "idle", client.CodeInstanceFiles, idle)
			f.awaitMoment(t, "idle", gone)
			f.agree(t, "idle")
			f.MustRun(t, "mv", "/root/idle", idle)
			f.systemctl(t, "daemon-reload")
		},
		rows: slices.Concat(failed, []row{
			driftRow("idle", client.DriftNone, client.DriftMissing, byJob),
			driftRow("idle", client.DriftMissing, client.DriftNone, byReload),
		}),
	}, {
		name: "RemovedTemplate",
		happens: func(t *testing.T, f *faultLab) {
			path := strings.TrimSpace(f.systemctl(t, "show", "--property=FragmentPath", "--value", unit("run")))
			f.MustRun(t, "mv", path, "/root/"+template)
			f.systemctl(t, "daemon-reload")
			missing := moment{client.DesiredRunning, client.StateRunning, client.DriftMissing}
			for name, is := range map[string]moment{
				"a": missing, "b": missing, "loop": missing, "run": missing,
				// What cannot be loaded has no state.
				"idle": {client.DesiredStopped, client.StateUnknown, client.DriftMissing},
			} {
				f.awaitMoment(t, name, is)
			}
			f.MustRun(t, "mv", "/root/"+template, path)
			f.systemctl(t, "daemon-reload")
		},
		rows: slices.Concat(lacking, []row{
			stateRow("idle", client.StateStopped, client.StateUnknown, "", byReload),
			stateRow("idle", client.StateUnknown, client.StateStopped, "", byReload),
		}),
	}}
}

func faultsOfSystemd() []fault {
	restarted := []row{stateRow("a", client.StateRunning, client.StateRunning, aPID, byReload)}
	return []fault{{
		name: "ReloadStorm",
		happens: func(t *testing.T, f *faultLab) {
			f.kill(t, "a", func() { f.shell(t, "for i in 1 2 3 4 5 6 7 8 9 10; do systemctl daemon-reload; done") })
		},
		passing: []string{restarting}, rows: restarted,
	}, {
		name: "Reexec",
		happens: func(t *testing.T, f *faultLab) {
			f.kill(t, "a", func() { f.systemctl(t, "daemon-reexec") })
		},
		passing: []string{restarting}, rows: restarted,
	}, {
		name: "BusKilled",
		happens: func(t *testing.T, f *faultLab) {
			f.systemctl(t, "kill", "--signal=KILL", "dbus.service")
			// The socket goes too, or the next who asks brings it back.
			f.systemctl(t, "stop", "dbus.socket", "dbus.service")
			f.MustCtl(t, "stop", "b")
			f.awaitMoment(t, "b", down)
			f.stopAndStart(t, "a")
			f.MustCtl(t, "start", "b")
			f.systemctl(t, "start", "dbus.socket", "dbus.service")
		},
		rows: slices.Concat(stoppedAndStarted("a", byReload),
			jobRows(1, "b", client.JobStop, client.JobSucceeded), jobRows(2, "b", client.JobStart, client.JobSucceeded), []row{
				desiredRow("b", client.DesiredStopped, byJob).during(1),
				stateRow("b", client.StateRunning, client.StateStopped, "", byJob).during(1),
				desiredRow("b", client.DesiredRunning, byJob).during(2),
				stateRow("b", client.StateStopped, client.StateRunning, aPID, byJob).during(2),
			}),
	}}
}

func faultsOfTheDaemon() []fault {
	return []fault{{
		name: "FullDisk",
		happens: func(t *testing.T, f *faultLab) {
			onDisk(t, f.lab, func() {
				f.systemctl(t, "start", "left4med.service")
				f.shell(t, "dd if=/dev/zero of="+state+"/filler bs=4k 2>/dev/null || true")
				_, err := f.api(t).Start(t.Context(), "idle")
				refused(t, err, refusal{http.StatusServiceUnavailable, client.CodeStorage, ""}, "df -h")
				f.stopAndStart(t, "a")
				f.agree(t, "a")
				f.MustRun(t, "rm", state+"/filler")
			})
		},
		rows: stoppedAndStarted("a", bySignal),
	}, {
		name: "ReadOnlyDatabase",
		happens: func(t *testing.T, f *faultLab) {
			onDisk(t, f.lab, func() {
				f.MustRun(t, "mount", "-o", "remount,ro", state)
				contains(t, f.startFails(t), "read-only")
				f.systemctl(t, "stop", unit("a"))
				f.MustRun(t, "mount", "-o", "remount,rw", state)
				f.systemctl(t, "start", "left4med.service")
				// The first look came before the daemon reported ready.
				same(t, "what changed meanwhile", lost, f.moments(t)["a"])
				f.systemctl(t, "start", unit("a"))
				f.awaitMoment(t, "a", up)
			})
		},
		rows: stoppedAndStarted("a", byReload),
	}, {
		name: "KilledUnderLoad", happens: killedUnderLoad,
	}}
}
