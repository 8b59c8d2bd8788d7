package steamcmd

import (
	"strings"

	"github.com/left4med/left4med/internal/server"
)

// diskFull is the state of an update that had no space.
const diskFull = "0x202"

// judge says what is wrong with a SteamCMD that has ended, and nothing when it
// did what it was asked for.
func (i *Installer) judge(end ending) *Fault {
	if end.ok { // how it ended after that counts for nothing: it is known to crash on its way out
		return nil
	}
	if fault := i.told(end.fault); fault != nil {
		return fault
	}
	return faultf(server.InstallSteamCMDFailed, "SteamCMD ended %s before the game was installed; its last lines stand in the journal of the unit; ask again", end.how)
}

// told words the fault that a line tells of, if it does.
func (i *Installer) told(l line) *Fault {
	switch l.Kind {
	case kindAppState:
		if l.Reason == diskFull {
			return faultf(server.InstallDiskFull, "the disk became full (SteamCMD's state %s); make room and ask again, the download goes on where it was", l.Reason)
		}
		return faultf(server.InstallSteamCMDFailed, "SteamCMD ended the update in state %s, which left4med does not know; ask again, with --validate if that does not help", l.Reason)
	case kindAppRefused:
		if l.Reason == "Invalid platform" {
			return faultf(server.InstallInvalidPlatform, "Steam refuses the Linux files (%q), also after the Windows ones; name a Steam account that owns the game, see left4med.toml(5)", l.Reason)
		}
		return faultf(server.InstallSteamCMDFailed, "SteamCMD cannot install the game (%q)%s", server.Visible(l.Reason), i.owner(l.Reason))
	case kindOffline:
		return faultf(server.InstallNoNetwork, "SteamCMD has no connection to Steam (%s); look at the host's network and ask again", server.Visible(l.Reason))
	case kindGuard:
		return faultf(server.InstallSteamGuard, "Steam Guard wants a code for %s, which nobody can type here; log in once by hand (runuser -u left4me -- env HOME=%s steamcmd +login NAME +quit), or name an account without Steam Guard", i.who(), i.home())
	case kindLoginRefused:
		if i.Account.User == "" {
			return faultf(server.InstallSteamCMDFailed, "Steam refuses the anonymous login (%s); ask again later", server.Visible(l.Reason))
		}
		return faultf(server.InstallLoginFailed, "Steam refuses the login of %s (%s); mend /etc/left4me/steam-account and ask again", i.who(), server.Visible(l.Reason))
	case kindPrompt:
		return faultf(server.InstallSteamCMDFailed, "SteamCMD waits for something to be typed (%s), and was ended", server.Visible(l.Reason))
	}
	return nil
}

// who names the account in a message.
func (i *Installer) who() string {
	if i.Account.User == "" {
		return "the anonymous login"
	}
	return server.Quote(i.Account.User, 64)
}

// owner is the advice for refusals that an account cures.
func (i *Installer) owner(reason string) string {
	if strings.EqualFold(reason, "No subscription") {
		return "; name a Steam account that owns it, see left4med.toml(5)"
	}
	return "; ask again, with --validate if that does not help"
}
