package gamefiles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

// entry is a file of a package that a test makes.
type entry struct {
	extension, dir, base string
	preload, data        string // data is put behind the tree
	archive              uint16 // of the data; 0 in vpk's terms is NAME_000.vpk
}

// vpk writes a package, each file in lists of its own.
func vpk(version uint32, files ...entry) []byte {
	var tree, data bytes.Buffer
	put := func(b *bytes.Buffer, v any) { _ = binary.Write(b, binary.LittleEndian, v) }
	for _, f := range files {
		tree.WriteString(f.extension + "\x00" + f.dir + "\x00" + f.base + "\x00")
		put(&tree, uint32(0))
		put(&tree, uint16(len(f.preload)))
		put(&tree, f.archive)
		put(&tree, uint32(data.Len()))
		put(&tree, uint32(len(f.data)))
		put(&tree, uint16(vpkEnd))
		tree.WriteString(f.preload + "\x00\x00")
		if f.archive == vpkHere {
			data.WriteString(f.data)
		}
	}
	tree.WriteByte(0)
	var all bytes.Buffer
	for _, n := range []uint32{vpkSignature, version, uint32(tree.Len())} {
		put(&all, n)
	}
	if version == 2 {
		all.Write(make([]byte, 16))
	}
	return append(append(all.Bytes(), tree.Bytes()...), data.Bytes()...)
}

// data lays out game data: the text of each file by its path.
func data(t testing.TB, files map[string]string) *Finder {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		put(t, filepath.Join(root, path), text)
	}
	return New(root)
}

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const gameModes = "// modes\n\"gamemodes.txt\"\n{\n\t\"coop\" // the first\n\t{ \"maxplayers\" \"4\" \"sub\" { \"deeper\" \"1\" } }\n\tVersus\n\t{\n\t}\n\t\"alone\" \"value\"\n}\n\"other\" { \"not\" { } }\n"

func check(f *Finder, m, mode string, overlays ...string) string {
	cfg := server.DefaultConfig("a")
	cfg.Map, cfg.GameMode, cfg.Overlays = m, mode, overlays
	err := f.Check(cfg)
	var e *server.Error
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &e) || e.Code != server.CodeInvalidRequest:
		return "another error: " + err.Error()
	}
	return e.Field + ": " + e.Detail
}

