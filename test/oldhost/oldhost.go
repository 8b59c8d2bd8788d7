// Package oldhost turns a machine into a host of the system that left4med
// replaces: one user that owns all game data and runs every game, a unit template
// in the local systemd path, helpers for sudo, numbered instances, and among them
// what a game that was taken over leaves behind.
package oldhost

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// UID is the uid and gid of the old system's user.
const UID = 980

// Template is where the old system's unit template is, in front of the package's.
const Template = "/etc/systemd/system/left4me-server@.service"

// Sudoers is the file that lets the old web page act as root.
const Sudoers = "/etc/sudoers.d/left4me"

// Root is where the game data is.
const Root = "/var/lib/left4me"

//go:embed files
var files embed.FS

// places are where the files go, and with which mode.
var places = map[string]struct {
	to   string
	mode fs.FileMode
}{
	"left4me-server@.service": {Template, 0o644},
	"l4d2-game.slice":         {"/etc/systemd/system/l4d2-game.slice", 0o644},
	"l4d2-build.slice":        {"/etc/systemd/system/l4d2-build.slice", 0o644},
	"host.env":                {"/etc/left4me/host.env", 0o644},
	"sudoers":                 {Sudoers, 0o440},
	"left4me-overlay":         {"/usr/local/libexec/left4me/left4me-overlay", 0o755},
	"left4me-systemctl":       {"/usr/local/libexec/left4me/left4me-systemctl", 0o755},
	"left4me-journalctl":      {"/usr/local/libexec/left4me/left4me-journalctl", 0o755},
}

// Set makes the machine such a host, with its games running.
func Set(ctx context.Context, h *host.Host) error {
	script := fmt.Sprintf(`groupadd --gid %[1]d left4me
		useradd --uid %[1]d --gid %[1]d --home-dir %[2]s --shell /usr/sbin/nologin left4me
		sed -i 's|^root:[^:]*|root:$6$%[3]s$x|' /etc/shadow; grep -q '^root:.*%[3]s' /etc/shadow
		mkdir -p %[2]s/installation %[2]s/overlays %[2]s/instances %[2]s/runtime`, UID, Root, ShadowSecret)
	if err := h.Run(ctx, "sh", "-euc", script); err != nil {
		return err
	}
	for name, place := range places {
		data, err := files.ReadFile("files/" + name)
		if err != nil {
			return err
		}
		if err := h.WriteFile(ctx, place.to, data, place.mode); err != nil {
			return err
		}
	}
	if err := h.InstallGame(ctx); err != nil {
		return err
	}
	if err := h.Run(ctx, "sh", "-euc", layOut()); err != nil {
		return err
	}
	for _, i := range All() {
		if err := start(ctx, h, i); err != nil {
			return fmt.Errorf("cannot start the old instance %s: %w", i.Name, err)
		}
	}
	for _, i := range All() {
		if i.Plant == "" {
			continue
		}
		if err := h.Run(ctx, "sh", "-euc", "cd "+Root+"/instances/"+i.Name+"\n"+i.Plant); err != nil {
			return fmt.Errorf("cannot plant what the old instance %s holds: %w", i.Name, err)
		}
	}
	return nil
}

// layOut is a script that makes the trees of all instances and overlays.
func layOut() string {
	var b strings.Builder
	b.WriteString("cd " + Root + "\n")
	for _, overlay := range []string{"1", "2"} {
		fmt.Fprintf(&b, "mkdir -p overlays/%[1]s/left4dead2/addons; echo overlay %[1]s >overlays/%[1]s/left4dead2/addons/which.txt\n", overlay)
	}
	for _, i := range All() {
		fmt.Fprintf(&b, "mkdir -p instances/%[1]s runtime/%[1]s/upper runtime/%[1]s/work runtime/%[1]s/merged\n", i.Name)
		fmt.Fprintf(&b, "cat >instances/%s/instance.env <<'END'\n%sEND\n", i.Name, i.env())
	}
	b.WriteString("chown -R left4me:left4me " + Root + "\n")
	return b.String()
}

func (i Instance) env() string {
	var lowers []string
	for _, overlay := range i.Overlays {
		lowers = append(lowers, Root+"/overlays/"+overlay)
	}
	lowers = append(lowers, Root+"/installation")
	return fmt.Sprintf("L4D2_PORT=%d\nL4D2_ARGS=%s\nL4D2_LOWERDIRS=%s\n", i.Port, i.Args, strings.Join(lowers, ":"))
}

func start(ctx context.Context, h *host.Host, i Instance) error {
	if i.Enabled {
		if err := h.Run(ctx, "systemctl", "enable", i.Unit()); err != nil {
			return err
		}
	}
	if !i.Running {
		return nil
	}
	return h.Run(ctx, "systemctl", "start", i.Unit())
}

// User is the old system's user.
func User() machine.User { return machine.User{Name: "left4me", UID: UID, GID: UID, Home: Root} }
