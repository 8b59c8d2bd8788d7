// Package archtest asserts the rule of docs/architecture.md: who may import
// whom. It has no code but its tests.
package archtest

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/left4med/left4med/"

// allowed is, for each room, which other rooms it may import. A room that does
// not stand here fails the test: whoever builds one decides where it belongs.
var allowed = map[string][]string{
	"internal/server": {},

	"internal/unitctl":  {"internal/server", "internal/dbussock"},
	"internal/store":    {"internal/server", "internal/sqlite"},
	"internal/instance": {"internal/server"},
	"internal/journal":  {"internal/server"},
	"internal/authz":    {"internal/server", "internal/dbussock"},
	"internal/quota":    {},
	"internal/service":  {"internal/server"},
	"internal/sqlite":   {}, // the daemon's database and the frontend's share it
	"internal/dbussock": {},
	"internal/upper":    {}, // runs as a game's uid: it shares nothing with the daemon
	"internal/adopt":    {}, // root with two capabilities: the same

	"internal/gamefiles": {"internal/server"},
	"internal/steamcmd":  {"internal/server"},

	"internal/probe":    {"internal/server"},
	"internal/sockdiag": {},
	"internal/hand":     {"internal/probe", "internal/sockdiag", "internal/srcds"},
	"internal/srcds":    {}, // reads what games send: nothing of the daemon's is near

	"internal/orchestrator": {"internal/server", "internal/probe", "internal/unitctl", "internal/store", "internal/instance", "internal/gamefiles"},
	"internal/metrics":      {"internal/server", "internal/orchestrator"},
	"internal/api":          {"internal/server", "internal/orchestrator", "internal/authz", "internal/journal", "internal/quota"},
	"internal/busapi":       {"internal/server", "internal/orchestrator", "internal/authz", "internal/dbussock", "internal/quota"},

	"internal/account": {"internal/sqlite"},

	"client": {"internal/server"},

	"internal/live": {"client"},

	"internal/web": {"client", "internal/account", "internal/live", "internal/server"},

	"cmd/left4med": {
		"internal/api", "internal/authz", "internal/busapi", "internal/instance", "internal/journal",
		"internal/metrics", "internal/orchestrator", "internal/probe", "internal/server", "internal/service", "internal/store", "internal/unitctl",
	},
	"cmd/left4med-web":    {"client", "internal/account", "internal/live", "internal/service", "internal/web", "web"},
	"cmd/left4med-probe":  {"internal/hand", "internal/srcds"},
	"cmd/l4d2ctl":         {"client"},
	"cmd/left4me-upper":   {"internal/upper"},
	"cmd/left4me-adopt":   {"internal/adopt"},
	"cmd/left4me-install": {"internal/server", "internal/steamcmd"},
}

// parts are what only some rooms may use directly: each outer thing is behind one
// door.
var parts = map[string][]string{
	"github.com/godbus/dbus/v5":                {"internal/authz", "internal/busapi", "internal/dbussock", "internal/unitctl"},
	"github.com/coreos/go-systemd/v22":         {"internal/service", "cmd/left4med", "cmd/left4med-probe"},
	"github.com/mattn/go-sqlite3":              {"internal/sqlite"},
	"github.com/danielgtaylor/huma/v2":         {"internal/api"},
	"github.com/spf13/cobra":                   {"cmd/l4d2ctl", "cmd/left4med-web"},
	"github.com/BurntSushi/toml":               {"internal/service"},
	"github.com/fsnotify/fsnotify":             {"internal/unitctl"},
	"github.com/creack/pty":                    {"internal/steamcmd"},
	"github.com/prometheus/client_golang":      {"internal/metrics", "internal/web"},
	"database/sql":                             {"internal/account", "internal/sqlite", "internal/store"},
	"golang.org/x/crypto":                      {"internal/account"},
	"github.com/coreos/go-systemd/v22/dbus":    {}, // loses updates and never reconnects
	"github.com/coreos/go-systemd/v22/import1": {},
}

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

// rooms lists the packages of the product, by their path below the module.
func rooms(t *testing.T) map[string]pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", module+"internal/...", module+"client/...", module+"cmd/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		case len(p.GoFiles) > 0: // not this package
			all[strings.TrimPrefix(p.ImportPath, module)] = p
		}
	}
}

