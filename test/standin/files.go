package standin

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// noWait keeps a pipe that "swap" left in a file's place from holding the game.
const noWait = syscall.O_NONBLOCK

func (s *Server) path(name string) string { return filepath.Join(s.Dir, name) }

// execConfig reads a file of the game's cfg directory. Of its commands only echo,
// exec, hostname and passwords do something; the others are counted, never shown,
// since some of them are secrets. depth is how many files led here: one may run
// itself.
func (s *Server) execConfig(name string, depth int) {
	if !strings.HasSuffix(name, ".cfg") {
		name += ".cfg"
	}
	f, err := os.OpenFile(s.path(filepath.Join(s.Options.Game, "cfg", name)), os.O_RDONLY|noWait, 0)
	if err != nil {
		s.printf("'%s' not present; not executing.", name)
		return
	}
	defer f.Close()
	commands := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "//")
		command, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch command {
		case "":
			continue
		case "echo":
			s.printf("%s", value)
		case "exec":
			if depth < 8 {
				s.execConfig(value, depth+1)
			}
		case "hostname", "rcon_password", "sv_password":
			s.game.set(command, value)
		}
		commands++
	}
	s.printf("executed %s, %d commands, hostname %q", name, commands, s.game.hostname())
}

// log appends a line to the day's file in the game's logs directory.
func (s *Server) log(text string) {
	now := s.Now()
	s.writeGameFile(now.Format("logs/L20060102000.log"), fmt.Sprintf("L %s: %s\n", now.Format("01/02/2006 - 15:04:05"), text), os.O_APPEND)
}

// writeGameFile writes a file below the game's directory. As with srcds, one
// that cannot be written is a line on the console and no more.
func (s *Server) writeGameFile(name, text string, flag int) {
	f, err := os.OpenFile(s.path(filepath.Join(s.Options.Game, name)), os.O_WRONLY|os.O_CREATE|noWait|flag, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
		err = firstError(err, f.Close())
	}
	if err != nil {
		s.printf("Unable to write %s: %v", name, err)
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
