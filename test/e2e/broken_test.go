package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestBrokenHost breaks the host in one way after the other. Each time left4med
// says what is wrong and what cures it, does nothing half, and goes on once it
// is cured.
func TestBrokenHost(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.running(t, "runs")
		l.create(t, "still")
		for _, c := range []struct {
			name string
			test func(*testing.T, *lab)
		}{
			{"MaskedUnit", brokenMaskedUnit},
			{"NoGame", brokenNoGame},
			{"ForeignInstance", brokenForeignInstance},
			{"UnreadableInstance", brokenUnreadableInstance},
			{"MissingInstance", brokenMissingInstance},
			{"FullDisk", brokenFullDisk},
			{"FullState", brokenFullState},
			{"ReadOnlyState", brokenReadOnlyState},
			{"NewerDatabase", brokenNewerDatabase},
			{"Settings", brokenSettings},
			{"NoTemplate", brokenNoTemplate},
			{"MaskedTemplate", brokenMaskedTemplate},
		} {
			t.Run(c.name, func(t *testing.T) {
				run := l.agree(t, "runs").InvocationID
				c.test(t, l)
				l.await(t, "runs", "running as before", func(s *client.Server) bool { return momentOf(s) == up && s.InvocationID == run })
				l.await(t, "still", "stopped as before", func(s *client.Server) bool { return momentOf(s) == down })
			})
		}
	})
}

