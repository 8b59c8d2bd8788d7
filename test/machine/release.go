package machine

import (
	"fmt"
	"strings"
)

// Release is the code name of a Debian release the product supports.
type Release string

const (
	Bookworm Release = "bookworm" // Debian 12, systemd 252
	Trixie   Release = "trixie"   // Debian 13, systemd 257
)

// Releases returns every supported release, the oldest first.
func Releases() []Release { return []Release{Bookworm, Trixie} }

// ParseRelease returns the supported release of that code name.
func ParseRelease(name string) (Release, error) {
	var known []string
	for _, release := range Releases() {
		if name == string(release) {
			return release, nil
		}
		known = append(known, string(release))
	}
	return "", fmt.Errorf("unknown release %q: it is one of %s", name, strings.Join(known, ", "))
}

// Systemd is the version of systemd that the release ships.
func (r Release) Systemd() int {
	if r == Bookworm {
		return 252
	}
	return 257
}
