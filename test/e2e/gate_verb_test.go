package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

var (
	inPage  = regexp.MustCompile(`(?s)\.Bd -literal[^\n]*\n([^\n]*polkit-1/rules\.d.*?)\.Ed\n`)
	inGuide = regexp.MustCompile("(?s)```js\n([^\n]*polkit-1/rules\\.d.*?)```\n")
)

// documentedRule is the narrow rule that the documentation shows.
func documentedRule(t *testing.T) string {
	t.Helper()
	var rules []string
	for file, block := range map[string]*regexp.Regexp{"../../deploy/man/left4med.8": inPage, "../../docs/operating.md": inGuide} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := block.FindAllStringSubmatch(string(text), -1)
		if len(found) != 1 {
			t.Fatalf("%s shows %d rules for polkit, want 1", file, len(found))
		}
		rules = append(rules, found[0][1])
	}
	same(t, "the rule in the manual page and in the guide", rules[0], rules[1])
	return rules[0]
}

// oneVerb is kim's day, who may restart one server.
func (g *gate) oneVerb(t *testing.T) {
	g.await(t, "versus-1", "at rest after the walks", func(s *client.Server) bool { return s.Job == nil })
	g.MustCtl(t, "start", "versus-1")
	kim, before := g.caller("kim"), g.shown(t, "versus-1")
	restarted := result(t, g.CommandAs(t.Context(), kim, "l4d2ctl", "start", "--restart", "versus-1"))
	same(t, "exit of a restart", 0, restarted.Code)
	contains(t, restarted.Stdout+restarted.Stderr, "versus-1: restarted")
	after := g.agree(t, "versus-1")
	if after.InvocationID == before.InvocationID {
		t.Error("the server was not restarted")
	}
	if last := g.history(t, "versus-1", 1)[0]; last.By.User != "kim" || last.What != "restart" || last.To != "succeeded" {
		t.Errorf("the last job: %+v", last)
	}

	for _, args := range []string{
		"start versus-1", "stop versus-1", "start --restart b", "stop --all", "delete --yes versus-1",
		"initialize versus-1 --map c2m1_highway", "initialize c", "logs versus-1", "jobs", "history",
	} {
		got := result(t, g.CommandAs(t.Context(), kim, "l4d2ctl", strings.Fields(args)...))
		if got.Code != 4 {
			t.Errorf("l4d2ctl %s as kim: exit %d, want 4: %s%s", args, got.Code, got.Stdout, got.Stderr)
		}
		contains(t, got.Stderr, "kim", "left4med-operators", "left4med(8)")
	}
	same(t, "versus-1", told(after), told(g.server(t, "versus-1")))

	t.Run("Many", func(t *testing.T) { g.oneOfMany(t) })
	t.Run("Group", func(t *testing.T) { g.groupCountsAtOnce(t, kim) })
}

// groupCountsAtOnce: polkit looks into the group itself, whatever groups the
// process has.
func (g *gate) groupCountsAtOnce(t *testing.T, kim machine.User) {
	for _, c := range []struct {
		change string
		exit   int
	}{{"usermod --append --groups left4med-operators kim", 0}, {"gpasswd --delete kim left4med-operators", 4}} {
		g.shell(t, c.change)
		got := result(t, g.CommandAs(t.Context(), kim, "l4d2ctl", "jobs"))
		same(t, "exit after "+c.change+": "+got.Stderr, c.exit, got.Code)
	}
}

// oneOfMany asks for two servers of which kim may restart one.
func (g *gate) oneOfMany(t *testing.T) {
	const path = "/v1/actions?wait=30s"
	many := g.ask(t, g.caller("kim"), 1, send("POST", path, `{"action":"restart","servers":["b","versus-1"]}`),
		send("POST", path, `{"action":"stop","servers":["b","versus-1"]}`))
	type job struct {
		Server string
		Kind   client.JobKind
		State  client.JobState
	}
	var got struct {
		Jobs    []job
		Refused []struct {
			Server string
			Code   client.Code
		}
	}
	if err := json.Unmarshal([]byte(many[0].Text), &got); err != nil {
		t.Fatal(err, many[0])
	}
	same(t, "the jobs", []job{{"versus-1", client.JobRestart, client.JobSucceeded}}, got.Jobs)
	if len(got.Refused) != 1 || got.Refused[0].Server != "b" || got.Refused[0].Code != client.CodeNotAuthorized {
		t.Errorf("refused: %+v, want b alone", got.Refused)
	}
	if many[1].Status != http.StatusForbidden {
		t.Errorf("stopping both: %+v", many[1])
	}
	if diff := cmp.Diff(map[string]moment{"versus-1": up, "b": down}, g.moments(t)); diff != "" {
		t.Errorf("the servers afterwards (-want +got):\n%s", diff)
	}
}
