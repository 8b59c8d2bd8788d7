// Package gamefiles reads which maps and game modes a game's own files have: those
// of the installation, and of overlays on top of it. Nothing of them is trusted.
// The installation is its own user's and overlays are downloaded: only plain files
// are read, no link is followed out, and all that is read has a limit.
package gamefiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

// Finder looks into the game data below one directory. Its methods may be called
// from any goroutine.
type Finder struct {
	root string

	mu    sync.Mutex
	cache map[string]cached // what packages and lists of modes hold, by path
}

// cached is what a file held when it was read.
type cached struct {
	identity identity
	contents contents
}

// identity changes with a file's contents.
type identity struct {
	inode, size, mtime int64
}

// maxCached bounds how many files' contents are kept: more are read again.
const maxCached = 4096

// contents are maps and modes, in lower case, as the game takes them.
type contents struct {
	maps, modes map[string]bool
	listed      bool // the modes are those of a list of the game's, scripts/gamemodes.txt
}

func newContents() contents { return contents{maps: map[string]bool{}, modes: map[string]bool{}} }

func (c *contents) add(d contents) {
	for name := range d.maps {
		c.maps[name] = true
	}
	for name := range d.modes {
		c.modes[name] = true
	}
	c.listed = c.listed || d.listed
}

// New returns a Finder for the data below root, an absolute path. Nothing is read
// before it is asked.
func New(root string) *Finder { return &Finder{root: root, cache: map[string]cached{}} }

// Check returns an error with code CodeInvalidRequest that names the field when
// the game has no map, or no mode, that settings name. While no game is there, or
// one without a single map, nothing can be said, and nothing is refused.
func (f *Finder) Check(cfg server.Config) error {
	root, err := os.OpenRoot(f.root)
	if err != nil {
		return nil
	}
	defer root.Close()
	all := f.layer(root, "installation")
	if len(all.maps) == 0 {
		return nil
	}
	where := "the installation"
	for _, overlay := range cfg.Overlays {
		all.add(f.layer(root, path.Join("overlays", overlay)))
		where += ", the overlay " + overlay
	}
	if !all.listed {
		for _, mode := range knownModes() {
			all.modes[mode] = true
		}
	}
	if !all.maps[strings.ToLower(cfg.Map)] {
		return absent("config.map", "map", cfg.Map, all.maps, "maps/NAME.bsp and .vpk packages in "+where)
	}
	if !all.modes[strings.ToLower(cfg.GameMode)] {
		return absent("config.gamemode", "game mode", cfg.GameMode, all.modes, "scripts/gamemodes.txt and modes/NAME.txt in "+where)
	}
	return nil
}

func absent(field, what, name string, names map[string]bool, where string) error {
	e := server.Errorf(server.CodeInvalidRequest, "the game has no %s %s", what, server.Quote(name, 70))
	if near := nearest(strings.ToLower(name), names); len(near) > 0 {
		e.Detail += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	e.Detail += fmt.Sprintf(" (looked for %s)", where)
	e.Field = field
	return e
}

// knownModes are the game's at the time of writing, for a game whose own list
// cannot be read.
func knownModes() []string {
	modes := []string{"coop", "versus", "survival", "scavenge", "realism", "teamversus", "teamscavenge"}
	for n := range 20 {
		modes = append(modes, fmt.Sprint("mutation", n+1))
	}
	for n := range 6 {
		modes = append(modes, fmt.Sprint("community", n+1))
	}
	return modes
}

// layer collects what one layer has in all of the directories that the game looks
// into (SearchPaths of gameinfo.txt).
func (f *Finder) layer(root *os.Root, dir string) contents {
	c := newContents()
	for _, e := range readDir(root, dir) {
		if e.IsDir() && (strings.HasPrefix(e.Name(), "left4dead2") || e.Name() == "update") {
			f.game(root, path.Join(dir, e.Name()), &c)
		}
	}
	return c
}

// game collects what one of the game's directories has.
func (f *Finder) game(root *os.Root, dir string, c *contents) {
	for _, name := range names(root, path.Join(dir, "maps"), ".bsp") {
		c.maps[name] = true
	}
	for _, name := range names(root, path.Join(dir, "modes"), ".txt") {
		c.modes[name] = true
	}
	c.add(f.read(root, path.Join(dir, "scripts/gamemodes.txt"), listOf))
	c.add(f.read(root, path.Join(dir, "pak01_dir.vpk"), packageOf))
	for _, e := range readDir(root, path.Join(dir, "addons")) {
		if strings.EqualFold(path.Ext(e.Name()), ".vpk") {
			c.add(f.read(root, path.Join(dir, "addons", e.Name()), packageOf))
		}
	}
}

// maxEntries is how many entries of one directory are looked at.
const maxEntries = 20_000

// readDir lists a directory; what cannot be listed is empty.
func readDir(root *os.Root, name string) []fs.DirEntry {
	dir, err := root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer dir.Close()
	entries, _ := dir.ReadDir(maxEntries)
	return entries
}

// names lists the files of a directory that have an ending, without it.
func names(root *os.Root, dir, ending string) (list []string) {
	for _, e := range readDir(root, dir) {
		name := strings.ToLower(e.Name())
		if plain, ok := strings.CutSuffix(name, ending); ok && !e.IsDir() && plain != "" {
			list = append(list, plain)
		}
	}
	return list
}

// read reads a plain file, unless it is the one that was read before. What cannot
// be read, or not be understood, holds nothing.
func (f *Finder) read(root *os.Root, name string, parse func(*os.Root, string, *os.File) (contents, error)) contents {
	file, id, err := open(root, name)
	if err != nil {
		return contents{}
	}
	defer file.Close()
	at := filepath.Join(root.Name(), name)
	f.mu.Lock()
	known, ok := f.cache[at]
	f.mu.Unlock()
	if ok && known.identity == id {
		return known.contents
	}
	found, err := parse(root, name, file)
	if err != nil {
		found = contents{} // a package that is cut off loads no map in the game either
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.cache) >= maxCached {
		clear(f.cache)
	}
	f.cache[at] = cached{id, found}
	return found
}

// open opens a plain file, and neither follows a link nor waits for a pipe.
func open(root *os.Root, name string) (*os.File, identity, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, identity{}, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a plain file")
	}
	if err != nil {
		file.Close()
		return nil, identity{}, err
	}
	id := identity{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id.inode = int64(st.Ino)
	}
	return file, id, nil
}

// nearest are at most three names that are spelt like one, the nearest first.
func nearest(name string, names map[string]bool) []string {
	const most, differences = 3, 3
	type near struct {
		name     string
		distance int
	}
	var found []near
	for other := range names {
		if d := distance(name, other); d <= differences && d < len(other) {
			found = append(found, near{other, d})
		} else if len(name) > 2 && strings.HasPrefix(other, name) {
			found = append(found, near{other, differences + 1})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	list := []string{}
	for _, n := range found[:min(len(found), most)] {
		list = append(list, server.Visible(n.name))
	}
	return list
}

// distance is how many letters must be changed, put in or left out to make one
// word of another (Levenshtein).
func distance(a, b string) int {
	if len(b) > 2*len(a)+4 {
		return len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}
