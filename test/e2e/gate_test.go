package e2e_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/asker"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// TestGate asks on both doors, as everybody there is, for everything there is.
func TestGate(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		g := newGate(t, release)
		t.Run("TablesAreWhole", g.tablesAreWhole)
		t.Run("Walk", g.walkAll)
		t.Run("OnRecord", g.refusalsAreOnRecord)
		t.Run("OneVerb", g.oneVerb)
		t.Run("Password", g.password)
		t.Run("Leaving", g.leaving)
		t.Run("BadUsers", g.badUsers)
	})
}

// gate is a machine with all kinds of users.
type gate struct {
	*lab
	users []machine.User // as in callers
	// A user with a uid of the games' range. The bus daemon itself turns the game's
	// away, unless the host's user database (libnss-systemd) tells of dynamic uids.
	gameOnBus machine.User
	since     string // an event id; a server has changed since
}

const (
	askProgram = "/usr/local/bin/ask"
	rulesDir   = "/etc/polkit-1/rules.d/"
)

func newGate(t *testing.T, release machine.Release) *gate {
	g := &gate{lab: newLab(t, release)}
	program, err := host.Program("./test/asker/ask")
	if err == nil {
		err = g.CopyIn(t.Context(), program, askProgram)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.shell(t, `useradd --create-home --groups left4med-operators op
		for user in kim someone typist late; do useradd --create-home $user; done
		useradd --uid 61184 --groups left4med-operators,left4me gamer
		useradd --groups sudo boss; echo boss:`+password+` | chpasswd`)
	if err := g.WriteFile(t.Context(), "/usr/local/bin/bus-ask", []byte(busAsk), 0o755); err != nil {
		t.Fatal(err)
	}
	g.write(t, rulesDir+"50-left4med.rules", documentedRule(t))
	g.write(t, rulesDir+"50-typist.rules", typistRule)
	g.systemctl(t, "restart", "polkit.service") // it reads rules behind one's back, but all of them at its start

	g.running(t, "versus-1")
	g.create(t, "b")
	g.since = strconv.FormatUint(g.snapshot(t).EventID, 10)
	g.MustCtl(t, "stop", "versus-1")
	g.MustCtl(t, "start", "versus-1")

	op := g.user(t, "op")
	uid, err := strconv.Atoi(strings.TrimSpace(g.asGame(t, "versus-1", "id -u")))
	if err != nil {
		t.Fatal(err)
	}
	game := machine.User{Name: "game", UID: uid, GID: uid, Groups: op.Groups, Home: "/"}
	g.users = []machine.User{machine.Root(), op, g.user(t, "left4med-web"), g.user(t, "kim"), g.user(t, "someone"), game}
	g.gameOnBus = g.user(t, "gamer")
	return g
}

func (g *gate) snapshot(t *testing.T) *client.Snapshot {
	t.Helper()
	s, err := g.api(t).Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// caller is one of callers.
func (g *gate) caller(name string) machine.User { return g.users[slices.Index(callers, name)] }

// ask puts questions as a user, so many under way at once.
func (g *gate) ask(t *testing.T, user machine.User, atOnce int, questions ...asker.Question) []asker.Answer {
	t.Helper()
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := g.CommandAs(within(t, "answers to "+user.Name), user, askProgram, strconv.Itoa(atOnce))
	cmd.Stdin = strings.NewReader(string(input))
	output, err := machine.Output(cmd)
	if err != nil {
		t.Error(err)
		return make([]asker.Answer, len(questions))
	}
	var answers []asker.Answer
	if err := json.Unmarshal([]byte(output), &answers); err != nil {
		t.Error(err)
	}
	return answers
}

var asksWhat = regexp.MustCompile(`^Asks (no permission|org\.left4me\.left4med1\.(\w+))`)

// tablesAreWhole holds the tables against the daemon's own descriptions: what is
// in one alone is forgotten, or its permission has changed.
func (g *gate) tablesAreWhole(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct{ Description string }
	}
	if err := json.Unmarshal(g.http(t, "GET", "/openapi.json", "").body, &doc); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			asks := asksWhat.FindStringSubmatch(op.Description)
			if asks == nil {
				t.Fatalf("%s %s does not say what it asks: %s", method, path, op.Description)
			}
			got[strings.ToUpper(method)+" "+path] = asks[2]
		}
	}
	same(t, "the routes, and what they ask", asked(routes(g.since)), got)

	got = map[string]string{}
	for _, object := range []string{managerPath, serverPath, nodePath} {
		g.introspect(t, object, got)
	}
	same(t, "the methods, and what they ask", asked(methods()), got)
}

