package instance

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// manifest is where Steam notes what is installed of app 222860, the dedicated
// server.
const manifest = "steamapps/appmanifest_222860.acf"

// Build returns Steam's id of the installed build, and when it was last written;
// the zero values when that is not known. The files are the install unit's own:
// they are looked at, not trusted.
func (t *Tree) Build() (build string, at time.Time) {
	dir, err := os.OpenRoot(filepath.Join(t.root, "installation"))
	if err != nil {
		return "", at
	}
	defer dir.Close()
	text, err := readUntrusted(dir, manifest)
	if err != nil {
		return "", at
	}
	return decodeManifest(string(text))
}

// decodeManifest reads the two values of Steam's text format (KeyValues): a key
// and a value a line, both in double quotes. What stands in a section within the
// manifest's own is passed over.
func decodeManifest(text string) (build string, at time.Time) {
	depth := 0
	for line := range strings.Lines(text) {
		switch line = strings.TrimSpace(line); line {
		case "{":
			depth++
		case "}":
			depth--
		}
		f := strings.Split(line, `"`)
		if depth != 1 || len(f) != 5 {
			continue
		}
		switch key, value := strings.ToLower(f[1]), f[3]; {
		case key == "buildid" && server.IsBuild(value) && strings.Trim(value, "0") != "":
			build = value
		case key == "lastupdated":
			if s, err := strconv.ParseInt(value, 10, 40); err == nil && s > 0 {
				at = time.Unix(s, 0).UTC()
			}
		}
	}
	return build, at
}
