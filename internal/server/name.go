package server

import (
	"fmt"
	"strings"
)

// Name is the name of a server: one to 24 characters, the first a lower-case
// letter or a digit, the others also '_' or '-'. It is the rule of the system
// that left4med replaces, shortened so that "l4d2-NAME" is a valid user name
// (31 characters at most, see systemd's docs/USER_NAMES.md).
//
// A Name that came from ParseName is safe in a unit name, a path and a query
// without further escaping.
type Name string

// MaxNameLen is the longest name, in bytes.
const MaxNameLen = 24

const (
	// Template is the unit template of the games.
	Template = "left4me-server@.service"
	// UnitPattern matches every instance of Template in systemd's
	// ListUnitsByPatterns.
	UnitPattern = "left4me-server@*.service"

	unitPrefix    = "left4me-server@"
	overlayPrefix = "left4me-overlay@"
	upperPrefix   = "left4me-upper@"
	clearPrefix   = "left4me-clear@"
	adoptPrefix   = "left4me-adopt@"
	backupPrefix  = "left4me-backup@"
	verifyPrefix  = "left4me-verify@"
	restorePrefix = "left4me-restore@"
	unitSuffix    = ".service"

	mountPrefix = "var-lib-left4me-runtime-"
	mountSuffix = "-merged.mount"
)

// ParseName checks s against the rule for names. The error has code
// CodeInvalidName and says what is wrong with it.
func ParseName(s string) (Name, error) {
	if s == "" {
		return "", nameError("", "a server's name must not be empty")
	}
	if len(s) > MaxNameLen {
		return "", nameError(s, fmt.Sprintf("is %d bytes long; at most %d are allowed", len(s), MaxNameLen))
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if alnum || i > 0 && (c == '_' || c == '-') {
			continue
		}
		if i == 0 {
			return "", nameError(s, "must begin with a lower-case letter or a digit")
		}
		return "", nameError(s, "may hold only lower-case letters, digits, '_' and '-'")
	}
	return Name(s), nil
}

func nameError(s, why string) *Error {
	if s == "" {
		return &Error{Code: CodeInvalidName, Field: "name", Detail: why}
	}
	return &Error{Code: CodeInvalidName, Field: "name", Detail: fmt.Sprintf("the name %s %s", Quote(s, 40), why)}
}

// Unit is the name of the server's unit, for instance
// "left4me-server@versus-1.service".
func (n Name) Unit() string { return unitPrefix + string(n) + unitSuffix }

// OverlayUnit is the unit that mounts the server's tree.
func (n Name) OverlayUnit() string { return overlayPrefix + string(n) + unitSuffix }

// UpperUnit is the unit that makes the server's upper layer ready for the mount.
func (n Name) UpperUnit() string { return upperPrefix + string(n) + unitSuffix }

// ClearUnit is the unit that empties the upper layer of a removed server with
// that server's own uid.
func (n Name) ClearUnit() string { return clearPrefix + string(n) + unitSuffix }

// AdoptUnit is the unit that makes the directories that another system made for
// an instance left4med's.
func (n Name) AdoptUnit() string { return adoptPrefix + string(n) + unitSuffix }

// BackupUnit is the unit that archives the server's upper layer with that server's
// own uid.
func (n Name) BackupUnit() string { return backupPrefix + string(n) + unitSuffix }

// VerifyUnit is the unit that reads a backup to its end before it is used.
func (n Name) VerifyUnit() string { return verifyPrefix + string(n) + unitSuffix }

// RestoreUnit is the unit that extracts a backup into the server's upper layer.
func (n Name) RestoreUnit() string { return restorePrefix + string(n) + unitSuffix }

// MountUnit is systemd's own unit of the server's mounted tree, which is there
// whoever mounted it.
func (n Name) MountUnit() string {
	return mountPrefix + strings.ReplaceAll(string(n), "-", `\x2d`) + mountSuffix
}

// Helper says whether unit is one of those that serve a server: its overlay,
// its upper layer, the removal of that, its adoption, its backups, or its mount.
func Helper(unit string) bool {
	if mount, ok := strings.CutPrefix(unit, mountPrefix); ok {
		name, err := ParseName(strings.ReplaceAll(strings.TrimSuffix(mount, mountSuffix), `\x2d`, "-"))
		return err == nil && unit == name.MountUnit()
	}
	instance, ok := strings.CutSuffix(unit, unitSuffix)
	if !ok {
		return false
	}
	for _, prefix := range []string{overlayPrefix, upperPrefix, clearPrefix, adoptPrefix, backupPrefix, verifyPrefix, restorePrefix} {
		if name, ok := strings.CutPrefix(instance, prefix); ok {
			_, err := ParseName(name)
			return err == nil
		}
	}
	return false
}

// maxUnitName is UNIT_NAME_MAX of systemd's src/basic/unit-name.h, without the
// closing NUL.
const maxUnitName = 255

// ParseUnit takes the instance part out of the name of a unit of our template,
// spelt as systemd spells names (unit_name_is_valid in src/basic/unit-name.c). It
// may break the rule for names. What ParseUnit refuses must never leave the
// process: to systemd, the bare template would mean every instance, a name with a
// slash would be a path, and one with a wildcard a pattern.
func ParseUnit(unit string) (instance string, err error) {
	refuse := func(why string) error {
		return &Error{Code: CodeInvalidName, Field: "unit", Detail: fmt.Sprintf("the unit name %s %s", Quote(unit, 80), why)}
	}
	instance, ok := Instance(unit)
	switch {
	case !ok:
		return "", refuse("is not an instance of " + Template)
	case len(unit) > maxUnitName:
		return "", refuse(fmt.Sprintf("is longer than %d bytes", maxUnitName))
	}
	for i := range len(instance) {
		if !inUnitName(instance[i]) {
			return "", refuse("holds a character that systemd does not allow in one")
		}
	}
	return instance, nil
}

func inUnitName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(`:-_.\@`, c) >= 0
}

// InstanceOf is the instance that a directory of any name stands for: its name,
// with what a unit's name cannot hold escaped as systemd-escape(1) does.
func InstanceOf(dir string) string {
	var b strings.Builder
	for i := range len(dir) {
		if c := dir[i]; inUnitName(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// Instance takes the instance part out of a unit name of our template, as
// systemd spells it (it may break the rule for names: then the unit is an
// orphan). ok is false for any other unit, and for the bare template.
func Instance(unit string) (instance string, ok bool) {
	rest, ok := strings.CutPrefix(unit, unitPrefix)
	if !ok {
		return "", false
	}
	instance, ok = strings.CutSuffix(rest, unitSuffix)
	return instance, ok && instance != ""
}
