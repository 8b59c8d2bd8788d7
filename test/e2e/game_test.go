package e2e_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/left4med/left4med/test/machine"
)

// gameCommand is a shell script that runs where a game runs: with its uid and no
// capability, in its namespaces. Only its user namespace is left out, which
// would not let the groups be dropped: there the game may do less, not more.
func (l *lab) gameCommand(t *testing.T, name, script string) []string {
	t.Helper()
	pid := fmt.Sprint(l.shown(t, name).MainPID)
	const become = `
		uid=$(awk '/^Uid:/ {print $2}' /proc/"$1"/status)
		cd / && exec nsenter --target "$1" --mount --uts --ipc --net --pid --cgroup --wd="/proc/$1/cwd" -- \
			setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- \
			sh -euc "$2"`
	return []string{"sh", "-euc", become, "sh", pid, script}
}

// asGame runs the script and returns its output.
func (l *lab) asGame(t *testing.T, name, script string) string {
	t.Helper()
	argv := l.gameCommand(t, name, script)
	return l.MustRun(t, argv[0], argv[1:]...)
}

// tryAsGame runs a script that may fail.
func (l *lab) tryAsGame(t *testing.T, name, script string) (string, error) {
	t.Helper()
	argv := l.gameCommand(t, name, script)
	return l.Output(t.Context(), argv[0], argv[1:]...)
}

// as runs a command as a user of the machine.
func (l *lab) as(ctx context.Context, user machine.User, name string, args ...string) (string, error) {
	return machine.Output(l.CommandAs(ctx, user, name, args...))
}

// inUnit has the game itself run a script, in its unit with all that the unit
// takes from it, and returns the output; the test fails when the script does.
func (l *lab) inUnit(t *testing.T, name, script string) string {
	t.Helper()
	code, out := l.tryInUnit(t, name, script)
	if code != 0 {
		t.Fatalf("in the unit of %s, exit %d:\n%s\n%s", name, code, script, out)
	}
	return out
}

// tryInUnit has the game itself run a script that may fail, and returns its exit
// status and output.
func (l *lab) tryInUnit(t *testing.T, name, script string) (code int, out string) {
	t.Helper()
	// Nobody listens yet just after a start: then the kernel says so, and it is asked again.
	const ask = `for i in $(seq 300); do exec 3<>/dev/udp/127.0.0.1/"$1"; printf 'STANDIN sh %s' "$2" >&3
		if timeout 60 dd bs=64k count=2 status=none <&3 2>/dev/null; then exit; fi; sleep 0.1; done; exit 1`
	reply := l.MustRun(t, "bash", "-euc", ask, "ask", fmt.Sprint(l.server(t, name).Config.Port), strconv.Quote(script))
	_, done, ok := strings.Cut(reply, "STANDIN OKSTANDIN DONE ")
	if _, err := fmt.Sscanf(done, "%d ", &code); !ok || err != nil || code < 0 {
		t.Fatalf("the game %s did not run %q: %q", name, script, reply)
	}
	_, out, _ = strings.Cut(done, " ")
	return code, out
}
