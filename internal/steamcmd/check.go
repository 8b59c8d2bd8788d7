package steamcmd

import (
	"context"
	"strings"

	"github.com/left4med/left4med/internal/server"
)

// maxInfo is how many bytes of an app's description are kept.
const maxInfo = 1 << 20

// Check asks Steam for the newest build and tells it and the one that is
// installed. It writes nothing into the installation.
func (i *Installer) Check(ctx context.Context) *Fault {
	s, done, fault := i.open(ctx, false)
	if fault != nil {
		return fault
	}
	defer done()
	program, fault := i.find()
	if fault != nil {
		return fault
	}
	i.installed(s)
	commands := script(i.Account, "", "", "app_info_update 1", "app_info_print "+App)
	for try := 0; ; try++ {
		var info description
		end, fault := i.session(ctx, program, commands, func(text string, _ line) *Fault {
			if !info.take(text) {
				i.print.own(text)
			}
			return nil
		})
		if fault != nil {
			return fault
		}
		if id, ok := buildID(info.text.String(), App, "depots", "branches", "public", "buildid"); ok {
			i.print.say("build", "latest "+id)
			return nil
		}
		if fault := i.told(end.fault); fault != nil {
			return fault
		}
		// A SteamCMD that has not yet asked Steam about the app prints nothing
		// of it the first time.
		if try > 0 {
			return faultf(server.InstallSteamCMDFailed, "SteamCMD ended %s and did not tell the newest build; ask again", end.how)
		}
	}
}

// description gathers the lines from "222860" to the brace that ends them.
type description struct {
	text  strings.Builder
	depth int
	over  bool
}

// take answers whether a line belongs to the description.
func (d *description) take(text string) bool {
	text = strings.TrimSpace(escapes.ReplaceAllString(text, ""))
	if d.text.Len() == 0 && text != `"`+App+`"` || d.over || d.text.Len() > maxInfo {
		return false
	}
	d.text.WriteString(text + "\n")
	for rest := text; ; {
		token, _, after := nextToken(rest)
		if token == 0 {
			return true
		}
		rest = after
		switch token {
		case '{':
			d.depth++
		case '}':
			d.depth--
			d.over = d.depth <= 0
		}
	}
}
