package standin_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/test/standin"
)

func TestParseArgs(t *testing.T) {
	t.Parallel()
	got, err := standin.ParseArgs([]string{
		"-game", "left4dead2", "-norestart", "-strictportbind", "+ip", "0.0.0.0", "+hostport", "27016", "+clientport", "28016",
		"+map", "c2m1_highway", "versus", "-maxplayers", "12", "+hostname", "Two words", "+exec", "a.cfg", "+exec", "b",
		"+sv_gravity", "-1", "stray",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := standin.Options{
		Game: "left4dead2", IP: "0.0.0.0", Port: 27016, ClientPort: 28016, SourceTV: 27020, Map: "c2m1_highway", GameMode: "versus", MaxPlayers: 12,
		Hostname: "Two words", Exec: []string{"a.cfg", "b"}, NoRestart: true,
		Unknown: []string{"-strictportbind", "+sv_gravity -1 stray"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, args := range [][]string{{"-port", "x"}, {"+hostport", "70000"}, {"+hostport"}, {"-maxplayers", "0"}} {
		if _, err := standin.ParseArgs(args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

func TestParseDirective(t *testing.T) {
	t.Parallel()
	want := map[string]standin.Directive{
		"crash":               {Verb: standin.VerbCrash},
		"crash 1s":            {Verb: standin.VerbCrash, After: time.Second},
		"exit 0":              {Verb: standin.VerbExit},
		"exit 255  500ms":     {Verb: standin.VerbExit, Code: 255, After: 500 * time.Millisecond},
		" hang ":              {Verb: standin.VerbHang},
		"memory 64":           {Verb: standin.VerbMemory, Count: 64},
		"print a  b":          {Verb: standin.VerbPrint, Text: "a  b"},
		`print "\x1b[1m\xff"`: {Verb: standin.VerbPrint, Text: "\x1b[1m\xff"},
		"sh echo 1; exit 2":   {Verb: standin.VerbShell, Text: "echo 1; exit 2"},
		"swap /canary":        {Verb: standin.VerbSwap, Text: "/canary"},
		"spam 10":             {Verb: standin.VerbSpam, Count: 10},
		`spam 10 "line\ntwo"`: {Verb: standin.VerbSpam, Count: 10, Text: "line\ntwo"},
		"join two words":      {Verb: standin.VerbJoin, Text: "two words"},
		`join "\x1b[1m\xff"`:  {Verb: standin.VerbJoin, Text: "\x1b[1m\xff"},
		"bot Nick":            {Verb: standin.VerbBot, Text: "Nick"},
		"leave *":             {Verb: standin.VerbLeave, Text: "*"},
		"map c2m1_highway":    {Verb: standin.VerbMap, Text: "c2m1_highway"},
		"query split-missing": {Verb: standin.VerbQuery, Text: "split-missing"},
		"rcon auth-twice":     {Verb: standin.VerbRCON, Text: "auth-twice"},
	}
	got := make(map[string]standin.Directive)
	for line := range want {
		d, err := standin.ParseDirective(line)
		if err != nil {
			t.Error(err)
		}
		got[line] = d
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, line := range []string{"", "explode", "exit", "exit 256", "exit -1", "exit 1 soon", "crash -1s", "hang on", "memory", "memory 0", "memory 99999999", "spam 0", `print "open`, "join", `leave ""`, "map ", "query", "query loud", "rcon silent"} {
		if d, err := standin.ParseDirective(line); err == nil {
			t.Errorf("%q was taken as %+v", line, d)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add("# how to behave\njoin \"a\\x1b\"\nleave *\n")
	f.Add("query slow\nrcon hang\nexit 3 2s\n")
	f.Fuzz(func(t *testing.T, text string) {
		ds, err := standin.ParseControl([]byte(text))
		if err != nil && ds != nil {
			t.Errorf("%+v and %v", ds, err)
		}
		for _, d := range ds {
			if d.Verb == "" || d.After < 0 || d.Count < 0 || d.Code < 0 || d.Code > 255 {
				t.Errorf("%+v", d)
			}
		}
	})
}
