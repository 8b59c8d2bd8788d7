package orchestrator

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// What doctor says of the servers. All of it is read from memory, and from /proc.

// maxNamed is how many servers a check names; a cure is for those that it names.
const maxNamed = 10

// driftOrder is the order in which drifts are named, and cured: what keeps the
// cure of another from working comes first.
var driftOrder = [...]server.Drift{
	server.DriftMasked, server.DriftMissing, server.DriftDown, server.DriftFlapping, server.DriftNotEnabled,
}

func checkDrift(servers []*Entry, h hostFacts) Check {
	c := Check{Name: "drift", OK: true, LookedAt: "intent and state of " + counted(len(servers)), Found: "every server is as intended"}
	var names []server.Name
	var list []string
	var first server.Drift
	for _, kind := range driftOrder {
		for _, s := range servers {
			if s.Drift != kind {
				continue
			}
			list = append(list, fmt.Sprintf("%s (%s for %s)", s.Name, kind, server.Span(time.Since(s.DriftSince))))
			if first == "" {
				first = kind
			}
			if kind == first {
				names = append(names, s.Name)
			}
		}
	}
	if len(list) == 0 {
		return c
	}
	c.OK, c.Found = false, counted(len(list))+" not as intended: "+someOf(list)
	switch {
	case first == server.DriftMasked && h.links.TemplateMasked:
		c.Cure = unmaskTemplate
	case first == server.DriftMissing && h.template == "":
		c.Cure = reinstall
	default:
		c.Cure = first.Cure(names[:min(len(names), maxNamed)]...)
	}
	return c
}

func checkStale(servers []*Entry) Check {
	c := Check{Name: "stale", OK: true, LookedAt: "when each server was last seen", Found: "every state is fresh"}
	var list []string
	for _, s := range servers {
		switch {
		case !s.Stale:
		case s.ObservedAt.IsZero():
			list = append(list, string(s.Name)+" (never seen)")
		default:
			list = append(list, fmt.Sprintf("%s (last seen %s ago)", s.Name, server.Span(time.Since(s.ObservedAt))))
		}
	}
	if len(list) > 0 {
		c.OK, c.Cure = false, restartDaemon
		c.Found = fmt.Sprintf("what is shown of %s may be old: %s", counted(len(list)), someOf(list))
	}
	return c
}

func checkHealing(servers []*Entry) Check {
	c := Check{Name: "healing", OK: true, LookedAt: "which servers are started again by themselves", Found: "no server needs it"}
	var gaveUp []server.Name
	var over, on []string
	for _, s := range servers {
		switch h := s.Healing; {
		case h == nil:
		case h.GaveUp:
			gaveUp = append(gaveUp, s.Name)
			over = append(over, fmt.Sprintf("%s (after %s)", s.Name, server.Starts(h.Attempt)))
		default:
			on = append(on, fmt.Sprintf("%s (attempt %d of %d %s)", s.Name, h.Attempt, h.Limit, server.In(time.Until(h.NextAt))))
		}
	}
	if len(on) > 0 {
		c.Found = "starting again: " + someOf(on)
	}
	if len(over) > 0 {
		c.OK, c.Found = false, "gave up: "+someOf(over)
		c.Cure = server.DriftDown.Cure(gaveUp[:min(len(gaveUp), maxNamed)]...)
	}
	return c
}

// checkRules names servers that run under a uid that is not of their own: they
// were started by another template's rules than the package's. hidden is the
// check of the template in force, whose cure comes first.
func checkRules(servers []*Entry, proc string, hidden Check) Check {
	c := Check{Name: "rules", OK: true, LookedAt: "the uids of the games that run", Found: "each has one of its own"}
	var names []server.Name
	var list []string
	for _, s := range servers {
		if s.State != server.StateRunning || s.MainPID == 0 {
			continue
		}
		if uid, known := gameUID(proc, s); known && !server.IsGameUID(uid) {
			names, list = append(names, s.Name), append(list, fmt.Sprintf("%s (uid %d)", s.Name, uid))
		}
	}
	if len(list) == 0 {
		return c
	}
	c.OK = false
	c.Found = "started by other rules than the packaged template's, and so not kept apart from each other: " + someOf(list)
	c.Cure = "l4d2ctl start --restart " + server.Names(names[:min(len(names), maxNamed)])
	if !hidden.OK {
		c.Found += "; the template comes first"
		c.Cure = hidden.Cure
	}
	return c
}

// gameUID is the uid of a server's main process, if it still is that one.
func gameUID(proc string, s *Entry) (uid uint32, known bool) {
	dir := proc + "/" + strconv.FormatUint(uint64(s.MainPID), 10)
	info, err := os.Stat(dir)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || server.IsGameUID(st.Uid) {
		return st.Uid, ok
	}
	// The directory of a process that may not be dumped is root's, whoever's the
	// process is.
	cgroup, err := os.ReadFile(dir + "/cgroup")
	if err != nil || !strings.Contains(string(cgroup), "/"+s.Unit) {
		return 0, false
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return 0, false
	}
	_, err = fmt.Sscanf(after(string(status), "\nUid:"), "%d", &uid)
	return uid, err == nil
}

func after(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	return rest
}

// someOf is a list for people, of which the first are named.
func someOf(list []string) string {
	text := strings.Join(list[:min(len(list), maxNamed)], ", ")
	if more := len(list) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func counted(servers int) string {
	if servers == 1 {
		return "1 server"
	}
	return strconv.Itoa(servers) + " servers"
}
