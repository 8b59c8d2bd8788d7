// Package steamcmd installs and updates the game with Valve's SteamCMD, as the
// user left4me, for left4me-install.service: it runs SteamCMD on a terminal of
// its own, reads what it prints, and puts the installation back as it was when
// that fails.
//
// What SteamCMD prints is nowhere specified. The lines known here are taken from
// reports of its users (ValveSoftware/steam-for-linux 11522, 12200; halflife 349,
// 1468); what is not known passes as text and changes nothing.
package steamcmd

import (
	"fmt"

	"github.com/left4med/left4med/internal/server"
)

// App is Steam's number of the dedicated server.
const App = "222860"

// Fault is why a run did not do what it was asked for.
type Fault struct {
	Exit server.InstallExit
	Text string // one sentence: what is wrong, and what to do about it
}

func (f *Fault) Error() string { return f.Text }

func faultf(exit server.InstallExit, format string, args ...any) *Fault {
	return &Fault{Exit: exit, Text: fmt.Sprintf(format, args...)}
}
