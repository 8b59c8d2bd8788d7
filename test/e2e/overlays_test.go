package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestOverlays uses overlays and removes them, and gives a server limits, on one
// machine.
func TestOverlays(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.configure(t, "[start]\nsettle = \"0s\"\n[resources]\ninterval = \"1s\"\n")
		const dir = "/var/lib/left4me/overlays/"
		l.shell(t, "cd "+dir+"; mkdir -p maps/left4dead2/maps .half.removed/x kept; echo 12345678 >maps/left4dead2/maps/custom.bsp; ln -s /etc maps/etc; ln -s maps linked")
		a := l.http(t, http.MethodPost, "/v1/servers", `{"name":"a","config":{"map":"custom"}}`)
		same(t, "a map of an overlay that it has not", answer{http.StatusBadRequest, "invalid-request", "config.map"}, a.brief())
		l.MustCtl(t, "initialize", "a", "--overlay", "maps", "--map", "custom")
		l.MustCtl(t, "start", "a")
		t.Run("Listed", func(t *testing.T) { overlaysListed(t, l) })
		t.Run("InUse", func(t *testing.T) { overlayInUse(t, l) })
		t.Run("Limits", func(t *testing.T) { limits(t, l) })
		t.Run("Usage", func(t *testing.T) { usage(t, l) })
		t.Run("Removed", func(t *testing.T) { overlayRemoved(t, l) })
		t.Run("Deleted", func(t *testing.T) {
			l.MustCtl(t, "delete", "--yes", "a")
			same(t, "what is left of its limits", "", l.shell(t, "ls -d /etc/systemd/system.control/left4me-server@a* /run/systemd/system.control/left4me-server@a* 2>/dev/null || true"))
		})
	})
}

