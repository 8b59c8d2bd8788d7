package machine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// packages is what a base tree holds beyond Debian's essential packages and
// apt: a plain server with systemd, what the product's package depends on
// (nothing is downloaded once a machine runs), and what tests look around with.
// libnss-systemd is left out on purpose: the product must work without it.
const packages = "systemd,systemd-sysv,dbus,polkitd," +
	"passwd,login,adduser,mount,util-linux,tzdata,bash-completion,man-db,less," +
	"iproute2,procps,curl,jq,sqlite3,socat,netcat-openbsd,libcap2-bin,attr"

// hooks run on the host with the new tree as $1. They fix what would otherwise
// be decided at the first boot, or be done behind a test's back.
func hooks() []string {
	return []string{
		`echo LANG=C.UTF-8 >"$1/etc/locale.conf"`,
		`ln -sf /usr/share/zoneinfo/Etc/UTC "$1/etc/localtime"`,
		`: >"$1/etc/machine-id"; : >"$1/etc/resolv.conf"; rm -f "$1/var/lib/man-db/auto-update"`,
		`chroot "$1" systemctl --quiet mask console-getty.service getty.target e2scrub_reap.service` +
			` apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer man-db.timer` +
			` e2scrub_all.timer fstrim.timer`,
		// A reload of systemd runs every generator, which is most of what it costs,
		// and none has anything to make here. Which there are depends on the release.
		`mkdir -p "$1` + generatorMasks + `"; for generator in $(ls "$1/usr/lib/systemd/system-generators"); do` +
			` ln -s /dev/null "$1` + generatorMasks + `/$generator"; done`,
		`chroot "$1" journalctl --quiet --update-catalog`,
		// Debian 12 has no such program, and none of the units that wait for it.
		`done=/usr/lib/systemd/systemd-update-done; [ ! -e "$1$done" ] || chroot "$1" "$done"`,
	}
}

// generatorMasks is where systemd finds masks of its generators
// (systemd.generator(7)).
const generatorMasks = "/etc/systemd/system-generators"

// UnmaskGenerators lets reloads of systemd cost what they do on a Debian as it
// comes: for a machine on which that is measured.
func (m *Machine) UnmaskGenerators(ctx context.Context) error {
	return m.Run(ctx, "rm", "-r", "--", generatorMasks)
}

// tree is one of the trees that are built once and cached.
type tree struct {
	name    string   // of its own among all trees
	what    string   // in words
	command []string // the mmdebstrap command line that makes it, without the target
}

// baseTree is what machines of a release stand on.
func baseTree(release Release) tree {
	return tree{string(release), "Debian " + string(release) + " base tree", recipe(release, packages)}
}

// recipe is the mmdebstrap command line for a release, without the target. More
// hooks run before those that all trees have.
func recipe(release Release, packages string, more ...string) []string {
	command := []string{
		"mmdebstrap", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io",
		"--include=" + packages,
	}
	for _, hook := range append(more, hooks()...) {
		command = append(command, "--customize-hook="+hook)
	}
	return append(command, string(release))
}

// EnsureBase returns the base tree of a release below the cache directory, and
// builds it first when there is none of today's recipe: half a minute, and the
// only thing here that uses the network. Processes that ask at once build it
// once. What it does is said on progress, which may be nil.
//
// Debian's own mirror is used unless LEFT4MED_MIRROR names another; a proxy of
// the host's apt configuration is kept.
func EnsureBase(ctx context.Context, release Release, progress io.Writer) (string, error) {
	return ensureCached(ctx, baseTree(release), progress)
}

func ensureCached(ctx context.Context, t tree, progress io.Writer) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	return ensureTree(ctx, cache, t, progress)
}

func ensureTree(ctx context.Context, cache string, t tree, progress io.Writer) (string, error) {
	place := cached{
		dir: t.dir(cache), what: t.what, guard: t.name, needs: buildPrograms(),
		build: func(ctx context.Context, aside string) error { return buildTree(ctx, t.command, aside) },
	}
	return place.dir, place.ensure(ctx, progress)
}

