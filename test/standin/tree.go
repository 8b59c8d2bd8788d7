package standin

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// treeFiles is what an installation holds beside the program: enough of a
// game's layout for overlays, settings and map lists to find their places.
func treeFiles() map[string]string {
	files := map[string]string{
		"bin/steamclient.so":           "not a library: this tree belongs to a stand-in\n",
		"left4dead2/gameinfo.txt":      "\"GameInfo\"\n{\n\tgame \"Left 4 Dead 2\"\n}\n",
		"left4dead2/steam.inf":         "PatchVersion=2.2.4.3\nProductName=left4dead2\nappID=550\nServerAppID=222860\n",
		"left4dead2/cfg/valve.rc":      "exec autoexec.cfg\n",
		"left4dead2/motd.txt":          "Welcome\n",
		"left4dead2/mapcycle.txt":      "c1m1_hotel\nc2m1_highway\n",
		"left4dead2/addons/readme.txt": "Add-ons belong here\n",
		"left4dead2/pak01_000.vpk":     "stand-in\n",
	}
	for _, name := range []string{"c1m1_hotel", "c1m2_streets", "c2m1_highway", "c5m1_waterfront", "c8m1_apartment"} {
		files["left4dead2/maps/"+name+".bsp"] = "VBSP stand-in\n"
	}
	return files
}

// Install lays out an installation in dir, which may exist: a game's
// directories, a few small files, and program, an executable of the stand-in,
// as srcds_run. Owners are left to the caller.
func Install(dir, program string) error {
	for _, name := range []string{"bin", "left4dead2/addons", "left4dead2/cfg", "left4dead2/logs", "left4dead2/maps", "left4dead2/materials", "left4dead2/scripts", "platform"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return fmt.Errorf("cannot make an installation: %w", err)
		}
	}
	for name, text := range treeFiles() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot make an installation: %w", err)
		}
	}
	if err := copyProgram(filepath.Join(dir, "srcds_run"), program); err != nil {
		return fmt.Errorf("cannot install %s: %w", program, err)
	}
	return nil
}

// copyProgram replaces target by a rename, since a program that runs cannot be
// written to.
func copyProgram(target, program string) error {
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(target+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err := firstError(err, to.Close()); err != nil {
		return err
	}
	return os.Rename(target+".new", target)
}