// introspect adds the methods of an object.
func (g *gate) introspect(t *testing.T, object string, to map[string]string) {
	t.Helper()
	var node struct {
		Interfaces []struct {
			Name    string `xml:"name,attr"`
			Methods []struct {
				Name  string `xml:"name,attr"`
				Notes []struct {
					Name  string `xml:"name,attr"`
					Value string `xml:"value,attr"`
				} `xml:"annotation"`
			} `xml:"method"`
		} `xml:"interface"`
	}
	if err := xml.Unmarshal([]byte(g.MustRun(t, "busctl", "introspect", "--xml-interface", "org.left4me.left4med1", object)), &node); err != nil {
		t.Fatal(err)
	}
	for _, face := range node.Interfaces {
		for _, method := range face.Methods {
			asks := ""
			for _, note := range method.Notes {
				if note.Name == "org.left4me.left4med1.Asks" {
					asks = strings.TrimPrefix(note.Value, "org.left4me.left4med1.")
				}
			}
			to[object+" "+face.Name+"."+method.Name] = asks
		}
	}
}

// walkAll walks with polkit there, gone in several ways, and back. left4med is
// not restarted in between.
func (g *gate) walkAll(t *testing.T) {
	const (
		service = "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service"
		reload  = "busctl call org.freedesktop.DBus / org.freedesktop.DBus ReloadConfig"
	)
	daemon := g.systemctl(t, "show", "--value", "--property=MainPID", "left4med.service")
	// left4med has seen polkit answer, and need not fear to wait for it.
	answers := func() { g.ask(t, g.caller("op"), 1, send("POST", "/v1/resync", "")) }
	answers()
	g.walk(t, "polkit is there", true)
	for _, c := range []struct{ what, away, back string }{
		{"polkit is masked", "systemctl mask --quiet --runtime --now polkit.service", "systemctl unmask --quiet --runtime polkit.service"},
		{"polkit is not installed", "mv " + service + " /var/tmp/; systemctl stop polkit.service; " + reload,
			"mv /var/tmp/org.freedesktop.PolicyKit1.service " + service + "; " + reload},
		{"polkit hangs", "systemctl start polkit.service; systemctl kill --signal=SIGSTOP polkit.service", "systemctl kill --signal=SIGCONT polkit.service"},
	} {
		g.shell(t, c.away)
		g.walk(t, c.what, false)
		g.shell(t, c.back)
		answers()
		g.walk(t, c.what+" no longer", true)
	}
	same(t, "the daemon's process", daemon, g.systemctl(t, "show", "--value", "--property=MainPID", "left4med.service"))
}

// walk asks at every door as every caller.
func (g *gate) walk(t *testing.T, when string, polkit bool) {
	begin := time.Now()
	routes, methods := routes(g.since), methods()
	doors := slices.Concat(routes, methods)
	questions := make([]asker.Question, len(doors))
	for i, d := range doors {
		questions[i] = d.try
	}
	atOnce := 1 // or some would wait for polkit longer than one waits to see more
	if !polkit {
		atOnce = len(questions) // they wait for nothing, side by side
	}
	var all sync.WaitGroup
	for c, user := range g.users {
		all.Go(func() {
			var answers []asker.Answer
			if callers[c] == "game" {
				// One by one: of many connections some would be closed without a word.
				answers = g.ask(t, user, 1, questions[:len(routes)]...)
				answers = append(answers, g.ask(t, g.gameOnBus, 1, questions[len(routes):]...)...)
			} else {
				answers = g.ask(t, user, atOnce, questions...)
			}
			want, got := map[string]string{}, map[string]string{}
			for i, answer := range answers {
				d := doors[i]
				try := fmt.Sprint(d.name, d.try.Path, d.try.Body, d.try.Args)
				want[try], got[try] = d.fare(c, polkit), fared(d, answer)
				if got[try] == "no" && !polkit && callers[c] != "game" {
					contains(t, answer.Text, "polkit")
				}
			}
			same(t, fmt.Sprintf("%s: how %s fares", when, callers[c]), want, got)
		})
	}
	all.Wait()
	t.Logf("%s: %d questions as each of %d callers, %s", when, len(doors), len(callers), time.Since(begin).Round(10*time.Millisecond))
}

