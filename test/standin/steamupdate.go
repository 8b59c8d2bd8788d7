package standin

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Where a download is staged, and Steam's record of what is installed, below the
// installation.
const (
	staged   = "steamapps/downloading/222860"
	appState = "steamapps/appmanifest_222860.acf"
)

// update installs the game as SteamCMD does: each file is fetched into a place
// of its own, and renamed into the tree once all are there. The faults of a
// control file, beside those of the login (offline, connection, guard):
//
//	platform        Invalid platform, whatever is there
//	refused REASON  as that, for another reason
//	state 0xNN      half of the download is there, then it ends in that state
//	crash           the same, by SIGKILL
//	commit          by SIGKILL when half of the files are renamed
//	hang            waits for ever there
//	inplace         writes over a file of the tree where it is, then state 0x626
//	forget          says that it was installed, without the program
func (s *SteamCMD) update(validate bool) (status int, over bool) {
	fault := s.fault()
	reason, refused := strings.CutPrefix(fault, "refused ")
	switch {
	case refused:
		return s.refuse(reason)
	case fault == "platform", s.platform != "windows" && !s.control.owned && !s.present("srcds.exe") && !s.present("srcds_run"),
		s.platform == "" && !s.control.owned:
		return s.refuse("Invalid platform")
	}
	files := s.files()
	if !validate && s.installed() {
		s.printf("Success! App '222860' already up to date.")
		return 0, false
	}
	s.record(0)
	s.printf(" Update state (0x3) reconfiguring, progress: 0.00 (0 / 0)")
	half := strings.HasPrefix(fault, "state ") || fault == "crash"
	if err := s.download(files, half); err != nil {
		s.printf("%v", err)
		return 1, true
	}
	switch state, ends := strings.CutPrefix(fault, "state "); {
	case ends:
		return s.end(state)
	case fault == "crash":
		s.killed()
	case fault == "inplace":
		_ = os.WriteFile(s.at("left4dead2/motd.txt"), []byte("written in place\n"), 0o644)
		return s.end("0x626")
	}
	if err := s.commit(files, fault); err != nil {
		s.printf("%v", err)
		return 1, true
	}
	s.record(4)
	s.printf("Success! App '222860' fully installed.")
	return 0, false
}

func (s *SteamCMD) refuse(reason string) (status int, over bool) {
	s.printf("\x1b[0mERROR! Failed to install app '222860' (%s)", reason)
	s.printf("\x1b[0mUnloading Steam API...OK")
	return 8, true
}

func (s *SteamCMD) end(state string) (status int, over bool) {
	s.printf("Error! App '222860' state is %s after update job.", state)
	return 8, true
}

// files are the game's of this build and platform; srcds_run is the program and
// has no text.
func (s *SteamCMD) files() map[string]string {
	files := treeFiles()
	files["left4dead2/build.txt"] = "build " + s.control.build + "\n"
	if s.platform == "windows" {
		files["srcds.exe"], files["bin/server.dll"] = "not a program\n", "build "+s.control.build+"\n"
		return files
	}
	files["srcds_run"], files["bin/server.so"] = "", "build "+s.control.build+"\n"
	return files
}

// download stages the files, half of them if it is to be cut off; what is staged
// from an earlier try stays.
func (s *SteamCMD) download(files map[string]string, half bool) error {
	names := sortedNames(files)
	for i, name := range names {
		if _, err := os.Stat(s.at(staged + "/" + name)); err == nil {
			continue
		}
		done := s.control.size * int64(i) / int64(len(names))
		s.printf(" Update state (0x61) downloading, progress: %.2f (%d / %d)", 100*float64(i)/float64(len(names)), done, s.control.size)
		if half && i >= len(names)/2 {
			return nil
		}
		time.Sleep(s.control.delay)
		if err := s.fetch(s.at(staged+"/"+name), name, files[name]); err != nil {
			return err
		}
	}
	s.printf(" Update state (0x61) downloading, progress: 100.00 (%d / %d)", s.control.size, s.control.size)
	return nil
}

func (s *SteamCMD) fetch(to, name, text string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if name == "srcds_run" {
		return copyProgram(to, s.Program)
	}
	return os.WriteFile(to, []byte(text), 0o644)
}

// commit renames the files into the tree and removes the other platform's.
func (s *SteamCMD) commit(files map[string]string, fault string) error {
	for _, other := range []string{"srcds.exe", "bin/server.dll", "srcds_run", "bin/server.so"} {
		if _, ours := files[other]; !ours {
			_ = os.Remove(s.at(other))
		}
	}
	if err := makeDirs(s.dir); err != nil {
		return err
	}
	names := sortedNames(files)
	for i, name := range names {
		s.printf(" Update state (0x101) committing, progress: %.2f (%d / %d)", 100*float64(i)/float64(len(names)), s.control.size*int64(i)/int64(len(names)), s.control.size)
		if i == len(names)/2 {
			switch fault {
			case "commit":
				s.killed()
			case "hang":
				s.untilKilled()
			}
		}
		if fault == "forget" && name == "srcds_run" {
			_ = os.Remove(s.at(name))
			continue
		}
		if err := os.Rename(s.at(staged+"/"+name), s.at(name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(s.at(staged))
}

// record writes Steam's record, in place; flags 4 mean installed.
func (s *SteamCMD) record(flags int) {
	_ = os.MkdirAll(s.at("steamapps"), 0o755)
	text := fmt.Sprintf("\"AppState\"\n{\n\t\"appid\"\t\t\"222860\"\n\t\"StateFlags\"\t\t\"%d\"\n\t\"installdir\"\t\t\"Left 4 Dead 2 Dedicated Server\"\n\t\"buildid\"\t\t\"%s\"\n\t\"platform\"\t\t\"%s\"\n}\n", flags, s.control.build, s.platform)
	_ = os.WriteFile(s.at(appState), []byte(text), 0o644)
}

// installed says whether Steam's record has this build of this platform.
func (s *SteamCMD) installed() bool {
	data, _ := os.ReadFile(s.at(appState))
	text := string(data)
	return strings.Contains(text, `"StateFlags"		"4"`) && strings.Contains(text, `"buildid"		"`+s.control.build+`"`) &&
		(strings.Contains(text, `"platform"		"windows"`) == (s.platform == "windows"))
}

func (s *SteamCMD) at(name string) string { return filepath.Join(s.dir, name) }

func (s *SteamCMD) present(name string) bool {
	_, err := os.Stat(s.at(name))
	return err == nil
}

func sortedNames(files map[string]string) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