func TestCheck(t *testing.T) {
	t.Parallel()
	f := data(t, map[string]string{
		"installation/left4dead2/maps/c1m1_hotel.bsp":      "",
		"installation/left4dead2/maps/notes.txt":           "",
		"installation/left4dead2_dlc1/maps/C6M1_River.bsp": "",
		"installation/update/maps/c14m1_junkyard.bsp":      "",
		"installation/other/maps/elsewhere.bsp":            "",
		"installation/left4dead2/scripts/gamemodes.txt":    gameModes,
		"installation/left4dead2/addons/A.VPK":             string(vpk(1, entry{"bsp", "maps", "Addon1", "xx", "yy", vpkHere}, entry{"txt", "modes", "mymode", "", "", 0}, entry{" ", " ", "none", "", "", 0})),
		"installation/left4dead2/addons/broken.vpk":        string(vpk(1, entry{"bsp", "maps", "broken", "", "", 0}))[:40],
		"overlays/maps/left4dead2/maps/custom.bsp":         "",
		"overlays/maps/left4dead2/addons/b.vpk":            string(vpk(2, entry{"bsp", "maps", "addon2", "", "", 0}, entry{"bsp", "maps/sub", "deep", "", "", 0})),
	})
	if err := os.Symlink("/etc/passwd", filepath.Join(f.root, "installation/left4dead2/addons/link.vpk")); err != nil {
		t.Fatal(err)
	}
	const found = " (looked for maps/NAME.bsp and .vpk packages in the installation)"
	for _, tt := range []struct {
		m, mode  string
		overlays []string
		want     string
	}{
		{"c1m1_hotel", "coop", nil, ""},
		{"C1M1_Hotel", "COOP", nil, ""},
		{"c6m1_river", "versus", nil, ""},
		{"c14m1_junkyard", "mymode", nil, ""},
		{"addon1", "coop", nil, ""},
		{"custom", "coop", []string{"maps"}, ""},
		{"addon2", "coop", []string{"absent", "maps"}, ""},
		{"custom", "coop", nil, `config.map: the game has no map "custom"` + found},
		{"c1m1_hotle", "coop", nil, `config.map: the game has no map "c1m1_hotle"; did you mean c1m1_hotel?` + found},
		{"elsewhere", "coop", nil, `config.map: the game has no map "elsewhere"` + found},
		{"broken", "coop", nil, `config.map: the game has no map "broken"` + found},
		{"deep", "coop", []string{"maps"}, `config.map: the game has no map "deep" (looked for maps/NAME.bsp and .vpk packages in the installation, the overlay maps)`},
		{"notes", "coop", nil, `config.map: the game has no map "notes"` + found},
		{"c1m1_hotel", "versos", nil, `config.gamemode: the game has no game mode "versos"; did you mean versus? (looked for scripts/gamemodes.txt and modes/NAME.txt in the installation)`},
		{"c1m1_hotel", "scavenge", nil, `config.gamemode: the game has no game mode "scavenge" (looked for scripts/gamemodes.txt and modes/NAME.txt in the installation)`},
		{"c1m1_hotel", "alone", nil, `config.gamemode: the game has no game mode "alone" (looked for scripts/gamemodes.txt and modes/NAME.txt in the installation)`},
	} {
		for range 2 { // the second time from what is kept
			if diff := cmp.Diff(tt.want, check(f, tt.m, tt.mode, tt.overlays...)); diff != "" {
				t.Errorf("%s %s %v (-want +got):\n%s", tt.m, tt.mode, tt.overlays, diff)
			}
		}
	}
}

