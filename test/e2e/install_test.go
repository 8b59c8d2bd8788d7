package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/test/machine"
)

// installUnits stand for the units of the package: what they do is in a script,
// which a test replaces. What they say is as left4me-install says it.
const installUnits = `
for unit in left4me-install left4me-install-check; do
	cat >/etc/systemd/system/$unit.service <<E
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh /run/does/$unit
E
done
mkdir -p /run/does
mkfifo /run/does/go
systemctl daemon-reload
`

// does sets what the install unit does after it has told of some progress.
func (l *lab) does(t *testing.T, script string) {
	t.Helper()
	l.write(t, "/run/does/left4me-install", "echo step saving the present installation\necho progress downloading 1000000000 4000000000\n"+script)
}

// succeeds is the end of an install that brought a build.
func succeeds(build string) string {
	return `mkdir -p /var/lib/left4me/installation/steamapps
printf '"AppState"\n{\n\t"buildid"\t\t"%s"\n\t"LastUpdated"\t\t"1700000000"\n}\n' ` + build + ` >/var/lib/left4me/installation/steamapps/appmanifest_222860.acf
echo build installed ` + build + "\n"
}

// waits holds the install unit until release.
const waits = "read _ </run/does/go\n"

func (l *lab) release(t *testing.T) {
	t.Helper()
	l.shell(t, "echo >/run/does/go")
}

// downloading asks for an install whose unit waits, and returns when its progress
// is seen.
func (l *lab) downloading(t *testing.T, opts client.InstallOptions) *client.Job {
	t.Helper()
	job, err := l.api(t).Install(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return l.progress(t, job.ID)
}

// progress waits until a job shows how far its download is.
func (l *lab) progress(t *testing.T, id int64) *client.Job {
	t.Helper()
	ctx := within(t, "the progress of the download")
	for {
		job, err := l.api(t).Job(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if p := job.Progress; p != nil && p.Total > 0 {
			same(t, "the progress", client.Progress{Done: 1e9, Total: 4e9, Text: "downloading 25.0 %"}, *p)
			return job
		}
		if job.State.Finished() {
			t.Fatalf("it ended: %+v", job)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestInstall has left4med install the game by a unit that does what a test says.
func TestInstall(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.shell(t, installUnits)
		for _, c := range []struct {
			name string
			test func(*testing.T, *lab)
		}{
			{"Updates", installUpdates},
			{"Faults", installFaults},
			{"InUse", installInUse},
			{"Restart", installRestart},
			{"FailureBringsBack", installFailureBringsBack},
			{"Cancel", installCancel},
			{"ByHand", installByHand},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, l) })
		}
	})
}

func (l *lab) updates(t *testing.T) client.Updates {
	t.Helper()
	u, err := l.api(t).Updates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return *u
}

func installUpdates(t *testing.T, l *lab) {
	same(t, "before anything is known", "{}\n", string(l.http(t, http.MethodGet, "/v1/updates", "").body))
	l.does(t, succeeds("100"))
	r := l.ctl(t, "install", "--validate")
	same(t, "l4d2ctl's exit code", 0, r.Code)
	contains(t, r.Stderr, "game: installed", "Build 100 is installed, which is the newest.")
	same(t, "the request", `{"validate":true,"steamcmd":"","space":10737418240}`+"\n", l.shell(t, "cat /var/lib/left4med/install.json"))
	same(t, "its mode", "600 root\n", l.shell(t, "stat -c '%a %U' /var/lib/left4med/install.json"))

	l.write(t, "/run/does/left4me-install-check", "echo build latest 200\n")
	r = l.ctl(t, "install", "--check")
	same(t, "l4d2ctl's exit code", 0, r.Code)
	contains(t, r.Stderr, "game: checked for updates", "Build 100 is installed and build 200 is out. Update with: l4d2ctl install")
	before := l.updates(t)
	if before.CheckedAt.IsZero() || !before.InstalledAt.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("checked at %s, installed at %s", before.CheckedAt, before.InstalledAt)
	}
	l.systemctl(t, "restart", "left4med.service")
	same(t, "after a restart of left4med", before, l.updates(t))

	a := l.http(t, http.MethodPost, "/v1/install?wait=60s", "")
	same(t, "an install without a body", answer{Status: http.StatusOK}, a.brief())
	same(t, "the newest build after it", "100", l.updates(t).LatestBuild)
	a = l.http(t, http.MethodPost, "/v1/install", `{"check":true,"restart":true}`)
	same(t, "a check that restarts", answer{http.StatusBadRequest, string(client.CodeInvalidRequest), "check"}, a.brief())
}

