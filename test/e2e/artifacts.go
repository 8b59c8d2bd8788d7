package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Where tests find what they install. make sets the first.
const (
	envDeb  = "LEFT4MED_DEB"  // the product's package
	envGame = "LEFT4MED_GAME" // the stand-in for srcds_run
)

// Artifacts are the files, built on this host, that a Host is furnished with.
type Artifacts struct {
	Deb  string // the product's package
	Game string // the stand-in for srcds_run
}

// Main runs the tests or benches of a package, with all artifacts at hand. It
// is what a TestMain calls:
//
//	func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "left4med-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: cannot make a place for what tests need:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	made, err := Build(context.Background(), dir, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	if err := errors.Join(os.Setenv(envDeb, made.Deb), os.Setenv(envGame, made.Game)); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return m.Run()
}

// Build makes the artifacts that the environment does not name: the package by
// make deb, the stand-in in dir, which must outlive its use. What it does is
// said on log.
func Build(ctx context.Context, dir string, log io.Writer) (Artifacts, error) {
	made := Artifacts{Deb: os.Getenv(envDeb), Game: os.Getenv(envGame)}
	root, err := repository(ctx)
	if err != nil {
		return Artifacts{}, err
	}
	if made.Deb == "" {
		fmt.Fprintln(log, "building the package")
		// Its last line names the file.
		out, err := tool(ctx, root, "make", "--no-print-directory", "deb")
		if err != nil {
			return Artifacts{}, fmt.Errorf("cannot build the package: %w", err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		made.Deb = filepath.Join(root, lines[len(lines)-1])
	}
	if made.Game == "" {
		made.Game = filepath.Join(dir, "srcds_run")
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", made.Game, "./test/standin/srcds_run")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0") // it must start on every release
		if out, err := cmd.CombinedOutput(); err != nil {
			return Artifacts{}, fmt.Errorf("cannot build the stand-in for the game: %w\n%s", err, out)
		}
	}
	return made, nil
}

// built returns what Main has put into the environment.
func built(t testing.TB) Artifacts {
	t.Helper()
	made := Artifacts{Deb: os.Getenv(envDeb), Game: os.Getenv(envGame)}
	if made.Deb == "" || made.Game == "" {
		t.Fatal("nothing to install: the TestMain of this package must call e2e.Main")
	}
	return made
}

// Repack writes, in dir, the package under another version: an upgrade to try,
// or a downgrade, that costs no build.
func Repack(ctx context.Context, deb, version, dir string) (string, error) {
	tree := filepath.Join(dir, "tree-"+version)
	target := filepath.Join(dir, "left4med_"+version+".deb")
	if _, err := tool(ctx, dir, "dpkg-deb", "--raw-extract", deb, tree); err != nil {
		return "", fmt.Errorf("cannot repack %s: %w", deb, err)
	}
	control := filepath.Join(tree, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		return "", fmt.Errorf("cannot repack %s: %w", deb, err)
	}
	var changed []byte
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("Version:")) {
			line = []byte("Version: " + version + "\n")
		}
		changed = append(changed, line...)
	}
	if err := os.WriteFile(control, changed, 0o644); err != nil {
		return "", fmt.Errorf("cannot repack %s: %w", deb, err)
	}
	if _, err := tool(ctx, dir, "dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, target); err != nil {
		return "", fmt.Errorf("cannot repack %s: %w", deb, err)
	}
	return target, os.RemoveAll(tree)
}

// repository is the root of the module this is run from.
func repository(ctx context.Context) (string, error) {
	out, err := tool(ctx, "", "go", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	mod := strings.TrimSpace(out)
	if filepath.Base(mod) != "go.mod" {
		return "", errors.New("cannot find the repository: run this from below it")
	}
	return filepath.Dir(mod), nil
}

// tool runs a command of this host in dir and returns its standard output.
func tool(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.Bytes())
	}
	return string(out), nil
}