// TestUnknownGames says nothing of what cannot be judged.
func TestUnknownGames(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*Finder{
		"no data":         New("/does/not/exist"),
		"no installation": data(t, map[string]string{"overlays/maps/left4dead2/maps/custom.bsp": ""}),
		"no maps":         data(t, map[string]string{"installation/srcds_run": "", "installation/left4dead2/scripts/gamemodes.txt": gameModes}),
	} {
		if got := check(f, "anything", "whatever", "maps"); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	// Without the game's own list, the known modes are.
	f := data(t, map[string]string{"installation/left4dead2/maps/a.bsp": "", "installation/left4dead2/scripts/gamemodes.txt": "{{{"})
	for mode, fine := range map[string]bool{"mutation20": true, "teamscavenge": true, "community6": true, "community7": false} {
		if got := check(f, "a", mode); (got == "") != fine {
			t.Errorf("%s: %q", mode, got)
		}
	}
}

// TestModesInPackages reads the list of modes from where a package keeps it.
func TestModesInPackages(t *testing.T) {
	t.Parallel()
	list := func(archive uint16, preload, data string) []byte {
		return vpk(2, entry{"bsp", "maps", "a", "", "", 0}, entry{"txt", "scripts", "gamemodes", preload, data, archive})
	}
	for name, files := range map[string]map[string]string{
		"as preload":       {"pak01_dir.vpk": string(list(0, gameModes, ""))},
		"behind the tree":  {"pak01_dir.vpk": string(list(vpkHere, gameModes[:20], gameModes[20:]))},
		"in an archive":    {"pak01_dir.vpk": string(list(3, "", gameModes)), "pak01_003.vpk": gameModes},
		"not to be had":    {"pak01_dir.vpk": string(list(4, "", gameModes))},
		"longer than told": {"pak01_dir.vpk": string(list(3, "", gameModes)), "pak01_003.vpk": "x"},
	} {
		whole := map[string]string{}
		for path, text := range files {
			whole["installation/left4dead2/"+path] = text
		}
		f := data(t, whole)
		known := name == "not to be had" || name == "longer than told"
		if got := check(f, "a", "scavenge"); (got == "") != known {
			t.Errorf("%s: scavenge: %q", name, got)
		}
		if got := check(f, "a", "versus"); got != "" {
			t.Errorf("%s: versus: %q", name, got)
		}
	}
}

// TestChangedFiles reads a file again when it is another, and not otherwise.
func TestChangedFiles(t *testing.T) {
	t.Parallel()
	f := data(t, map[string]string{"installation/left4dead2/maps/a.bsp": ""})
	addon := filepath.Join(f.root, "installation/left4dead2/addons/x.vpk")
	one, other := vpk(1, entry{"bsp", "maps", "one", "", "", 0}), vpk(1, entry{"bsp", "maps", "two", "", "", 0})
	put(t, addon, string(one))
	at := time.Unix(1_000_000, 0)
	touch := func(at time.Time) {
		if err := os.Chtimes(addon, at, at); err != nil {
			t.Fatal(err)
		}
	}
	touch(at)
	if got := check(f, "one", "coop"); got != "" {
		t.Error(got)
	}
	put(t, addon, string(other)) // the same file, size and time
	touch(at)
	if got := check(f, "one", "coop"); got != "" {
		t.Errorf("it was read again: %s", got)
	}
	touch(at.Add(time.Second))
	if got := check(f, "two", "coop"); got != "" {
		t.Errorf("it was not read again: %s", got)
	}
}

func FuzzVPK(f *testing.F) {
	f.Add(vpk(1, entry{"bsp", "maps", "a", "x", "y", vpkHere}))
	f.Add(vpk(2, entry{"txt", "scripts", "gamemodes", gameModes, "", 0}, entry{" ", " ", "b", "", "", 0}))
	f.Add([]byte("\x34\x12\xaa\x55\x01\x00\x00\x00\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var files int
		_, err := readVPK(bytes.NewReader(b), func(file vpkFile) {
			files++
			if len(file.name) > 3*maxText+2 || len(file.preload) > len(b) {
				t.Errorf("%d bytes give the name %q", len(b), file.name)
			}
		})
		if files*18 > len(b) || err == nil && len(b) < 13 {
			t.Errorf("%d bytes have %d files, %v", len(b), files, err)
		}
	})
}

func FuzzModes(f *testing.F) {
	f.Add(gameModes)
	f.Add("a{b{c{}}}")
	f.Add(`"x" { "unfinished`)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		lower := strings.ToLower(text)
		for _, mode := range parseModes(strings.NewReader(text)) {
			if mode == "" || utf8.ValidString(text) && !strings.Contains(lower, mode) {
				t.Errorf("%q has the mode %q", text, mode)
			}
		}
	})
}

func TestModes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		gameModes: {"coop", "versus"}, "": nil, "}": nil, "a{b{}c{}": {"b", "c"}, `"a" { "b" }`: nil, "a{b [$X360] {}c[!$X]{}}": {"b", "c"},
	} {
		if diff := cmp.Diff(want, parseModes(strings.NewReader(text))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := maps.Collect(func(yield func(string, bool) bool) {
		for _, n := range []string{"c1m1_hotel", "c1m2_streets", "c1m3_mall", "c2m1_highway", "x"} {
			if !yield(n, true) {
				return
			}
		}
	})
	for name, want := range map[string][]string{
		"c1m1_hotle": {"c1m1_hotel"}, "hotel": {}, "c1m": {"c1m1_hotel", "c1m2_streets", "c1m3_mall"}, "c2m1_highwy": {"c2m1_highway"},
		strings.Repeat("z", 64): {},
	} {
		if got := nearest(name, names); !slices.Equal(got, want) {
			t.Errorf("nearest to %s: %q, want %q", name, got, want)
		}
	}
}