// fared says in the table's words what an answer means. What shows a mistake of
// the try, or of the daemon, is shown as it is.
func fared(d door, a asker.Answer) string {
	if d.try.Method == "" {
		return faredOnBus(a)
	}
	var problem struct{ Code string }
	_ = json.Unmarshal([]byte(a.Text), &problem) // not every answer is an object
	switch {
	case a.Status == http.StatusForbidden && problem.Code == "not-authorized":
		return "no"
	case a.Status >= 300 && !slices.Contains([]string{"server-not-found", "job-not-found", "orphan-not-found", "overlay-not-found", "job-finished", "name-taken", "busy"}, problem.Code):
		return fmt.Sprint(a)
	case d.fares != settings:
		return "yes"
	case strings.Contains(a.Text, `"config":`) || strings.Contains(a.Text, `"requested_by":`): // or a job's
		return "all"
	}
	return "bare"
}

func faredOnBus(a asker.Answer) string {
	switch strings.TrimPrefix(a.Error, "org.left4me.left4med1.Error.") {
	case "", "NoSuchServer", "Busy", "org.freedesktop.DBus.Error.PropertyReadOnly":
		return "yes"
	case "NotAuthorized":
		return "no"
	}
	return fmt.Sprint(a)
}

// refusalsAreOnRecord looks at what the walks left in the history and in the
// journal. Of each uid the first 20 refusals are kept, and there were more.
func (g *gate) refusalsAreOnRecord(t *testing.T) {
	late, err := g.LookupUser(t.Context(), "late")
	if err != nil {
		t.Fatal(err)
	}
	call := []string{"call", "org.left4me.left4med1", managerPath, "org.left4me.left4med1.Manager", "StopServer", "s", "versus-1"}
	if out, err := g.CommandAs(t.Context(), late, "busctl", call...).CombinedOutput(); err == nil {
		t.Errorf("late may stop a server: %s", out)
	}
	g.systemctl(t, "restart", "left4med.service") // what waits is stored at its end
	type refused struct{ User, UID, Via, Verb, Server string }
	history, journal := map[refused]bool{}, map[refused]bool{}
	for _, e := range g.history(t, "", 1000) {
		if e.Kind == client.HistoryRefusal && e.Code == client.CodeNotAuthorized {
			history[refused{e.By.User, strconv.Itoa(int(e.By.UID)), string(e.By.Via), e.What, e.Server}] = true
		}
	}
	for _, e := range g.journal(t, "CODE=not-authorized") {
		journal[refused{e.User, e.UID, e.Via, e.Verb, e.Server}] = true
	}
	same(t, "the refusals in the history and in the journal", history, journal)

	want := map[refused]bool{}
	expect := func(u machine.User, via string, what ...string) {
		for _, w := range what {
			verb, server, _ := strings.Cut(w, " ")
			want[refused{u.Name, strconv.Itoa(u.UID), via, verb, server}] = true
		}
	}
	// The first on the one door; the burst ends with them, and which of the last two
	// falls into it is a question of time.
	expect(g.caller("someone"), "http", "initialize", "change versus-1", "delete absent", "secret absent",
		"start versus-1", "stop versus-1", "restart versus-1", "restart absent", "logs versus-1",
		"jobs", "jobs versus-1", "cancel versus-1", "history", "resync", "reset absent", "orphans")
	expect(g.gameOnBus, "dbus", "connect", "connect versus-1", "start versus-1", "stop versus-1", "restart versus-1", "restart absent", "resync")
	game := g.caller("game")
	game.Name = "" // it has none in passwd
	expect(game, "http", "connect")
	expect(late, "dbus", "stop versus-1")
	maps.DeleteFunc(history, func(r refused, _ bool) bool {
		return r.User != "someone" && r.User != "gamer" && r.User != "late" && r.User != "" ||
			r.User == "someone" && (r.Via == "dbus" || slices.Contains([]string{"adopt", "disable-orphan", "overlays", "delete-overlay", "install", "backups", "backup", "restore", "delete-backup", "players", "rcon", "availability", "series", "test-alerts"}, r.Verb))
	})
	same(t, "the refusals on record", want, history)
}
