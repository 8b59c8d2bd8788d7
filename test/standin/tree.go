package standin

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
	for _, name := range strings.Fields(campaignMaps) {
		files["left4dead2/maps/"+name+".bsp"] = ""
	}
	for _, name := range []string{"c1m1_hotel", "c1m2_streets", "c2m1_highway", "c5m1_waterfront", "c8m1_apartment"} {
		files["left4dead2/maps/"+name+".bsp"] = "VBSP stand-in\n"
	}
	var modes strings.Builder
	for _, name := range []string{"coop", "versus", "survival", "scavenge", "realism", "mutation12", "community5"} {
		fmt.Fprintf(&modes, "\t\"%s\"\n\t{\n\t\t\"maxplayers\"\t\"8\"\n\t}\n", name)
	}
	files["left4dead2/scripts/gamemodes.txt"] = "\"gamemodes.txt\"\n{\n" + modes.String() + "}\n"
	return files
}

// campaignMaps are the maps of the game's campaigns.
const campaignMaps = `
	c1m1_hotel c1m2_streets c1m3_mall c1m4_atrium
	c2m1_highway c2m2_fairgrounds c2m3_coaster c2m4_barns c2m5_concert
	c3m1_plankcountry c3m2_swamp c3m3_shantytown c3m4_plantation
	c4m1_milltown_a c4m2_sugarmill_a c4m3_sugarmill_b c4m4_milltown_b c4m5_milltown_escape
	c5m1_waterfront c5m2_park c5m3_cemetery c5m4_quarter c5m5_bridge
	c6m1_riverbank c6m2_bedlam c6m3_port
	c7m1_docks c7m2_barge c7m3_port
	c8m1_apartment c8m2_subway c8m3_sewers c8m4_interior c8m5_rooftop
	c9m1_alleys c9m2_lots
	c10m1_caves c10m2_drainage c10m3_ranchhouse c10m4_mainstreet c10m5_houseboat
	c11m1_greenhouse c11m2_offices c11m3_garage c11m4_terminal c11m5_runway
	c12m1_hilltop c12m2_traintunnel c12m3_bridge c12m4_barn c12m5_cornfield
	c13m1_alpinecreek c13m2_southpinestream c13m3_memorialbridge c13m4_cutthroatcreek
	c14m1_junkyard c14m2_lighthouse`

// makeDirs makes the directories of an installation.
func makeDirs(dir string) error {
	for _, name := range []string{"bin", "left4dead2/addons", "left4dead2/cfg", "left4dead2/logs", "left4dead2/maps", "left4dead2/materials", "left4dead2/scripts", "platform"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Install lays out an installation in dir, which may exist: a game's
// directories, a few small files, and program, an executable of the stand-in,
// as srcds_run. Owners are left to the caller.
func Install(dir, program string) error {
	if err := makeDirs(dir); err != nil {
		return fmt.Errorf("cannot make an installation: %w", err)
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
