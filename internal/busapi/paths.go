package busapi

import (
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

const (
	busName     = "org.left4me.left4med1"
	managerFace = busName + ".Manager"
	serverFace  = busName + ".Server"
	rootPath    = "/org/left4me/left4med1"
	serverDir   = rootPath + "/server"
)

// pathOf is where a server's object is. The name is escaped as systemd escapes
// in its own paths (sd_bus_path_encode(3)): every character but letters and
// digits, and a digit that comes first, appears as _ and two hexadecimal digits.
func pathOf(name server.Name) dbus.ObjectPath {
	var b strings.Builder
	b.WriteString(serverDir + "/")
	for i, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return dbus.ObjectPath(b.String())
}

// nodes are the paths above the servers' objects, with what lies below each:
// without them `busctl tree` would find nothing.
var nodes = map[dbus.ObjectPath]string{
	"/":            "org",
	"/org":         "left4me",
	"/org/left4me": "left4med1",
	rootPath:       "server",
	serverDir:      "",
}
