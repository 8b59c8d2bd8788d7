package server

import (
	"crypto/rand"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// SecretName names one of a server's secrets.
type SecretName string

// The secrets a server can have.
const (
	SecretRCON     SecretName = "rcon"     // for RCON; every server has one
	SecretPassword SecretName = "password" // for joining; unset: anyone may
	SecretGSLT     SecretName = "gslt"     // Steam's game server login token; unset: an anonymous login
)

// SecretNames lists the secrets a server can have.
func SecretNames() []SecretName { return []SecretName{SecretRCON, SecretPassword, SecretGSLT} }

// ParseSecretName checks the name of a secret. The error's code is CodeNotFound.
func ParseSecretName(s string) (SecretName, error) {
	if name := SecretName(s); slices.Contains(SecretNames(), name) {
		return name, nil
	}
	return "", Errorf(CodeNotFound, "there is no secret %s; there are rcon, password and gslt", Quote(s, 40))
}

// CVar is what the game calls the secret: a cvar, or a command that takes it.
func (n SecretName) CVar() string {
	switch n {
	case SecretRCON:
		return "rcon_password"
	case SecretPassword:
		return "sv_password"
	case SecretGSLT:
		return "sv_setsteamaccount"
	}
	return ""
}

// Secret is a value that must not be seen. Whatever prints, logs or encodes it
// shows a word in its place; Reveal alone gives it away. The zero value is a
// secret that is not set.
type Secret struct {
	// Behind a pointer: of a field that is not exported fmt asks no method, and
	// shows an address then.
	value *string
}

// Lengths of secrets in characters. A password for RCON can be tried from
// anywhere, so it has some length; all fit in a line of the game's
// configuration and in a packet many times over.
const (
	minRCON   = 8
	maxSecret = 64
)

var loginToken = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)

// NewSecret checks a value for the named secret; an empty one makes a secret
// that is not set. The error says what is wrong without the value.
func NewSecret(name SecretName, value string) (Secret, error) {
	if value == "" {
		return Secret{}, nil
	}
	if why := unfit(name, value); why != "" {
		return Secret{}, fieldError("value", "this value cannot be the secret %s: it %s", name, why)
	}
	return Secret{&value}, nil
}

// unfit says why a value cannot be a secret; "" for one that can.
func unfit(name SecretName, value string) string {
	switch {
	case name == SecretGSLT && !loginToken.MatchString(value):
		return "is not what Steam gives out as a login token, 32 digits and letters from A to F"
	case name == SecretRCON && len(value) < minRCON:
		return fmt.Sprintf("is too short: at least %d characters are needed", minRCON)
	case len(value) > maxSecret:
		return fmt.Sprintf("is too long: at most %d characters are possible", maxSecret)
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\;`, r) }):
		return `must be letters, digits and signs of ASCII, without spaces, quotation marks, backslashes and semicolons: the game's configuration cannot express others`
	case name == SecretPassword && strings.EqualFold(value, "none"):
		return "means to the game that there is no password"
	}
	return ""
}

// RandomSecret makes a secret of 32 random letters and digits, which is fit for
// RCON and as a password.
func RandomSecret() Secret {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	value := make([]byte, 0, 32)
	for len(value) < cap(value) {
		var b [1]byte
		rand.Read(b[:])                            // never fails
		if i := int(b[0] & 63); i < len(letters) { // 62 letters: two of 64 are drawn again
			value = append(value, letters[i])
		}
	}
	s := string(value)
	return Secret{&s}
}

// IsSet says whether there is a value.
func (s Secret) IsSet() bool { return s.value != nil }

// Reveal returns the value; "" when it is not set. It is for the game's files
// and RCON alone.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Equal says whether both have the same value, or none.
func (s Secret) Equal(t Secret) bool { return s.Reveal() == t.Reveal() }

const redacted = "[secret]"

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, for every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler, and with it that of JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// secretError refuses what is a secret's name among the settings, which can be
// read; nil for any other. field is the setting at fault. What it may hold
// beside the name is not repeated.
func secretError(field, cvar string) *Error {
	const why = "must not stand among the settings, which can be read"
	cvar = strings.ToLower(strings.TrimLeft(cvar, "+-"))
	for _, name := range SecretNames() {
		if cvar == name.CVar() {
			return fieldError(field, "%s is a secret and %s; set it with `l4d2ctl initialize NAME --secret %s`", cvar, why, name)
		}
	}
	if strings.Contains(cvar, "password") || strings.Contains(cvar, "token") {
		return fieldError(field, "passwords and tokens are secrets and %s; those of RCON, for joining and of Steam have a place of their own: `l4d2ctl initialize NAME --secret rcon`, password or gslt", why)
	}
	return nil
}
