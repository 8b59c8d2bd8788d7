package steamcmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/left4med/left4med/internal/server"
)

// Request is what the daemon wants: the credential "request", JSON. A key that
// is missing has its default, one that is not known is left alone.
type Request struct {
	Validate bool   `json:"validate"` // look at each file, and mend what differs
	SteamCMD string `json:"steamcmd"` // path of SteamCMD; empty: look in the usual places
	Space    int64  `json:"space"`    // bytes that must be free for a first installation; 10 GiB
}

// ReadRequest reads the credential.
func ReadRequest(data []byte) (Request, error) {
	r := Request{Space: 10 << 30}
	if err := json.Unmarshal(data, &r); err != nil {
		return Request{}, fmt.Errorf("cannot read the request: %w", err)
	}
	if r.SteamCMD != "" && !filepath.IsAbs(r.SteamCMD) {
		return Request{}, fmt.Errorf("cannot use %s as SteamCMD: it is no absolute path", server.Quote(r.SteamCMD, 100))
	}
	return r, nil
}

// Account is who logs in to Steam; without a user, anybody.
type Account struct{ User, Password string }

// ReadAccount reads the credential "account": lines "user = NAME" and "password
// = TEXT", with or without the spaces; empty lines and those that begin with #
// are left out. No error repeats what is in it.
func ReadAccount(data []byte) (Account, error) {
	var a Account
	for text := range strings.Lines(string(data)) {
		text = strings.TrimRight(text, "\r\n")
		if text = strings.TrimLeft(text, " \t"); text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		key, value, found := strings.Cut(text, "=")
		value = strings.TrimSpace(value)
		switch key = strings.TrimSpace(key); {
		case !found || key != "user" && key != "password":
			return Account{}, errors.New("cannot read the Steam account: a line is neither user = NAME nor password = TEXT")
		case value == "" || len(value) > 128 || strings.ContainsFunc(value, unquotable):
			return Account{}, fmt.Errorf("cannot use the Steam account: its %s is empty, too long, or has a quotation mark or control character, which SteamCMD cannot be told", key)
		case key == "user":
			a.User = value
		default:
			a.Password = value
		}
	}
	if (a.User == "") != (a.Password == "") {
		return Account{}, errors.New("cannot use the Steam account: both user = NAME and password = TEXT are needed")
	}
	if a.User == "anonymous" {
		return Account{}, nil
	}
	return a, nil
}

func unquotable(r rune) bool { return r == '"' || r < 0x20 || r == 0x7f }

// script is a file of commands for SteamCMD's +runscript. A password stands in
// there and not on a command line, which others can read.
func script(a Account, platform, dir string, commands ...string) string {
	lines := []string{"@ShutdownOnFailedCommand 1", "@NoPromptForPassword 1"}
	if platform != "" {
		lines = append(lines, "@sSteamCmdForcePlatformType "+platform)
	}
	if dir != "" {
		lines = append(lines, `force_install_dir "`+dir+`"`) // SteamCMD wants it before the login
	}
	if a.User == "" {
		lines = append(lines, "login anonymous")
	} else {
		lines = append(lines, fmt.Sprintf(`login "%s" "%s"`, a.User, a.Password))
	}
	lines = append(append(lines, commands...), "quit")
	return strings.Join(lines, "\n") + "\n"
}

// find answers where SteamCMD is.
func (i *Installer) find() (string, *Fault) {
	places := i.Places
	if i.Request.SteamCMD != "" {
		places = []string{i.Request.SteamCMD}
	}
	for _, place := range places {
		info, err := os.Stat(place)
		switch {
		case err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0:
			return place, nil
		case err == nil:
			return "", faultf(server.InstallNoSteamCMD, "%s is no program that can be run; put SteamCMD there, or name it as steamcmd below [install] in left4med.toml", place)
		case !errors.Is(err, fs.ErrNotExist):
			return "", faultf(server.InstallNoSteamCMD, "the user left4me cannot look at %s: %v", place, err)
		}
	}
	return "", faultf(server.InstallNoSteamCMD,
		"SteamCMD is not there: looked for %s; install Debian's package steamcmd (non-free, i386), or unpack Valve's into %s as the user left4me, or name it as steamcmd below [install] in left4med.toml",
		strings.Join(places, ", "), i.home())
}
