package standin

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// SteamCMDControl is where the stand-in for SteamCMD reads what it shall do,
// below its home. One directive a line:
//
//	build ID            the newest build; 1001
//	size BYTES          of the download; 1000
//	delay DURATION      before each file of the download
//	owned               the account owns the game: the Linux files without the Windows ones
//	account USER PASS   no other login is let in
//	fail PLATFORM WHAT  PLATFORM is any, windows or linux, as forced; see steamFault
const SteamCMDControl = "standin-steamcmd.conf"

// SteamCMD is a stand-in for Valve's SteamCMD: it takes commands as that does,
// prints its lines, and "downloads" the stand-in for the game, staged and then
// committed file by file. One pass is one process.
type SteamCMD struct {
	Home    string // where its control file is
	Program string // becomes srcds_run
	Out     io.Writer

	control  steamControl
	platform string
	dir      string
}

type steamControl struct {
	build          string
	size           int64
	delay          time.Duration
	owned          bool
	user, password string
	fails          map[string]string // by platform
}

// Run obeys the commands, which are +COMMAND ARGUMENTS… or a +runscript FILE, and
// answers SteamCMD's exit status.
func (s *SteamCMD) Run(args []string) int {
	s.printf("Redirecting stderr to '%s/Steam/logs/stderr.txt'", s.Home)
	s.printf("[  0%%] Checking for available updates...")
	s.printf("[----] Verifying installation...")
	if err := s.readControl(); err != nil {
		s.printf("%v", err)
		return 1
	}
	if s.fault() == "offline" {
		s.printf("[----] !!! Fatal Error: Steamcmd needs to be online to update.  Please confirm your network connection and try again.")
		return 254
	}
	s.printf("Steam Console Client (c) Valve Corporation - version 1731433425")
	s.printf("-- type 'quit' to exit --")
	s.printf("Loading Steam API...\x1b[0mOK")
	commands, err := steamCommands(args)
	if err != nil {
		s.printf("%v", err)
		return 1
	}
	for _, command := range commands {
		if status, over := s.obeyCommand(command); over {
			return status
		}
	}
	return 0
}

// steamCommands splits a command line, or the file that it names, into words.
func steamCommands(args []string) ([][]string, error) {
	if len(args) == 2 && args[0] == "+runscript" {
		data, err := os.ReadFile(args[1])
		var commands [][]string
		for text := range strings.Lines(string(data)) {
			var words []string
			for i, part := range strings.Split(strings.TrimSpace(text), `"`) {
				if i%2 == 1 {
					words = append(words, part)
				} else {
					words = append(words, strings.Fields(part)...)
				}
			}
			commands = append(commands, words)
		}
		return commands, err
	}
	var commands [][]string
	for _, arg := range args {
		if word, found := strings.CutPrefix(arg, "+"); found {
			commands = append(commands, []string{word})
		} else if n := len(commands); n > 0 {
			commands[n-1] = append(commands[n-1], arg)
		}
	}
	return commands, nil
}

func (s *SteamCMD) obeyCommand(words []string) (status int, over bool) {
	words = append(words, "", "", "")
	switch words[0] {
	case "@sSteamCmdForcePlatformType":
		s.platform = words[1]
		s.printf("\x1b[0m\"@sSteamCmdForcePlatformType\" = \"%s\"", words[1])
	case "force_install_dir":
		s.dir = words[1]
	case "login":
		return s.login(words[1], words[2])
	case "app_update":
		return s.update(slices.Contains(words, "validate"))
	case "app_info_print":
		s.describe()
	case "quit":
		s.printf("Unloading Steam API...OK")
		return 0, true
	}
	return 0, false
}

func (s *SteamCMD) login(user, password string) (status int, over bool) {
	s.printf("")
	if user == "anonymous" {
		s.print("Connecting anonymously to Steam Public...")
	} else {
		s.printf("Logging in using username/password.")
		s.print(fmt.Sprintf("Logging in user '%s' to Steam Public...", user))
	}
	c := s.control
	switch {
	case s.fault() == "connection":
		s.printf("Retrying...\nRetrying...\nFAILED (No Connection)")
		return 5, true
	case s.fault() == "guard":
		s.printf("\nThis account is protected by Steam Guard.\nPlease check your email for the message from Steam, and enter the Steam Guard\n code from that message.")
		s.print("Steam Guard code:")
		s.untilKilled()
	case c.user != "" && (user != c.user || password != c.password), user == "anonymous" && c.user != "":
		s.printf("ERROR (Invalid Password)")
		return 5, true
	}
	s.printf("\x1b[0mOK\nWaiting for client config...OK\nWaiting for user info...OK")
	return 0, false
}

// describe prints what Steam knows of the app, from the second time on.
func (s *SteamCMD) describe() {
	known := filepath.Join(s.Home, "standin-steamcmd.known")
	if _, err := os.Stat(known); err != nil {
		_ = os.WriteFile(known, nil, 0o600)
		s.printf("No app info for AppID 222860 found, requesting...")
		return
	}
	s.printf("\x1b[0mAppID : 222860, change number : 29033045/0, last change : Tue May 27 10:11:12 2025")
	s.printf("\"222860\"\n{\n\t\"common\"\n\t{\n\t\t\"name\"\t\t\"Left 4 Dead 2 Dedicated Server\"\n\t}\n\t\"depots\"\n\t{\n\t\t\"branches\"\n\t\t{")
	s.printf("\t\t\t\"public\"\n\t\t\t{\n\t\t\t\t\"buildid\"\t\t\"%s\"\n\t\t\t}\n\t\t}\n\t}\n}", s.control.build)
}

// fault is what the control file has for this platform.
func (s *SteamCMD) fault() string {
	if what := s.control.fails[s.platform]; what != "" {
		return what
	}
	return s.control.fails["any"]
}

func (s *SteamCMD) readControl() error {
	s.control = steamControl{build: "1001", size: 1000, fails: map[string]string{}}
	f, err := os.Open(filepath.Join(s.Home, SteamCMDControl))
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := append(strings.Fields(lines.Text()), "", "", "")
		rest := strings.Join(words[2:], " ")
		switch words[0] {
		case "build":
			s.control.build = words[1]
		case "size":
			_, err = fmt.Sscan(words[1], &s.control.size)
		case "delay":
			s.control.delay, err = time.ParseDuration(words[1])
		case "owned":
			s.control.owned = true
		case "account":
			s.control.user, s.control.password = words[1], words[2]
		case "fail":
			s.control.fails[words[1]] = strings.TrimSpace(rest)
		case "":
		default:
			err = fmt.Errorf("unknown directive %q", words[0])
		}
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", SteamCMDControl, err)
		}
	}
	return nil
}

func (s *SteamCMD) printf(format string, args ...any) { s.print(fmt.Sprintf(format, args...) + "\n") }

func (s *SteamCMD) print(text string) { _, _ = io.WriteString(s.Out, text) }

// untilKilled waits for SIGKILL: whatever else comes is ignored.
func (s *SteamCMD) untilKilled() {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	for {
		time.Sleep(time.Hour)
	}
}

// killed ends the process as kill -9 does.
func (s *SteamCMD) killed() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	s.untilKilled()
}