// installFaults has the unit fail in each of its ways.
func installFaults(t *testing.T, l *lab) {
	c := l.api(t)
	for exit, code := range map[server.InstallExit]client.Code{
		server.InstallUnexpected: client.CodeJobFailed, server.InstallNoSteamCMD: client.CodeSteamCMDMissing,
		server.InstallNoSpace: client.CodeNoSpace, server.InstallDiskFull: client.CodeNoSpace,
		server.InstallNoNetwork: client.CodeNoNetwork, server.InstallInvalidPlatform: client.CodeInvalidPlatform,
		server.InstallLoginFailed: client.CodeLoginFailed, server.InstallSteamGuard: client.CodeSteamGuard,
		server.InstallSteamCMDFailed: client.CodeSteamCMDFailed, server.InstallDamaged: client.CodeInstallationDamaged,
	} {
		l.does(t, fmt.Sprintf("echo steamcmd: says something of %[1]d\necho fault this is fault %[1]d\nexit %[1]d\n", exit))
		job, err := c.Install(t.Context(), client.InstallOptions{})
		job = l.ended(t, job, err)
		same(t, "an install that fails", ending{State: client.JobFailed, Code: code}, endingOf(job))
		same(t, "its detail", fmt.Sprintf("this is fault %d", exit), job.Error.Detail)
		contains(t, strings.Join(job.Error.Logs, "\n"), fmt.Sprintf("steamcmd: says something of %d", exit))
		same(t, "the unit", "inactive", strings.TrimSpace(l.shell(t, "systemctl is-active left4me-install.service || true")))
	}
	l.does(t, "kill -KILL $$\n")
	job, err := c.Install(t.Context(), client.InstallOptions{})
	job = l.ended(t, job, err)
	same(t, "an install that is killed", ending{State: client.JobFailed, Code: client.CodeJobFailed}, endingOf(job))
	contains(t, job.Error.Detail, "left4me-install.service", "signal")

	l.does(t, "echo fault there is no way to Steam\nexit 13\n")
	r := l.ctl(t, "install")
	same(t, "l4d2ctl's exit code", 6, r.Code)
	contains(t, r.Stderr, "game: install failed: there is no way to Steam")
}

func installInUse(t *testing.T, l *lab) {
	l.running(t, "a", "stopped", "disabled")
	l.create(t, "b", "down")
	l.systemctl(t, "start", unit("b"))
	r := l.ctl(t, "install")
	same(t, "l4d2ctl's exit code", 1, r.Code)
	contains(t, r.Stderr, "a, b, disabled, stopped", "l4d2ctl install --restart")
	_, err := l.api(t).Install(t.Context(), client.InstallOptions{})
	refused(t, err, refusal{http.StatusConflict, client.CodeInstallationInUse, ""}, "a, b, disabled, stopped")
}

