package orchestrator

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const oldRule = "left4me ALL=(root) NOPASSWD: /usr/local/libexec/left4me/left4me-systemctl *\n"

func TestCheckOfSudoers(t *testing.T) {
	t.Parallel()
	const (
		door = "%/s.d/x lets the user left4me run programs as root without a password, for which nothing here has a use"
		none = "no rule lets the old system's user left4me act as root"
	)
	for name, c := range map[string]struct {
		main, part  string
		found, cure string
	}{
		"none":           {"Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n", "", none, ""},
		"the old file":   {"", "# of the old system\n" + oldRule, door, "rm %/s.d/x"},
		"and others'":    {"", oldRule + "kim ALL=(ALL) ALL\n", door, "visudo -f '%/s.d/x'"},
		"the main file":  {oldRule, "", "%/s lets the user left4me run programs as root without a password, for which nothing here has a use", "visudo"},
		"over two lines": {"", "kim, left4me \\\n  ALL = NOPASSWD: \\\n ALL\n", door, "rm %/s.d/x"},
		"with a password": {"", "%left4me ALL=(ALL) ALL\n" + oldRule, "%/s.d/x lets the user left4me run programs as root, for which nothing here has a use",
			"rm %/s.d/x"},
		"programs for others": {"", "www-data ALL=NOPASSWD: /bin/true, /usr/local/libexec/left4me/left4me-overlay\n",
			"%/s.d/x lets somebody run the old system's programs as root without a password, for which nothing here has a use", "rm %/s.d/x"},
		"taken out":          {"", "#" + oldRule, none, ""},
		"others of the name": {"", "left4med-web ALL=(root) NOPASSWD: /bin/true\nkim ALL=(left4me) NOPASSWD: ALL\nDefaults:left4me !requiretty\n", none, ""},
		"ours":               {"", "kim ALL=(root) NOPASSWD: /usr/bin/systemctl restart left4med.service\n", none, ""},
		"too large":          {"", oldRule + strings.Repeat("#\n", maxSudoersSize), none + "; not looked at: %/s.d/x, which is larger than 64 KiB", ""},
	} {
		dir := t.TempDir()
		main, parts := filepath.Join(dir, "s"), filepath.Join(dir, "s.d")
		if err := os.Mkdir(parts, 0o750); err != nil {
			t.Fatal(err)
		}
		for path, text := range map[string]string{main: c.main, filepath.Join(parts, "x"): c.part, filepath.Join(parts, "off.x"): oldRule, filepath.Join(parts, "off~"): oldRule} {
			if err := os.WriteFile(path, []byte(text), 0o440); err != nil {
				t.Fatal(err)
			}
		}
		want := Check{Name: "sudoers", OK: c.cure == "", LookedAt: main + " and " + parts, Found: here(c.found, dir), Cure: here(c.cure, dir)}
		t.Run(name, func(t *testing.T) { checked(t, want, checkSudoers(main, parts)) })
	}
}

// here puts a directory where % stands.
func here(text, dir string) string { return strings.ReplaceAll(text, "%", dir) }

// What is no plain file is not opened for long, nor followed, and no sudo at all
// is no fault.
func TestSudoersAreReadWithCare(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	main, parts := filepath.Join(dir, "s"), filepath.Join(dir, "s.d")
	want := Check{Name: "sudoers", OK: true, LookedAt: main + " and " + parts, Found: "no rule lets the old system's user left4me act as root"}
	checked(t, want, checkSudoers(main, parts))
	if err := os.Mkdir(parts, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "elsewhere"), []byte(oldRule), 0o440); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(parts, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(parts, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	want.Found += "; not looked at: " + parts + "/link, which is a link; not looked at: " + parts + "/pipe, which is no plain file"
	checked(t, want, checkSudoers(main, parts))
}