// dir is the tree's place by the recipe of today.
func (t tree) dir(cache string) string {
	key := sha256.Sum256([]byte(strings.Join(t.command, "\x00")))
	return filepath.Join(cache, "base", fmt.Sprintf("%s-%x", t.name, key[:6]))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// cached is a directory that is built once.
type cached struct {
	dir   string
	what  string // in words
	guard string // names the lock, below the directory's parent, that builders take
	needs []program
	build func(ctx context.Context, aside string) error
}

// ensure builds the directory when it is not there. Processes that do so at once
// build it once.
func (c cached) ensure(ctx context.Context, progress io.Writer) error {
	if exists(c.dir) {
		return nil
	}
	parent := filepath.Dir(c.dir)
	if err := checkHost(c.needs); err != nil {
		return fmt.Errorf("cannot build the %s: %w", c.what, err)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("cannot build the %s: %w", c.what, err)
	}
	guard, err := lock(ctx, filepath.Join(parent, "."+c.guard+".lock"))
	if err != nil {
		return fmt.Errorf("cannot build the %s: %w", c.what, err)
	}
	defer guard.Close()
	if exists(c.dir) { // somebody else built it while we waited
		return nil
	}
	if progress == nil {
		progress = io.Discard
	}
	fmt.Fprintf(progress, "building the %s, once, in %s\n", c.what, c.dir)
	begin := time.Now()
	if err := c.buildAside(ctx); err != nil {
		return fmt.Errorf("cannot build the %s: %w", c.what, err)
	}
	fmt.Fprintf(progress, "built the %s in %s\n", c.what, time.Since(begin).Round(time.Second))
	return nil
}

// buildAside builds beside the directory and renames it into place, so that what
// has its own name is whole. The caller holds the lock.
func (c cached) buildAside(ctx context.Context) error {
	aside := filepath.Join(filepath.Dir(c.dir), "."+filepath.Base(c.dir))
	if err := os.RemoveAll(aside); err != nil { // of a build that was killed
		return err
	}
	defer os.RemoveAll(aside)
	if err := c.build(ctx, aside); err != nil {
		return err
	}
	return os.Rename(aside, c.dir)
}

// buildTree makes a tree in a directory.
func buildTree(ctx context.Context, command []string, dir string) error {
	command = append(slices.Clone(command), dir)
	if mirror := os.Getenv("LEFT4MED_MIRROR"); mirror != "" {
		command = append(command, mirror)
	}
	command = append(command, aptProxies(ctx)...)
	var log bytes.Buffer
	if err := runBound(ctx, &log, command); err != nil {
		return fmt.Errorf("%s: %w\n%s", command[0], err, lastLines(log.String(), 20))
	}
	// mmdebstrap may leave the root directory as private as mkdtemp(3) does.
	return os.Chmod(dir, 0o755)
}

// aptProxies hands the host's proxies on: mmdebstrap reads none of its
// configuration.
func aptProxies(ctx context.Context) []string {
	const format = `%f "%v";%n`
	raw, err := exec.CommandContext(ctx, "apt-config", "dump", "--no-empty", "--format", format, "Acquire").Output()
	if err != nil {
		return nil // a host without apt has no proxy to hand on
	}
	var options []string
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "Acquire::http::Proxy") || strings.HasPrefix(line, "Acquire::https::Proxy") {
			options = append(options, "--aptopt="+strings.TrimSpace(line))
		}
	}
	return options
}

// runBound runs a command that ends with us, with all its children and mounts,
// however we end: it is alone in a pid namespace that dies with its starter.
func runBound(ctx context.Context, output io.Writer, command []string) error {
	wrapped := append([]string{"--mount-proc", "--pid", "--fork", "--kill-child", "--"}, command...)
	cmd := exec.CommandContext(ctx, "unshare", wrapped...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	// The signal comes when the starting *thread* ends: keep it until then.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(err, context.Cause(ctx))
	}
	return err
}

// lastLines returns at most n lines from the end of text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
