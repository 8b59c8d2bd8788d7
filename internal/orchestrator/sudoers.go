package orchestrator

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

// The system that left4med replaces gave its user programs that run as root, by
// rules of sudo's. Whoever has that user has root, until the rules are gone.

// How much of sudo's files is looked at.
const (
	maxSudoers     = 100      // files
	maxSudoersSize = 64 << 10 // bytes of each
)

// checkSudoers looks for rules that make the old system's user root.
func checkSudoers(file, dir string) Check {
	c := Check{Name: "sudoers", OK: true, LookedAt: file + " and " + dir, Found: "no rule lets the old system's user left4me act as root"}
	paths := []string{file}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Found += "; not looked at: " + err.Error()
	}
	for _, e := range entries[:min(len(entries), maxSudoers)] {
		// sudo passes over these names, sudoers(5).
		if name := e.Name(); !strings.Contains(name, ".") && !strings.HasSuffix(name, "~") {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	if len(entries) > maxSudoers {
		c.Found += fmt.Sprintf("; not looked at: all but %d files", maxSudoers)
	}
	var doors []string
	for _, path := range paths {
		text, err := readSudoers(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			c.Found += "; not looked at: " + server.Visible(err.Error())
			continue
		}
		rules := sudoRules(text)
		door, all := oldRules(rules)
		if door == "" {
			continue
		}
		doors = append(doors, fmt.Sprintf("%s lets %s", server.Visible(path), door))
		if c.Cure == "" {
			c.Cure = sudoersCure(path, file, all)
		}
	}
	if len(doors) > 0 {
		c.OK, c.Found = false, strings.Join(doors, "; ")+", for which nothing here has a use"
	}
	return c
}

// sudoersCure removes a file that holds nothing else.
func sudoersCure(path, main string, all bool) string {
	switch {
	case path == main:
		return "visudo"
	case all && plainPath.MatchString(path):
		return "rm " + path
	}
	return "visudo -f '" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._-]+$`)

func readSudoers(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return "", fmt.Errorf("%s, which is a link", path)
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s, which is no plain file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSudoersSize+1))
	if len(b) > maxSudoersSize {
		err = fmt.Errorf("%s, which is larger than %d KiB", path, maxSudoersSize>>10)
	}
	return string(b), err
}

// sudoRules are the lines of a file that let somebody do something.
func sudoRules(text string) []string {
	var rules []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if at := strings.Index(line, "#"); at == 0 && !startsUID.MatchString(line) || at > 0 && line[at-1] == ' ' {
			line = strings.TrimSpace(line[:at])
		}
		if line != "" && !notRule.MatchString(line) && strings.Contains(line, "=") {
			rules = append(rules, line)
		}
	}
	return rules
}

var (
	startsUID = regexp.MustCompile(`^#\d`)
	notRule   = regexp.MustCompile(`^(Defaults|(User|Runas|Host|Cmnd|Cmd)_Alias\b|@include)`)
	ruleParts = regexp.MustCompile(`^([^=]*)=\s*(\([^)]*\))?(.*)$`) // who and where, as whom, what
	oldUser   = regexp.MustCompile(`(^|[\s,"%])left4me($|[\s,"])`)
	oldHelper = regexp.MustCompile(`(^|[\s,:!])/\S*/left4me/`)
	asRoot    = regexp.MustCompile(`\(\s*(root|ALL|#0)\b|^$`)
)

// oldRules says whom the old system's rules among these let act as root, and
// whether all of them are such.
func oldRules(rules []string) (lets string, all bool) {
	all = true
	who, password := "", " without a password"
	for _, rule := range rules {
		p := ruleParts.FindStringSubmatch(rule)
		if p == nil || !asRoot.MatchString(p[2]) || !oldUser.MatchString(p[1]) && !oldHelper.MatchString(p[3]) {
			all = false
			continue
		}
		if oldUser.MatchString(p[1]) {
			who = "the user left4me run programs"
		} else if who == "" {
			who = "somebody run the old system's programs"
		}
		if !strings.Contains(p[3], "NOPASSWD:") {
			password = ""
		}
	}
	if who == "" {
		return "", false
	}
	return who + " as root" + password, all
}