// users says who uses each overlay, and what is said of those that are none.
func (l *lab) users(t *testing.T) map[string]string {
	t.Helper()
	overlays, err := l.api(t).Overlays(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	users := map[string]string{}
	for _, o := range overlays {
		users[o.Name] = strings.TrimSpace(fmt.Sprint(o.Servers, " ", o.Problem))
	}
	return users
}

func overlaysListed(t *testing.T, l *lab) {
	same(t, "who uses them", map[string]string{"maps": "[a]", "kept": "[]", "linked": "[] it is not a directory (a symbolic link)"}, l.users(t))
	contains(t, l.MustCtl(t, "list", "--overlays"), "maps\t9\t1\ta\t-\n", "kept\t0\t0\t-\t-\n")
}

func overlayInUse(t *testing.T, l *lab) {
	used := func(when string) {
		t.Helper()
		a := l.http(t, http.MethodDelete, "/v1/overlays/maps", "")
		same(t, when, answer{http.StatusConflict, "overlay-in-use", ""}, a.brief())
		contains(t, fmt.Sprint(a.field("detail")), `"maps" is in use by a;`)
	}
	used("an overlay of a setting")
	l.MustCtl(t, "initialize", "a", "--overlay", "", "--map", "c1m1_hotel")
	used("an overlay that the game runs with still")
	same(t, "who uses it", "[a]", l.users(t)["maps"])
	r := l.ctl(t, "delete", "--yes", "--overlay", "maps")
	if r.Code != 1 || !strings.Contains(r.Stderr, "in use by a") {
		t.Errorf("l4d2ctl: %+v", r)
	}
	for path, want := range map[string]answer{
		"absent": {404, "overlay-not-found", ""}, "%2e%2e": {404, "overlay-not-found", ""}, "..%2finstallation": {404, "overlay-not-found", ""},
		"linked": {409, "instance-files", ""}, ".half.removed": {404, "overlay-not-found", ""},
	} {
		same(t, path, want, l.http(t, http.MethodDelete, "/v1/overlays/"+path, "").brief())
	}
}

// limits are in force at once, kept by systemd, and left with the server.
func limits(t *testing.T, l *lab) {
	const show = "MemoryMax,MemoryHigh,CPUWeight,AllowedCPUs"
	is := func(when, want string) {
		t.Helper()
		same(t, when, want, l.systemctl(t, "show", "--property="+show, unit("a")))
	}
	const own = "CPUWeight=50\nAllowedCPUs=0\nMemoryHigh=805306368\nMemoryMax=1073741824\n"
	before := l.shown(t, "a")
	restart := l.server(t, "a").RestartDue
	l.MustCtl(t, "initialize", "a", "--memory-max", "1G", "--cpu-weight", "50", "--cpus", "0")
	is("of a server that runs", own)
	same(t, "whether a restart is due", restart, l.server(t, "a").RestartDue)
	same(t, "its run", before, l.shown(t, "a"))
	l.systemctl(t, "daemon-reload")
	is("after a reload", own)
	contains(t, l.MustCtl(t, "show", "a"), "memory max   1.0 GiB\n", "cpu weight   50\n", "cpus         0\n")
	l.shell(t, "systemctl stop left4med.service; rm /etc/systemd/system.control/left4me-server@a.service.d/50-MemoryMax.conf; systemctl start left4med.service")
	l.MustCtl(t, "start", "--restart", "a")
	is("mended", own)
	l.MustCtl(t, "initialize", "a", "--memory-max", "0", "--cpu-weight", "0", "--cpus", "")
	is("taken back", "CPUWeight=[not set]\nAllowedCPUs=\nMemoryHigh=1610612736\nMemoryMax=2147483648\n")
}

// usage is what systemd accounts for, and nothing where it does not.
func usage(t *testing.T, l *lab) {
	ctx := within(t, "the server is sampled twice")
	var s *client.Server
	for s = l.server(t, "a"); s.CPUPercent == nil; s = l.server(t, "a") {
		select { // a sample is no event
		case <-ctx.Done():
			t.Fatalf("no sample: %+v", s)
		case <-time.After(200 * time.Millisecond):
		}
	}
	same(t, "since when it is up", s.StateSince, s.StartedAt)
	for property, value := range map[string]*uint64{"MemoryCurrent": s.MemoryBytes, "TasksCurrent": s.Tasks} {
		said := strings.TrimSpace(l.systemctl(t, "show", "--value", "--property="+property, unit("a")))
		same(t, property+" is known", said != "[not set]", value != nil)
	}
	if *s.CPUUsageNS == 0 || *s.CPUPercent < 0 {
		t.Errorf("cpu: %d ns, %f %%", *s.CPUUsageNS, *s.CPUPercent)
	}
	contains(t, l.MustCtl(t, "show", "a"), "cpu time ", " of one processor\n")
}

func overlayRemoved(t *testing.T, l *lab) {
	const dir = "/var/lib/left4me/overlays/"
	l.MustCtl(t, "stop", "a")
	ctx := within(t, "its tree is unmounted")
	for l.users(t)["maps"] != "[]" {
		select { // systemd tells nobody of ours
		case <-ctx.Done():
			t.Fatal("the overlay is in use still")
		case <-time.After(100 * time.Millisecond):
		}
	}
	same(t, "what l4d2ctl says", "The overlay maps is removed.\n", l.ctl(t, "delete", "--yes", "--overlay", "maps").Stderr)
	same(t, "once more", answer{404, "overlay-not-found", ""}, l.http(t, http.MethodDelete, "/v1/overlays/maps", "").brief())
	entries, err := l.api(t).History(t.Context(), client.HistoryFilter{Kinds: []client.HistoryKind{client.HistoryChange}, Limit: 1})
	if err != nil || len(entries) != 1 {
		t.Fatalf("the history: %v, %v", entries, err)
	}
	same(t, "the history", `delete-overlay by 0: overlay "maps"`, fmt.Sprintf("%s by %d: %s", entries[0].What, entries[0].By.UID, entries[0].Detail))

	// What is another user's the daemon cannot remove; it says what to do.
	l.shell(t, "mkdir -p "+dir+"theirs/sub; touch "+dir+"theirs/sub/file; chown left4me "+dir+"theirs/sub")
	a := l.http(t, http.MethodDelete, "/v1/overlays/theirs", "")
	same(t, "an overlay with files of others", answer{http.StatusConflict, "instance-files", ""}, a.brief())
	var told struct{ Detail string }
	if err := json.Unmarshal(a.body, &told); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(told.Detail, "`")
	command, _, _ := strings.Cut(after, "`")
	same(t, "what to do", "rm -rf "+dir+".theirs.removed", command)
	l.shell(t, command)
	l.systemctl(t, "restart", "left4med.service")
	same(t, "what is left", "kept\nlinked\n", l.shell(t, "ls -A "+dir))
	same(t, "the target of its link", "0\n", l.shell(t, "test -e /etc/passwd; echo $?"))
}
