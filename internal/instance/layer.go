package instance

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/left4med/left4med/internal/server"
)

// serverCfg is where srcds looks for its settings, below the game's directory.
const serverCfg = "left4dead2/cfg/server.cfg"

func (s Settings) layerPath() string { return layersDir + "/" + strconv.Itoa(s.Layer) }

// maxLowerDirs is the longest list of lower directories in bytes. mount(2)
// takes one page of options, 4,096 bytes, and the upper and work directory and
// the flags need their share.
const maxLowerDirs = 3584

// environment is what the unit reads at its start. It passes -game, -norestart,
// +ip and +hostport itself and splits L4D2_ARGS at white space. Every local user
// can read a command line: of secrets it names a file at most.
func (t *Tree) environment(s Settings, kept secrets) ([]byte, error) {
	cfg := s.Config
	args := append(kept.accountArgs(), "+map", cfg.Map, "+mp_gamemode", cfg.GameMode, "-maxplayers", strconv.Itoa(cfg.MaxPlayers),
		"+clientport", strconv.Itoa(int(cfg.ClientPort())), "+tv_port", strconv.Itoa(int(cfg.SourceTVPort())))
	args = append(args, cfg.Args...)
	for _, a := range args {
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\$%;`, r) }) {
			return nil, server.Errorf(server.CodeInvalidRequest, "the argument %s cannot be passed to the game", server.Quote(a, 60))
		}
	}
	lower, err := t.lowerDirs(s)
	if err != nil {
		return nil, err
	}
	return EncodeEnv([]Var{
		{"L4D2_PORT", strconv.Itoa(int(cfg.Port))},
		{"L4D2_ARGS", strings.Join(args, " ")},
		{"L4D2_LOWERDIRS", lower},
	})
}

// lowerDirs lists the layers as mount(8) wants them, the topmost first.
func (t *Tree) lowerDirs(s Settings) (string, error) {
	dirs := []string{filepath.Join(t.root, instancesDir, string(s.Name), s.layerPath())}
	for _, o := range s.Config.Overlays {
		dirs = append(dirs, filepath.Join(t.root, "overlays", o))
	}
	dirs = append(dirs, filepath.Join(t.root, "installation"))
	for _, d := range dirs {
		if why := unmountable(d); why != "" {
			return "", server.Errorf(server.CodeInvalidRequest, "the directory %s cannot be part of the mount: its path %s", server.Quote(d, 120), why)
		}
	}
	list := strings.Join(dirs, ":")
	if len(list) > maxLowerDirs {
		return "", &server.Error{Code: server.CodeInvalidRequest, Field: "config.overlays",
			Detail: fmt.Sprintf("the overlays' paths are %d bytes long together, and a mount takes at most %d; use fewer overlays or shorter names", len(list), maxLowerDirs)}
	}
	return list, nil
}

// unmountable says why a path cannot stand in an option of mount(8): ':' parts
// the layers, ',' the options, and a backslash escapes.
func unmountable(path string) string {
	if path == "" {
		return "is empty"
	}
	if strings.ContainsAny(path, ":,\\\"'") || server.Visible(path) != path || strings.ContainsAny(path, " \t") {
		return `holds one of : , \ " ' or white space`
	}
	return ""
}

// encodeServerCfg writes the settings that are not arguments. The game's
// parser knows no escape between quotation marks, so what cannot stand there
// is refused.
func encodeServerCfg(cfg server.Config) ([]byte, error) {
	var b strings.Builder
	b.WriteString("// Written by left4med from the server's settings; what is changed here is lost.\n")
	b.WriteString("// Put lines of your own into user.cfg, which is run after these; secrets win over it.\n")
	line := func(name, value string) error {
		if strings.ContainsAny(value, "\";\\") || server.Visible(value) != value || strings.Contains(value, "\t") {
			return server.Errorf(server.CodeInvalidRequest, "the value %s of %s cannot stand in server.cfg", server.Quote(value, 60), server.Quote(name, 60))
		}
		fmt.Fprintf(&b, "%s \"%s\"\n", name, value)
		return nil
	}
	if err := line("hostname", cfg.Hostname); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.CVars)) {
		if !envName(name) {
			return nil, server.Errorf(server.CodeInvalidRequest, "%s is no cvar", server.Quote(name, 60))
		}
		if err := line(name, cfg.CVars[name]); err != nil {
			return nil, err
		}
	}
	b.WriteString("exec user.cfg\n")
	// Last: RCON must work with the password that is stored, also where a user.cfg
	// sets another.
	b.WriteString("exec " + path.Base(secretsCfg) + "\n")
	return []byte(b.String()), nil
}
