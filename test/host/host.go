// Package host is a throw-away machine on which the product is installed from
// its package, with the stand-in for the game: what the end-to-end tests, the
// benchmarks and the demo work on.
package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
	"github.com/left4med/left4med/test/standin"
)

// Socket is where left4med listens.
const Socket = "/run/left4med/left4med.sock"

// Installation is where the game is.
const Installation = "/var/lib/left4me/installation"

// Host is a machine with the product on it.
type Host struct{ *machine.Machine }

// New boots a machine for a test that has product and stand-in on its disk. The
// test fails at once when that is not possible.
func New(t testing.TB, release machine.Release) *Host {
	t.Helper()
	l, err := layer(release)
	if err != nil {
		t.Fatal(err)
	}
	return &Host{machine.NewOn(t, release, l)}
}

// layer is a disk on which product and stand-in are installed.
func layer(release machine.Release) (*machine.Layer, error) {
	deb, err := Package()
	if err != nil {
		return nil, err
	}
	program, err := standinProgram()
	if err != nil {
		return nil, err
	}
	const insideDeb = "/tmp/left4med.deb"
	script := []string{
		"dpkg --install " + insideDeb,
		// Only where a test wants it (WebStart): it connects again to a daemon that a
		// test stops, by which systemd starts that.
		"systemctl disable left4med-web.service",
		layOutGame("/tmp/srcds_run"),
	}
	for path, text := range bootIDFiles(release) {
		script = append(script, fmt.Sprintf("mkdir -p %s\ncat >%s <<'END'\n%sEND", filepath.Dir(path), path, text))
	}
	slices.Sort(script[3:])
	return &machine.Layer{
		Files:  map[string]string{insideDeb: deb, "/tmp/srcds_run": program},
		Script: strings.Join(script, "\n"),
	}, nil
}

// InstallProduct installs the product from its package.
func (h *Host) InstallProduct(ctx context.Context) error {
	deb, err := Package()
	if err != nil {
		return err
	}
	if err := h.keepBootID(ctx); err != nil {
		return err
	}
	if err := h.InstallDeb(ctx, deb); err != nil {
		return fmt.Errorf("cannot install the package: %w", err)
	}
	return nil
}

// WebStart enables and starts left4med-web, which is off on a machine of New's,
// and returns once it serves.
func (h *Host) WebStart(ctx context.Context) error {
	if err := h.Run(ctx, "systemctl", "enable", "--now", "left4med-web.service"); err != nil {
		return fmt.Errorf("cannot start left4med-web: %w", err)
	}
	return nil
}

// keepBootID makes the daemon see the machine's boot id from now on.
func (h *Host) keepBootID(ctx context.Context) error {
	files := bootIDFiles(h.Release())
	for path, text := range files {
		if err := h.WriteFile(ctx, path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if len(files) == 0 {
		return nil
	}
	return h.Run(ctx, "systemd-tmpfiles", "--create", bootIDTmpfiles)
}

const bootIDTmpfiles = "/etc/tmpfiles.d/boot-id.conf"

// bootIDFiles make the daemon see the machine's boot id. systemd-nspawn mounts a
// fresh one over /proc/sys/kernel/random/boot_id, and a unit of systemd 252 with
// ProtectKernelTunables= looks beneath that: it would see the host's own, the
// same over all boots of the machine, and journalctl --follow, which shows the
// present boot alone, nothing at all.
func bootIDFiles(release machine.Release) map[string]string {
	if release != machine.Bookworm {
		return nil
	}
	const place, id = "/run/boot-id", "/proc/sys/kernel/random/boot_id"
	return map[string]string{
		bootIDTmpfiles: "C " + place + " - - - - " + id + "\n",
		"/etc/systemd/system/left4med.service.d/boot-id.conf": "[Service]\nBindReadOnlyPaths=" + place + ":" + id + "\n",
	}
}

// Package is the path of the package under test: LEFT4MED_DEB, as the Makefile
// sets it.
func Package() (string, error) {
	if deb := os.Getenv("LEFT4MED_DEB"); deb != "" {
		return deb, nil
	}
	return "", errors.New("LEFT4MED_DEB does not name the package to install; run `make test-e2e`, or `make deb` and set it to the file in dist/")
}

// InstallGame lays out the stand-in as the installation.
func (h *Host) InstallGame(ctx context.Context) error {
	program, err := standinProgram()
	if err != nil {
		return err
	}
	const inside = "/var/tmp/srcds_run"
	if err := h.CopyIn(ctx, program, inside); err != nil {
		return err
	}
	if err := h.Run(ctx, "sh", "-euc", layOutGame(inside)); err != nil {
		return fmt.Errorf("cannot lay out the stand-in: %w", err)
	}
	return nil
}

// layOutGame is a line of sh that makes the stand-in, a program inside, the
// installation.
func layOutGame(program string) string {
	return program + " --make-tree " + Installation + " && chown -R left4me:left4me " + Installation
}

// SteamCMDControl is the file that tells the stand-in for SteamCMD what to do; see
// package standin.
const SteamCMDControl = "/var/lib/left4me/steam/" + standin.SteamCMDControl

// InstallSteamCMD puts the stand-in for SteamCMD where Debian's package would.
func (h *Host) InstallSteamCMD(ctx context.Context) error {
	program, err := standinProgram()
	if err != nil {
		return err
	}
	return h.CopyIn(ctx, program, "/usr/games/steamcmd")
}

var standinProgram = sync.OnceValues(func() (string, error) { return Program("./test/standin/srcds_run") })

// Program builds a program of the module, named as for go build from its top, so
// that it runs in every machine, and says where it is. It stays in the build
// cache's neighbourhood, one file for each user and version of it.
func Program(of string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = "/var/cache"
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module: %w", err)
	}
	out := filepath.Join(dir, "left4med", "standin", filepath.Base(of))
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", err
	}
	// Built beside and renamed: test processes may do this at the same time.
	tmp, err := os.MkdirTemp(filepath.Dir(out), "build")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	built := filepath.Join(tmp, filepath.Base(of))
	build := exec.Command("go", "build", "-trimpath", "-o", built, of)
	build.Dir = strings.TrimSpace(string(root))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build %s: %w\n%s", of, err, text)
	}
	return out, os.Rename(built, out)
}

// Client speaks to left4med from outside the machine, as root. It is for this
// boot: after a reboot, ask for a new one.
func (h *Host) Client() *client.Client {
	return client.New(client.Options{Socket: h.Path(Socket)})
}

// Standin tells the stand-in that listens on a port what to do, in the words of
// its package: "crash", "hang", "exit 3", "memory 64" …
func (h *Host) Standin(ctx context.Context, port uint16, directive string) error {
	return h.Run(ctx, "bash", "-c", `printf '%s' "$1" >/dev/udp/127.0.0.1/"$2"`, "standin", "STANDIN "+directive, fmt.Sprint(port))
}
