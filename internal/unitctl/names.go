package unitctl

import (
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

const (
	unitPaths = "/org/freedesktop/systemd1/unit/"
	// ourPaths begins the object path of every instance of server.Template.
	ourPaths = unitPaths + "left4me_2dserver_40"
)

// ourPath is a quick look at whether a path is that of a unit of ours.
func ourPath(p dbus.ObjectPath) bool { return strings.HasPrefix(string(p), ourPaths) }

// unitAt is the name of the unit of ours with an object path; ok is false for
// any other path.
func unitAt(p dbus.ObjectPath) (unit string, ok bool) {
	label, ok := strings.CutPrefix(string(p), unitPaths)
	if !ok {
		return "", false
	}
	unit = unescapeLabel(label)
	_, ok = server.Instance(unit)
	return unit, ok
}

// unitPathOf is the object path of a unit, as sd_bus_path_encode(3) makes it.
func unitPathOf(unit string) dbus.ObjectPath {
	const hex = "0123456789abcdef"
	var b strings.Builder
	b.WriteString(unitPaths)
	for i := range len(unit) {
		c := unit[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('_')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return dbus.ObjectPath(b.String())
}

// unescapeLabel undoes the escaping of sd_bus_path_encode(3): "_xx" is the byte
// with that hex code. What is no escape stays as it is.
func unescapeLabel(s string) string {
	if !strings.Contains(s, "_") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '_' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				b = append(b, hi<<4|lo)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// checkUnit lets only instances of our template through.
func checkUnit(unit string) error {
	_, err := server.ParseUnit(unit)
	return err
}

// checkOwn lets the units that serve a server, or all of them, through beside the
// server's own.
func checkOwn(unit string) error {
	if server.Helper(unit) || installs(unit) {
		return nil
	}
	return checkUnit(unit)
}

func checkUnits(units []string) error {
	for _, u := range units {
		if err := checkUnit(u); err != nil {
			return err
		}
	}
	return nil
}

// installs says whether unit is one of the two that work on the installation.
func installs(unit string) bool { return unit == server.InstallUnit || unit == server.InstallCheckUnit }