// installRestart stops what runs, and left4med is killed in the middle.
func installRestart(t *testing.T, l *lab) {
	c := l.api(t)
	before := l.shown(t, "a")
	l.does(t, waits+succeeds("101"))
	job := l.downloading(t, client.InstallOptions{Restart: true})
	for _, name := range []string{"a", "disabled", "stopped"} {
		l.awaitMoment(t, name, moment{client.DesiredRunning, client.StateStopped, client.DriftNone})
		same(t, "its mount", "", l.shell(t, "findmnt -n "+merged(name)+" || true"))
	}
	again, err := c.Install(t.Context(), client.InstallOptions{Restart: true})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the same install twice is one job", job.ID, again.ID)
	_, err = c.Install(t.Context(), client.InstallOptions{Restart: true, Validate: true})
	same(t, "the job in the way", job.ID, refused(t, err, refusal{http.StatusConflict, client.CodeBusy, ""}, "install").Job)
	_, err = c.Start(t.Context(), "down")
	same(t, "the job in the way", job.ID, refused(t, err, refusal{http.StatusConflict, client.CodeBusy, ""}, "being installed").Job)

	run := func() string {
		return l.systemctl(t, "show", "--property=InvocationID,MainPID", "left4me-install.service")
	}
	first := run()
	l.systemctl(t, "kill", "--signal=KILL", "left4med.service")
	l.await(t, "a", "known again", func(s *client.Server) bool { return s.State == client.StateStopped })
	job = l.progress(t, job.ID)
	same(t, "the job", client.JobRunning, job.State)
	same(t, "the unit's run", first, run())
	same(t, "a server that is held", moment{client.DesiredRunning, client.StateStopped, client.DriftNone}, momentOf(l.server(t, "a")))
	_, err = c.Restart(t.Context(), "a")
	refused(t, err, refusal{http.StatusConflict, client.CodeBusy, ""}, "being installed")

	stop, err := c.Stop(t.Context(), "stopped")
	l.succeeded(t, stop, err)
	l.systemctl(t, "disable", unit("disabled"))
	l.release(t)
	l.succeeded(t, job, nil)
	same(t, "the servers afterwards", map[string]moment{
		"a": up, "b": {client.DesiredStopped, client.StateRunning, client.DriftNotEnabled},
		"stopped": down, "disabled": down, "down": down,
	}, l.moments(t))
	if after := l.agree(t, "a"); after.InvocationID == before.InvocationID {
		t.Error("a was not restarted")
	}
	same(t, "the build", "101", l.updates(t).InstalledBuild)
	history, err := c.History(t.Context(), client.HistoryFilter{Server: "a", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the job that brought a back", job.ID, history[0].Job)
}

func installFailureBringsBack(t *testing.T, l *lab) {
	l.does(t, "echo fault the disk is full\nexit 12\n")
	job, err := l.api(t).Install(t.Context(), client.InstallOptions{Restart: true})
	job = l.ended(t, job, err)
	same(t, "the install", ending{State: client.JobFailed, Code: client.CodeNoSpace}, endingOf(job))
	same(t, "its detail", "the disk is full", job.Error.Detail)
	l.awaitMoment(t, "a", up)
	l.awaitMoment(t, "b", moment{client.DesiredStopped, client.StateRunning, client.DriftNotEnabled})
}

func installCancel(t *testing.T, l *lab) {
	l.does(t, waits)
	job := l.downloading(t, client.InstallOptions{Restart: true})
	job, err := l.api(t).Cancel(t.Context(), job.ID)
	same(t, "the install", client.JobCanceled, l.ended(t, job, err).State)
	same(t, "the unit", "inactive", strings.TrimSpace(l.shell(t, "systemctl is-active left4me-install.service || true")))
	l.awaitMoment(t, "a", up)
	l.awaitMoment(t, "b", moment{client.DesiredStopped, client.StateRunning, client.DriftNotEnabled})
}

// installByHand is an install that left4med was not asked for.
func installByHand(t *testing.T, l *lab) {
	l.MustCtl(t, "stop", "a", "b")
	l.does(t, waits+succeeds("102"))
	l.systemctl(t, "start", "--no-block", "left4me-install.service")
	l.shell(t, "until systemctl show -P ActiveState left4me-install.service | grep -qx activating; do sleep 0.05; done")
	_, err := l.api(t).Install(t.Context(), client.InstallOptions{})
	refused(t, err, refusal{http.StatusConflict, client.CodeBusy, ""}, "left4me-install.service", "another hand")
	job, err := l.api(t).Start(t.Context(), "down")
	job = l.ended(t, job, err)
	same(t, "a start beside it", ending{State: client.JobFailed, Code: client.CodeBusy}, endingOf(job))
	l.awaitMoment(t, "down", down)
	l.release(t)
	l.shell(t, "until systemctl show -P ActiveState left4me-install.service | grep -qx inactive; do sleep 0.05; done")
	l.MustCtl(t, "start", "down")
	if err := l.api(t).Resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "the build", "102", l.updates(t).InstalledBuild)
}
