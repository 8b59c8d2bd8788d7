package instance

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/left4med/left4med/internal/server"
)

// Variables of instance.env, in the system that left4med replaces and here.
const (
	portVar   = "L4D2_PORT"
	argsVar   = "L4D2_ARGS"
	lowersVar = "L4D2_LOWERDIRS"
)

// foreign makes settings of what another system wrote into instance.env. Nobody
// has checked it: whoever could write the file chose each value, so that what is
// not understood is refused and never passed on.
func (t *Tree) foreign(name server.Name, vars map[string]string) (server.Config, secrets, error) {
	cfg, kept := server.DefaultConfig(name), secrets{}
	port, err := strconv.ParseUint(vars[portVar], 10, 16)
	if err != nil || port == 0 {
		return cfg, nil, unfit("%s is %s, which is no port", portVar, server.Quote(vars[portVar], 20))
	}
	cfg.Port = uint16(port)
	if cfg.Overlays, err = t.foreignOverlays(vars[lowersVar]); err != nil {
		return cfg, nil, err
	}
	args := splitArgs(vars[argsVar])
	for len(args) > 0 {
		if args, err = takeArg(&cfg, kept, args); err != nil {
			return cfg, nil, err
		}
	}
	return cfg, kept, nil
}

func unfit(format string, args ...any) *server.Error {
	return server.Errorf(server.CodeNotAdoptable, format+"; mend "+envFile+", then adopt it again", args...)
}

// foreignOverlays are the layers on top of the installation.
func (t *Tree) foreignOverlays(list string) ([]string, error) {
	overlays := []string{}
	dirs := strings.Split(list, ":")
	for i, dir := range dirs {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(t.root, dir)
		}
		parent, base := filepath.Split(dir)
		switch {
		case i == len(dirs)-1 && (list == "" || filepath.Clean(dir) == filepath.Join(t.root, "installation")):
		case filepath.Clean(parent) == filepath.Join(t.root, "overlays") && base != "":
			overlays = append(overlays, base)
		default:
			return nil, unfit("%s names the layer %s, which is neither an overlay below %s nor, as the last, the installation",
				lowersVar, server.Quote(dirs[i], 120), filepath.Join(t.root, "overlays"))
		}
	}
	return overlays, nil
}

// takeArg makes a setting of the first of args, and of its value where it has
// one, and returns the others.
func takeArg(cfg *server.Config, kept secrets, args []string) (rest []string, err error) {
	arg := args[0]
	value := func() (string, bool) {
		if len(args) < 2 || strings.HasPrefix(args[1], "+") {
			return "", false
		}
		return args[1], true
	}
	cvar, plus := strings.CutPrefix(arg, "+")
	v, ok := value()
	switch {
	case server.IsArg(arg):
		cfg.Args = append(cfg.Args, arg)
		if !server.ArgTakesNumber(arg) {
			return args[1:], nil
		}
		if ok {
			cfg.Args = append(cfg.Args, v)
		}
	case arg == "-norestart":
		return args[1:], nil // ours too
	case arg == "-maxplayers" || arg == "+maxplayers" || arg == "+sv_maxplayers":
		if cfg.MaxPlayers, err = strconv.Atoi(v); err != nil {
			return nil, unfit("%s has %s, which is no number of players, for %s", argsVar, server.Quote(v, 20), arg)
		}
	case !plus:
		return nil, unfit("%s has the argument %s, which left4med does not pass to a game", argsVar, server.Quote(arg, 60))
	case cvar == "map":
		cfg.Map = v
	case cvar == "mp_gamemode":
		cfg.GameMode = v
	case cvar == "hostname":
		cfg.Hostname = v
	case cvar == "exec" && v == "server.cfg": // the game runs it anyway
	default:
		err = takeCVar(cfg, kept, cvar, v)
	}
	if err == nil && !ok {
		err = unfit("%s has %s without a value", argsVar, server.Quote(arg, 60))
	}
	if err != nil {
		return nil, err
	}
	return args[2:], nil
}

// takeCVar sets a cvar, or the secret that the game knows by that name.
func takeCVar(cfg *server.Config, kept secrets, cvar, value string) error {
	for _, name := range server.SecretNames() {
		if cvar != name.CVar() {
			continue
		}
		secret, err := server.NewSecret(name, value)
		if err != nil {
			return unfit("%s has a value for %s that left4med cannot keep as a secret (%v)", argsVar, cvar, err)
		}
		kept.set(name, secret)
		return nil
	}
	cfg.CVars[cvar] = value
	return nil
}
