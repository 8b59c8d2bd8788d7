// Package srcds speaks to Source dedicated servers: Valve's Server Queries over UDP
// (A2S_INFO and A2S_PLAYER) and Source RCON over TCP. Both are written from Valve's
// documents:
//
//   - https://developer.valvesoftware.com/wiki/Server_queries
//   - https://developer.valvesoftware.com/wiki/Source_RCON_Protocol
//
// Numbers are little-endian in both, and strings end with a zero byte. Whoever
// answers is taken for hostile: what it can make this package hold is bounded by
// the constants here, and how long it can take is the context's. Text is returned
// as it came, byte for byte: to make it fit to be shown is the caller's.
package srcds

import (
	"errors"
	"fmt"
)

// Errors. What is neither of these nor the context's is the network's.
var (
	// ErrMalformed says that what came is not the protocol; the text around it says
	// what was wrong, without a byte of what came.
	ErrMalformed = errors.New("not the protocol")
	// ErrPassword says that the game refused the RCON password.
	ErrPassword = errors.New("the game refused the RCON password")
	// ErrBanned says that the game closed the RCON connection before it answered, as
	// srcds does to an address that is on its list of banned ones.
	ErrBanned = errors.New("the game closed the connection before it answered")
	// ErrCommand says that a command, or the password, cannot be sent at all.
	ErrCommand = errors.New("cannot be sent over RCON")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