// resync makes left4med look at the files now; nobody tells it of them.
func (l *lab) resync(t *testing.T) {
	t.Helper()
	if err := l.api(t).Resync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// doctor runs l4d2ctl doctor and wants it to say these things.
func (l *lab) doctor(t *testing.T, code int, says ...string) {
	t.Helper()
	r := l.ctl(t, "doctor")
	same(t, "doctor's exit code", code, r.Code)
	contains(t, r.Stdout, says...)
}

// healthy wants doctor to find nothing wrong.
func (l *lab) healthy(t *testing.T) {
	t.Helper()
	l.doctor(t, 0, "All is well.")
}

// jobFails starts a server and wants the job to fail so, without a trace.
func (l *lab) jobFails(t *testing.T, name string, code client.Code, says ...string) {
	t.Helper()
	job, err := l.api(t).Start(t.Context(), name)
	job = l.ended(t, job, err)
	same(t, "the start", ending{State: client.JobFailed, Code: code}, endingOf(job))
	contains(t, job.Error.Detail, says...)
	same(t, "is it enabled", client.DesiredStopped, l.server(t, name).Desired)
}

const template = "left4me-server@.service"

func brokenNoTemplate(t *testing.T, l *lab) {
	path := strings.TrimSpace(l.systemctl(t, "show", "--property=FragmentPath", "--value", unit("runs")))
	l.MustRun(t, "mv", path, "/root/"+template)
	l.systemctl(t, "daemon-reload")
	l.await(t, "still", "missing", func(s *client.Server) bool { return s.Drift == client.DriftMissing })
	l.jobFails(t, "still", client.CodeTemplateMissing, template, "reinstall")
	l.doctor(t, 1, template, "apt-get install --reinstall left4med")
	l.MustRun(t, "mv", "/root/"+template, path)
	l.systemctl(t, "daemon-reload")
	l.awaitMoment(t, "still", down)
	l.awaitMoment(t, "runs", up)
	l.healthy(t)
}

func brokenMaskedTemplate(t *testing.T, l *lab) {
	l.systemctl(t, "mask", template)
	l.awaitMoment(t, "still", moment{client.DesiredStopped, client.StateStopped, client.DriftMasked})
	l.jobFails(t, "still", client.CodeMasked, "systemctl unmask")
	l.doctor(t, 1, "systemctl unmask "+template)
	l.systemctl(t, "unmask", template)
	l.awaitMoment(t, "still", down)
	l.awaitMoment(t, "runs", up)
	l.healthy(t)
}

func brokenMaskedUnit(t *testing.T, l *lab) {
	l.systemctl(t, "mask", unit("still"))
	l.awaitMoment(t, "still", moment{client.DesiredStopped, client.StateStopped, client.DriftMasked})
	l.jobFails(t, "still", client.CodeMasked, "systemctl unmask "+unit("still"))
	contains(t, l.MustCtl(t, "show", "still"), "masked", "systemctl unmask "+unit("still"))
	l.systemctl(t, "unmask", unit("still"))
	l.awaitMoment(t, "still", down)
}

func brokenNoGame(t *testing.T, l *lab) {
	l.MustRun(t, "mv", "/var/lib/left4me/installation/srcds_run", "/root/srcds_run")
	l.jobFails(t, "still", client.CodeNotInstalled, "/var/lib/left4me/installation/srcds_run")
	l.doctor(t, 1, "/var/lib/left4me/installation")
	l.MustRun(t, "mv", "/root/srcds_run", "/var/lib/left4me/installation/srcds_run")
	l.healthy(t)
}

const still = "/var/lib/left4me/instances/still"

func brokenForeignInstance(t *testing.T, l *lab) {
	l.MustRun(t, "chown", "-R", "left4me", still)
	l.jobFails(t, "still", client.CodeInstanceFiles, still, "chown -R 0 "+still)
	l.MustRun(t, "chown", "-R", "root", still)
	l.resync(t)
}

// brokenUnreadableInstance has a directory that a root without capabilities may
// not enter.
func brokenUnreadableInstance(t *testing.T, l *lab) {
	l.MustRun(t, "chmod", "000", still)
	l.jobFails(t, "still", client.CodeInstanceFiles, still)
	l.MustRun(t, "chmod", "700", still)
	l.resync(t)
	l.write(t, still+"/settings.json", "{")
	l.jobFails(t, "still", client.CodeInstanceFiles, still+"/settings.json", "`l4d2ctl initialize still`")
	l.MustCtl(t, "initialize", "still") // the cure that was named
	l.MustCtl(t, "start", "still")
	l.MustCtl(t, "stop", "still")
}

func brokenMissingInstance(t *testing.T, l *lab) {
	l.MustRun(t, "mv", still, "/root/still")
	l.resync(t)
	l.awaitMoment(t, "still", moment{client.DesiredStopped, client.StateStopped, client.DriftMissing})
	l.jobFails(t, "still", client.CodeInstanceFiles, still, "restore it")
	l.MustRun(t, "mv", "/root/still", still)
	l.resync(t)
	l.awaitMoment(t, "still", down)
}

// brokenFullDisk fills the disk that holds the instances.
func brokenFullDisk(t *testing.T, l *lab) {
	const instances = "/var/lib/left4me/instances"
	l.shell(t, `
		mount -t tmpfs -o size=256k,mode=755 tmpfs /mnt
		cp -a `+instances+`/. /mnt/ && mount --bind /mnt `+instances+`
		dd if=/dev/zero of=`+instances+`/.filler bs=4k 2>/dev/null || true`)
	before := l.traces(t)
	a := l.http(t, http.MethodPost, "/v1/servers?wait=60s", `{"name":"late"}`)
	if a.field("state") != "failed" || !strings.Contains(string(a.body), `"storage"`) {
		t.Errorf("a creation on a full disk: %d %s", a.status, a.body)
	}
	contains(t, string(a.body), "no space left", "df -h")
	same(t, "what is on the host", before, l.traces(t))
	_, err := l.api(t).Server(t.Context(), "late")
	refused(t, err, refusal{http.StatusNotFound, client.CodeServerNotFound, ""})
	_, err = l.api(t).Change(t.Context(), "still", client.ConfigPatch{Hostname: new("other")})
	refused(t, err, refusal{http.StatusServiceUnavailable, client.CodeStorage, ""}, "no space left")
	same(t, "its settings", "still", l.server(t, "still").Config.Hostname)
	// Stopping and starting need no space.
	l.MustCtl(t, "start", "still")
	l.MustCtl(t, "stop", "still")
	l.shell(t, "umount "+instances+" /mnt")
	l.create(t, "late")
	l.MustCtl(t, "delete", "--yes", "late")
}

const state = "/var/lib/left4med"

// onDisk runs a test while the database is on a small disk of its own.
func onDisk(t *testing.T, l *lab, test func()) {
	l.systemctl(t, "stop", "left4med.service")
	l.shell(t, `cp -a `+state+` /root/state; mount -t tmpfs -o size=8m,mode=700 tmpfs `+state+`; cp -a /root/state/. `+state+`/`)
	test()
	l.systemctl(t, "stop", "left4med.service")
	l.shell(t, `rm -r /root/state; cp -a `+state+` /root/state; umount `+state+`; rm -f `+state+`/*; cp -a /root/state/. `+state+`/; rm -r /root/state`)
	l.systemctl(t, "start", "left4med.service")
	l.healthy(t)
}

// brokenFullState has a database that cannot grow: nothing may begin that would
// be forgotten, and the truth goes on.
func brokenFullState(t *testing.T, l *lab) {
	onDisk(t, l, func() {
		l.systemctl(t, "start", "left4med.service")
		before := l.traces(t)
		l.shell(t, "dd if=/dev/zero of="+state+"/filler bs=4k 2>/dev/null || true")
		_, err := l.api(t).Start(t.Context(), "still")
		refused(t, err, refusal{http.StatusServiceUnavailable, client.CodeStorage, ""}, state, "df -h")
		_, err = l.api(t).Create(t.Context(), "late", client.ConfigPatch{})
		refused(t, err, refusal{http.StatusServiceUnavailable, client.CodeStorage, ""}, state)
		same(t, "what is on the host", before, l.traces(t))
		l.systemctl(t, "start", unit("still"))
		l.awaitMoment(t, "still", moment{client.DesiredStopped, client.StateRunning, client.DriftNotEnabled})
		l.systemctl(t, "stop", unit("still"))
		l.awaitMoment(t, "still", down)
		l.MustRun(t, "rm", state+"/filler")
		l.MustCtl(t, "start", "still")
		l.MustCtl(t, "stop", "still")
	})
}

// brokenReadOnlyState has one that cannot be written at all.
func brokenReadOnlyState(t *testing.T, l *lab) {
	onDisk(t, l, func() {
		l.MustRun(t, "mount", "-o", "remount,ro", state)
		said := l.startFails(t)
		contains(t, said, state, "read-only")
		l.MustRun(t, "mount", "-o", "remount,rw", state)
	})
}

// startFails starts a daemon that cannot start, and returns what it said.
func (l *lab) startFails(t *testing.T) string {
	t.Helper()
	since := strings.TrimSpace(l.MustRun(t, "date", "+%s.%N"))
	if l.Run(t.Context(), "systemctl", "start", "left4med.service") == nil {
		t.Error("the daemon starts")
	}
	l.systemctl(t, "stop", "left4med.service") // systemd would try again and again
	said, err := l.Journal(t.Context(), "--unit=left4med.service", "--output=cat", "--since=@"+since)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// brokenNewerDatabase is a downgrade: the daemon must not touch what it does not
// understand.
func brokenNewerDatabase(t *testing.T, l *lab) {
	const db = "/var/lib/left4med/state.db"
	l.systemctl(t, "stop", "left4med.service")
	l.MustRun(t, "cp", "-a", db, "/root/state.db")
	// SQLite keeps user_version in the header, four bytes from the 60th on.
	l.shell(t, `printf '\000\000\003\347' | dd of=`+db+` bs=1 seek=60 conv=notrunc status=none`)
	sum := l.MustRun(t, "sha256sum", db)
	contains(t, l.startFails(t), db, "999", "newer")
	same(t, "the database", sum, l.MustRun(t, "sha256sum", db))
	l.MustRun(t, "cp", "-a", "/root/state.db", db)
	l.systemctl(t, "start", "left4med.service")
	l.healthy(t)
}

// brokenSettings are settings that nobody meant.
func brokenSettings(t *testing.T, l *lab) {
	for _, c := range []struct{ text, says string }{
		{"[resync]\nintervall = \"30s\"\n", "intervall"},
		{"[resync]\ninterval = \"0s\"\n", "[resync] interval"},
		{"[start\n", "left4med.toml"},
	} {
		l.systemctl(t, "stop", "left4med.service")
		l.write(t, "/etc/left4me/left4med.toml", c.text)
		contains(t, l.startFails(t), c.says, "/etc/left4me/left4med.toml")
	}
	l.configure(t, "[start]\nsettle = \"300ms\"\n")
	l.healthy(t)
}
