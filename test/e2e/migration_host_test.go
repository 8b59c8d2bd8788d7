package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
	"github.com/left4med/left4med/test/oldhost"
)

// migration is a host of the old system that is taken over.
type migration struct {
	*lab
	games   map[string]run           // the games that run, and must go on
	configs map[string]client.Config // what the sound ones become
	said    []string                 // all that l4d2ctl printed

	obstacles  map[string]string // why an orphan is refused before anything is tried
	unreadable map[string]bool   // those whose files are not even read
}

// run is one run of a game: the same as long as nothing touched it.
type run struct {
	PID          uint32
	InvocationID string
}

// oldHost boots a machine and makes it a host of the old system, whose games have
// written something.
func oldHost(t *testing.T, release machine.Release) *migration {
	t.Helper()
	m := &migration{
		lab:   &lab{&host.Host{Machine: machine.New(t, release)}},
		games: map[string]run{}, configs: adoptedConfigs(),
		obstacles: map[string]string{
			"10": "symbolic link", "11": "special file", "12": "longer than 64 KiB", "13": "another name",
			"14": `"-autoupdate"`, "15": `exec`, "16": `"-pidfile"`, "Foo_1": "must begin with a lower-case letter or a digit",
		},
		unreadable: map[string]bool{"10": true, "11": true, "12": true, "13": true, "14": true, "16": true, "Foo_1": true},
	}
	if err := oldhost.Set(t.Context(), m.Host); err != nil {
		t.Fatal(err)
	}
	for _, i := range oldhost.All() {
		if i.Running {
			m.games[i.Name] = m.game(t, i.Name)
		}
	}
	m.asOld(t, "cd /var/lib/left4me/runtime/1/merged && echo before >left4dead2/cfg/kept.txt && rm left4dead2/motd.txt")
	return m
}

// adoptedConfigs are the settings of the sound instances.
func adoptedConfigs() map[string]client.Config {
	all := map[string]client.Config{}
	for _, i := range oldhost.Sound() {
		all[i.Name] = client.Config{
			Port: i.Port, Map: "c1m1_hotel", GameMode: "coop", MaxPlayers: 8, Hostname: i.Name,
			Args: []string{}, Overlays: append([]string{}, i.Overlays...), CVars: map[string]string{}, Heal: client.HealOff,
		}
	}
	change := func(name string, change func(c *client.Config)) {
		c := all[name]
		change(&c)
		all[name] = c
	}
	change("1", func(c *client.Config) {
		c.Map, c.GameMode, c.MaxPlayers, c.Hostname, c.Args = "c2m1_highway", "versus", 12, "The old one", []string{"-tickrate", "60"}
	})
	change("2", func(c *client.Config) { c.Map = "c5m1_waterfront" })
	change("3", func(c *client.Config) { c.Map, c.Args = "c8m1_apartment", []string{"-nobots"} })
	change("4", func(c *client.Config) { c.CVars["sv_gravity"] = "700" })
	return all
}

func (m *migration) game(t *testing.T, name string) run {
	t.Helper()
	s := m.shown(t, name)
	return run{s.MainPID, s.InvocationID}
}

// sameGames fails the test unless every game is in the same run as before.
func (m *migration) sameGames(t *testing.T) {
	t.Helper()
	now := map[string]run{}
	for name := range m.games {
		now[name] = m.game(t, name)
	}
	same(t, "the games that run", m.games, now)
}

// settings are those of all servers.
func (m *migration) settings(t *testing.T) map[string]client.Config {
	t.Helper()
	all := map[string]client.Config{}
	for name, k := range m.known(t) {
		all[name] = k.Config
	}
	return all
}

// told keeps what a command printed.
func (m *migration) told(r host.Result) { m.said = append(m.said, r.Stdout, r.Stderr) }

// asOld runs a shell script as the old system's user.
func (m *migration) asOld(t *testing.T, script string) {
	t.Helper()
	if _, err := m.as(t.Context(), oldhost.User(), "sh", "-euc", script); err != nil {
		t.Fatal(err)
	}
}

// runs says which user's a server's game is.
func (m *migration) runs(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(m.shell(t, fmt.Sprintf("stat --format=%%u /proc/%d | while read uid; do %s; done", m.shown(t, name).MainPID, userName)))
}

// userName prints whose uid $uid is. There is no entry for a dynamic one.
const userName = `getent passwd "$uid" | cut -d: -f1 | grep . || for f in /run/systemd/dynamic-uid/direct:"$uid"; do readlink "$f" || cat "$f"; done`

// owners says who each directory of the game data belongs to, and its mode.
func (m *migration) owners(t *testing.T, paths ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range paths {
		all[path] = strings.TrimSpace(m.shell(t, "stat --format='%u %a' "+oldhost.Root+"/"+path+" | while read uid mode; do echo $("+userName+") $mode; done"))
	}
	return all
}

// trees lists all that there is of the instances, by name, with inodes, owners and
// modes. What their games write below the upper layers is left out.
func (m *migration) trees(t *testing.T) map[string][]string {
	t.Helper()
	out := m.shell(t, "cd "+oldhost.Root+" && find instances runtime -mindepth 1 -regextype posix-extended -regex 'runtime/[^/]+/(upper|merged|work)/.*' -prune -o -printf '%P %i %u:%g %m %y %l\\n' | sort")
	all := map[string][]string{}
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(strings.Fields(line)[0], "/")
		all[name] = append(all[name], line)
	}
	return all
}

// refused are the trees of those that cannot be adopted.
func (m *migration) refused(trees map[string][]string) map[string][]string {
	maps.DeleteFunc(trees, func(name string, _ []string) bool { return !m.hostile(name) })
	return trees
}

func (m *migration) hostile(name string) bool {
	return slices.ContainsFunc(append(oldhost.Hostile(), oldhost.Orphan()), func(i oldhost.Instance) bool { return i.Name == name })
}

// secrets are the checksums of what the servers' games are told in secret.
func (m *migration) secrets(t *testing.T) []string {
	t.Helper()
	return strings.Split(m.shell(t, "sha256sum "+oldhost.Root+"/instances/[1-5]/secrets"), "\n")
}

// canary says who the planted directory and the file in it belong to.
func (m *migration) canary(t *testing.T) string {
	t.Helper()
	return m.shell(t, "stat --format='%U %a' "+oldhost.Canary+" "+oldhost.Canary+"/file")
}

const rootsCanary = "root 755\nroot 644\n"

// alive is what stands, without the units of which systemd remembers only that
// they could not be started.
func (m *migration) alive(t *testing.T) standing {
	t.Helper()
	dead := func(line string) bool { return strings.HasSuffix(line, " dead") }
	s := m.standing(t)
	s.Servers, s.Overlays = slices.DeleteFunc(s.Servers, dead), slices.DeleteFunc(s.Overlays, dead)
	return s
}

// cures are what doctor finds wrong, by the check's name, each with its cure.
func (m *migration) cures(t *testing.T) map[string]string {
	t.Helper()
	h, err := m.api(t).Health(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, check := range h.Checks {
		if !check.OK {
			all[check.Name] = check.Cure
		}
	}
	return all
}
