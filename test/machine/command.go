package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// User is whom a command runs as.
type User struct {
	Name     string
	UID, GID int
	Groups   []int // supplementary
	Home     string
}

// Root is the machine's root user.
func Root() User { return User{Name: "root", Home: "/root"} }

// Command returns a command that will run as root in the machine: the usual
// exec.Cmd, to be given streams and started, with an environment of the
// machine's and nothing of the caller's. When its context ends, it is killed
// with its children.
//
// It enters the machine's namespaces from outside (nsenter(1)): it stays in the
// caller's cgroup, so it belongs to no unit of the machine, and keeps the
// caller's capabilities. What must be in a unit runs under systemd-run.
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return m.CommandAs(ctx, Root(), name, args...)
}

// CommandAs is Command as another user, who need not exist in the machine.
func (m *Machine) CommandAs(ctx context.Context, user User, name string, args ...string) *exec.Cmd {
	leader, off := m.leaderPID()
	argv := append(m.enter(leader), become(user)...)
	argv = append(append(argv, name), args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Err = errors.Join(cmd.Err, off)
	cmd.Env = environment(user)
	// nsenter waits for a child inside: a group of their own ends them together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// leaderPID is the pid of the machine's PID 1 on the host.
func (m *Machine) leaderPID() (int, error) {
	if leader := m.now().leader; leader != nil {
		return leader.Pid, nil
	}
	return 0, errOff
}

func (m *Machine) enter(leader int) []string {
	return []string{m.nsenter, "--target", strconv.Itoa(leader), "--all", "--"}
}

// become returns the setpriv(1) words that turn root into the user.
func become(user User) []string {
	if user.UID == 0 {
		return nil
	}
	groups := "--clear-groups"
	if len(user.Groups) > 0 {
		var ids []string
		for _, id := range user.Groups {
			ids = append(ids, strconv.Itoa(id))
		}
		groups = "--groups=" + strings.Join(ids, ",")
	}
	return []string{
		"setpriv", "--reuid=" + strconv.Itoa(user.UID), "--regid=" + strconv.Itoa(user.GID),
		groups, "--inh-caps=-all", "--",
	}
}

func environment(user User) []string {
	return []string{
		"PATH=" + searchPath, "LANG=C.UTF-8", "SHELL=/bin/bash",
		"HOME=" + user.Home, "USER=" + user.Name, "LOGNAME=" + user.Name,
	}
}

// Shell returns the command line of a root shell in the machine, on a terminal
// of the machine's own, for a person to look around with. It holds for this
// boot alone.
func (m *Machine) Shell() ([]string, error) {
	leader, err := m.leaderPID()
	if err != nil {
		return nil, err
	}
	argv := append(m.enter(leader), "env", "--ignore-environment", "TERM="+os.Getenv("TERM"))
	argv = append(argv, environment(Root())...)
	return append(argv, "script", "--quiet", "--command", "cd && exec bash --login", "/dev/null"), nil
}

// LookupUser returns a user that the machine knows.
func (m *Machine) LookupUser(ctx context.Context, name string) (User, error) {
	out, err := m.Output(ctx, "sh", "-euc", `id -u "$1"; id -g "$1"; getent passwd "$1" | cut -d: -f6; id -G "$1"`, "sh", name)
	if err != nil {
		return User{}, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 4 {
		return User{}, fmt.Errorf("cannot look up user %s: unexpected answer %q", name, out)
	}
	user := User{Name: name, Home: lines[2]}
	var errs []error
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		errs = append(errs, err)
		return n
	}
	user.UID, user.GID = number(lines[0]), number(lines[1])
	for group := range strings.FieldsSeq(lines[3]) {
		user.Groups = append(user.Groups, number(group))
	}
	if err := errors.Join(errs...); err != nil {
		return User{}, fmt.Errorf("cannot look up user %s: %w", name, err)
	}
	return user, nil
}

// CommandError tells how a command in a machine failed.
type CommandError struct {
	Args           []string // as given, without what enters the machine
	ExitCode       int      // -1 when it was killed or never ran
	Stdout, Stderr string
	Err            error
}

func (e *CommandError) Error() string {
	text := fmt.Sprintf("%s: %v", strings.Join(e.Args, " "), e.Err)
	for _, stream := range []string{e.Stderr, e.Stdout} {
		if stream = strings.TrimSpace(stream); stream != "" {
			text += "\n" + lastLines(stream, 30)
		}
	}
	return text
}

func (e *CommandError) Unwrap() error { return e.Err }

// Run runs a command as root. A failure is a *CommandError.
func (m *Machine) Run(ctx context.Context, name string, args ...string) error {
	_, err := m.Output(ctx, name, args...)
	return err
}

// Output runs a command as root and returns its standard output, also when it
// failed. A failure is a *CommandError.
func (m *Machine) Output(ctx context.Context, name string, args ...string) (string, error) {
	return Output(m.Command(ctx, name, args...))
}

// Output runs a command made by Command or CommandAs, whose standard output
// must not be set yet, and returns that output, also when the command failed. A
// failure is a *CommandError.
func Output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout = &stdout
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	if err := cmd.Run(); err != nil {
		failure := &CommandError{
			Args: inner(cmd.Args), ExitCode: -1,
			Stdout: stdout.String(), Stderr: stderr.String(), Err: err,
		}
		if cmd.ProcessState != nil {
			failure.ExitCode = cmd.ProcessState.ExitCode()
		}
		return stdout.String(), failure
	}
	return stdout.String(), nil
}

// inner strips the words that enter a machine and become a user.
func inner(args []string) []string {
	for i, arg := range args {
		if arg != "--" {
			continue
		}
		if rest := args[i+1:]; len(rest) > 0 && rest[0] == "setpriv" {
			return inner(rest)
		}
		return args[i+1:]
	}
	return args
}

// State is what systemctl is-system-running says: running, degraded (a unit
// failed), starting, stopping, and others.
func (m *Machine) State(ctx context.Context, args ...string) (string, error) {
	out, err := m.Output(ctx, "systemctl", append([]string{"is-system-running"}, args...)...)
	if state := strings.TrimSpace(out); state != "" {
		return state, nil // it fails for every state but running
	}
	return "", err
}

// Journal returns the last 200 lines of this boot's journal. Further arguments
// of journalctl narrow it down or, like --boot=all, widen it.
func (m *Machine) Journal(ctx context.Context, args ...string) (string, error) {
	return m.Output(ctx, "journalctl", append([]string{
		"--no-pager", "--boot", "--lines=200", "--output=short-precise",
	}, args...)...)
}
