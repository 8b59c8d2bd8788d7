package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// traces is what servers leave on a host.
type traces struct {
	Files, Units, Mounts, Links []string
}

// traces lists all of it. What systemd and the kernel keep for themselves
// (journal, the dynamic users' directories) is none of it.
func (l *lab) traces(t *testing.T) traces {
	t.Helper()
	lines := func(script string) []string {
		var found []string
		for line := range strings.Lines(l.shell(t, script)) {
			found = append(found, strings.Join(strings.Fields(line), " "))
		}
		return found
	}
	// A server that was stopped leaves its overlay to systemd, which may still be
	// at it; asking for the same waits for that.
	l.shell(t, `units=$(systemctl list-jobs --full --plain --no-legend | awk '$2 ~ /^left4me-/ && $3 == "stop" {print $2}'); [ -z "$units" ] || systemctl stop $units`)
	return traces{
		Files: lines(`find /var/lib/left4me -path /var/lib/left4me/installation -prune -o -printf '%p %y %m %U:%G %l\n' | sort`),
		// --all shows what systemd holds, also what is inactive.
		Units:  lines(`systemctl list-units --all --full --plain --no-legend 'left4me-*@*' | sort`),
		Mounts: lines(`findmnt --list --noheadings --output TARGET,FSTYPE | grep left4me | sort || true`),
		Links:  lines(`find /etc/systemd /run/systemd/system /run/systemd/transient -path '*left4me*' -printf '%p %l\n' 2>/dev/null | sort`),
	}
}

// hostile is what a game may leave in its upper layer: links that lead out,
// directories that nobody may enter, deep nesting, strange names, and files of
// every kind it can make.
const hostile = `
	mkdir -p left4dead2/x; cd left4dead2/x
	ln -s /etc etc; ln -s /etc/passwd passwd; ln -s ../../../../../../../../etc up; ln -s . self
	ln -s /var/lib/left4me/instances instances
	mkdir shut; echo x >shut/file; chmod 000 shut
	mkdir -p outer/inner; echo x >outer/inner/file; chmod 000 outer/inner; chmod 500 outer
	mkdir deep; ( cd deep; i=0; while [ $i -lt 300 ]; do mkdir a_rather_long_directory_name; cd -P a_rather_long_directory_name; i=$((i+1)); done; echo x >bottom )
	touch -- '-rf' '--' '*' ' ' "$(printf 'new\nline')" "$(printf 'esc\033[31m')" "$(printf 'bad\377utf')" "$(printf 'long%0250d' 0)"
	mkfifo pipe; chmod 000 pipe
	ln passwd hard; truncate -s 1G sparse
	rm -r ../maps; mkdir ../maps; echo x >../maps/own.bsp
	rm ../motd.txt`

// outsideList tells every change of a file that is none of the servers' own. A
// directory is as large and as old as its last visitor made it.
const outsideList = `find /etc /usr/lib/systemd /root /home -xdev \( -type d -printf '%p %m %U:%G\n' -o -printf '%p %y %m %U:%G %s %T@ %l\n' \) | sort | sha256sum`

// TestDelete removes servers and looks for what is left.
func TestDelete(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.running(t, "stays") // a neighbour, which nothing may happen to
		l.systemctl(t, "daemon-reload")
		neighbour := l.agree(t, "stays")
		outside := l.shell(t, outsideList)
		before := l.traces(t)
		gone := func(t *testing.T, name string) {
			t.Helper()
			if _, err := l.api(t).Server(t.Context(), name); err == nil {
				t.Errorf("the API still knows %s", name)
			}
			same(t, "what is on the host", before, l.traces(t))
			same(t, "what is outside", outside, l.shell(t, outsideList))
			same(t, "the neighbour", told(neighbour), told(l.agree(t, "stays")))
		}
		t.Run("NeverStarted", func(t *testing.T) {
			l.create(t, "fresh")
			l.MustCtl(t, "delete", "--yes", "fresh")
			gone(t, "fresh")
		})
		t.Run("Running", func(t *testing.T) {
			l.running(t, "alive")
			l.keep(t, "alive", "something")
			pid := l.shown(t, "alive").MainPID
			l.MustCtl(t, "delete", "--yes", "alive")
			gone(t, "alive")
			if l.Run(t.Context(), "test", "-e", fmt.Sprintf("/proc/%d", pid)) == nil {
				t.Errorf("its process %d still runs", pid)
			}
		})
		t.Run("Failed", func(t *testing.T) {
			l.create(t, "broken")
			l.atStart(t, "broken", "crash")
			if r := l.ctl(t, "start", "broken"); r.Code != 6 {
				t.Fatalf("the start ended with %d", r.Code)
			}
			l.MustCtl(t, "delete", "--yes", "broken")
			gone(t, "broken")
		})
		t.Run("HostileLayer", func(t *testing.T) {
			l.running(t, "hostile")
			l.asGame(t, "hostile", hostile)
			l.MustCtl(t, "delete", "--yes", "hostile")
			gone(t, "hostile")
		})
		t.Run("StandingInIt", func(t *testing.T) {
			// A shell that stands in the tree must not keep it.
			l.running(t, "held")
			l.MustRun(t, "systemd-run", "--quiet", "--unit=stander", "--working-directory="+merged("held"), "sleep", "infinity")
			l.MustCtl(t, "delete", "--yes", "held")
			gone(t, "held")
			l.systemctl(t, "stop", "stander")
		})
		t.Run("UsedAgain", func(t *testing.T) {
			l.running(t, "again")
			l.keep(t, "again", "of the first")
			first := l.server(t, "again")
			l.MustCtl(t, "delete", "--yes", "again")
			l.running(t, "again")
			second := l.agree(t, "again")
			if second.ID <= first.ID {
				t.Errorf("the new server has the id %d after %d", second.ID, first.ID)
			}
			if l.Run(t.Context(), "test", "-e", merged("again")+"/left4dead2/cfg/kept.txt") == nil {
				t.Error("the new server has the files of the first")
			}
			jobs, err := l.api(t).Jobs(t.Context(), client.JobsFilter{Server: "again"})
			if err != nil {
				t.Fatal(err)
			}
			var owners []string
			for _, job := range jobs {
				owners = append(owners, fmt.Sprintf("%s of %d", job.Kind, job.ServerID))
			}
			same(t, "the jobs keep them apart", []string{
				fmt.Sprintf("start of %d", second.ID), fmt.Sprintf("initialize of %d", second.ID),
				fmt.Sprintf("delete of %d", first.ID), fmt.Sprintf("start of %d", first.ID), fmt.Sprintf("initialize of %d", first.ID),
			}, owners)
			l.MustCtl(t, "delete", "--yes", "again")
			gone(t, "again")
		})
	})
}
