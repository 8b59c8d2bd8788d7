package account

import (
	"unicode/utf8"
)

// Role is what a user may do.
type Role string

// The roles; each may do what those before it may.
const (
	RoleViewer   Role = "viewer"
	RoleOperator Role = "operator"
	RoleAdmin    Role = "admin"
)

// ParseRole reads a role's name.
func ParseRole(text string) (Role, error) {
	if r := Role(text); r.rank() > 0 {
		return r, nil
	}
	return "", invalid("role", "%q is no role; it is viewer, operator or admin", text)
}

// Has says whether the role may do what need may.
func (r Role) Has(need Role) bool { return need.rank() > 0 && r.rank() >= need.rank() }

// rank orders the roles; what is none has 0.
func (r Role) rank() int {
	switch r {
	case RoleViewer:
		return 1
	case RoleOperator:
		return 2
	case RoleAdmin:
		return 3
	}
	return 0
}

const (
	maxName     = 32
	minPassword = 8   // characters
	maxPassword = 256 // bytes
)

// nameOK: ^[a-z0-9][a-z0-9._-]{0,31}$
func nameOK(name string) bool {
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

func checkName(field, name string) error {
	if !nameOK(name) {
		return invalid(field, "a user's name has 1 to %d characters, which are a to z, 0 to 9, and after the first one . _ and -", maxName)
	}
	return nil
}

// checkPassword is told the name that the password is for.
func checkPassword(field, name, password string) error {
	switch {
	case !utf8.ValidString(password):
		return invalid(field, "the password is not valid UTF-8; type another")
	case utf8.RuneCountInString(password) < minPassword:
		return invalid(field, "the password is too short; it needs at least %d characters", minPassword)
	case len(password) > maxPassword:
		return invalid(field, "the password is too long; %d bytes are the most", maxPassword)
	case password == name:
		return invalid(field, "the password is the user's name; choose another")
	}
	return nil
}