func TestArrowsPointDown(t *testing.T) {
	t.Parallel()
	for room, p := range rooms(t) {
		may, known := allowed[room]
		if !known {
			t.Errorf("%s is a new room: say in this test, and in docs/architecture.md, whom it may import", room)
			continue
		}
		for _, path := range p.Imports {
			if other, ours := strings.CutPrefix(path, module); ours && !slices.Contains(may, other) {
				t.Errorf("%s may not import %s", room, other)
			}
		}
	}
}

// TestTheRulesAreInUse keeps rooms and rules from going apart: what is allowed
// and not used is struck out.
func TestTheRulesAreInUse(t *testing.T) {
	t.Parallel()
	used := map[string][]string{}
	for room, p := range rooms(t) {
		used[room] = []string{}
		for _, path := range p.Imports {
			if other, ours := strings.CutPrefix(path, module); ours {
				used[room] = append(used[room], other)
			}
		}
		slices.Sort(used[room])
	}
	want := map[string][]string{}
	for room, may := range allowed {
		want[room] = slices.Clone(may)
		slices.Sort(want[room])
	}
	if diff := cmp.Diff(want, used); diff != "" {
		t.Errorf("allowed and used differ (-allowed +used):\n%s", diff)
	}
}

func TestEachPartHasItsDoor(t *testing.T) {
	t.Parallel()
	for room, p := range rooms(t) {
		for _, path := range p.Imports {
			part, rooms := partOf(path)
			if part != "" && !slices.Contains(rooms, room) {
				t.Errorf("%s may not import %s; only %v may", room, path, rooms)
			}
		}
	}
}

// partOf finds the most particular rule for a path.
func partOf(path string) (part string, rooms []string) {
	for p, r := range parts {
		if (path == p || strings.HasPrefix(path, p+"/")) && len(p) > len(part) {
			part, rooms = p, r
		}
	}
	return part, rooms
}

// speakers are the rooms that reach an IP network: left4med-probe's, and the one
// that listens for browsers.
var speakers = map[string]bool{"internal/srcds": true, "internal/hand": true, "cmd/left4med-web": true}

// networks are the calls that reach, or could reach, an IP network. The daemon
// and its tools speak over unix sockets alone: what speaks to the network is a
// program of its own.
var networks = map[string]bool{
	"net.DialTCP": true, "net.DialUDP": true, "net.DialIP": true,
	"net.ListenTCP": true, "net.ListenUDP": true, "net.ListenIP": true, "net.ListenPacket": true, "net.ListenMulticastUDP": true,
	"net.LookupHost": true, "net.LookupIP": true, "net.LookupAddr": true, "net.Dial": true, "net.DialTimeout": true,
	"http.Get": true, "http.Post": true, "http.PostForm": true, "http.Head": true,
	"http.ListenAndServe": true, "http.ListenAndServeTLS": true, "http.DefaultClient": true, "http.DefaultTransport": true,
}

// TestNoNetwork looks at the source for what an import alone cannot tell: net
// and net/http are there for unix sockets. That the daemon has no network is
// also its unit's (PrivateNetwork=, RestrictAddressFamilies=AF_UNIX).
func TestNoNetwork(t *testing.T) {
	t.Parallel()
	for room, p := range rooms(t) {
		if speakers[room] {
			continue
		}
		for _, file := range p.GoFiles {
			set := token.NewFileSet()
			tree, err := parser.ParseFile(set, filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && networks[x.Name+"."+n.Sel.Name] {
						t.Errorf("%s: %s uses %s.%s", set.Position(n.Pos()), room, x.Name, n.Sel.Name)
					}
				case *ast.CallExpr:
					if word := dialed(n); word != "" {
						t.Errorf("%s: %s reaches for %s", set.Position(n.Pos()), room, word)
					}
				}
				return true
			})
		}
	}
}

// dialed is the network that a Dial or Listen call names, unless that is unix.
func dialed(call *ast.CallExpr) string {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !strings.HasPrefix(fun.Sel.Name, "Dial") && fun.Sel.Name != "Listen" {
		return ""
	}
	for _, arg := range call.Args {
		lit, ok := arg.(*ast.BasicLit)
		if ok && lit.Kind == token.STRING {
			switch word := strings.Trim(lit.Value, "`\""); word {
			case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "ip", "ip4", "ip6":
				return word
			}
		}
	}
	return ""
}
