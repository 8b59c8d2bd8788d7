package server

import "strings"

// argRule says what may follow an argument.
type argRule int

const (
	argFlag   argRule = iota // stands alone
	argNumber                // followed by a whole number of up to six digits
)

// allowedArgs are the arguments of srcds_run that an operator may add. All
// others are refused: -binary, -gdb, -pidfile, -autoupdate, -steamcmd_script and
// their like would run or write anything, and what left4med sets itself (+map,
// +ip, +hostport, +clientport, +tv_port, -game, +exec …) has a setting of its own.
var allowedArgs = map[string]argRule{
	"-tickrate":       argNumber,
	"-heapsize":       argNumber,
	"+fps_max":        argNumber,
	"-steamport":      argNumber,
	"-insecure":       argFlag,
	"-secure":         argFlag,
	"-nomaster":       argFlag,
	"-nobots":         argFlag,
	"-nohltv":         argFlag,
	"-nominidumps":    argFlag,
	"-nobreakpad":     argFlag,
	"-strictportbind": argFlag,
	"-debuglog":       argFlag,
	"-condebug":       argFlag,
	"-dev":            argFlag,
}

func validateArgs(args []string) error {
	if len(args) > maxEntries {
		return fieldError("config.args", "%d arguments are too many: at most %d", len(args), maxEntries)
	}
	for i := 0; i < len(args); i++ {
		rule, ok := allowedArgs[args[i]]
		if !ok {
			if err := secretError("config.args", args[i]); err != nil {
				return err
			}
			return fieldError("config.args", "the argument %s is not allowed; allowed are %s",
				Quote(args[i], 60), strings.Join(AllowedArgs(), ", "))
		}
		if rule == argFlag {
			continue
		}
		if i+1 == len(args) || !number(args[i+1]) {
			return fieldError("config.args", "the argument %s needs a whole number of up to six digits after it", args[i])
		}
		i++
	}
	return nil
}

func number(s string) bool {
	return s != "" && len(s) <= 6 && strings.Trim(s, "0123456789") == ""
}

// IsArg says whether an operator may add an argument of the game.
func IsArg(arg string) bool {
	_, ok := allowedArgs[arg]
	return ok
}

// ArgTakesNumber says whether a number follows an argument that an operator may
// add.
func ArgTakesNumber(arg string) bool { return allowedArgs[arg] == argNumber && IsArg(arg) }
