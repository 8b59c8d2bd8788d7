package busapi

import (
	"context"
	"errors"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// What the bus itself has names for (the D-Bus specification and
// dbus-protocol.h; the last one is systemd's too).
const (
	errUnknownObject    = "org.freedesktop.DBus.Error.UnknownObject"
	errUnknownInterface = "org.freedesktop.DBus.Error.UnknownInterface"
	errUnknownMethod    = "org.freedesktop.DBus.Error.UnknownMethod"
	errUnknownProperty  = "org.freedesktop.DBus.Error.UnknownProperty"
	errReadOnly         = "org.freedesktop.DBus.Error.PropertyReadOnly"
	errInvalidArgs      = "org.freedesktop.DBus.Error.InvalidArgs"
	errLimits           = "org.freedesktop.DBus.Error.LimitsExceeded"
	errInteractive      = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
)

// ownErrors are the names of codes that are not just their words.
var ownErrors = map[server.Code]string{
	server.CodeServerNotFound: "NoSuchServer",
	server.CodeJobNotFound:    "NoSuchJob",
	server.CodeOrphanNotFound: "NoSuchOrphan",
	server.CodeTooMany:        "TooMany",
}

// errorName is the name of a code on the bus: server-not-found is
// org.left4me.left4med1.Error.NoSuchServer, not-authorized …Error.NotAuthorized.
func errorName(code server.Code) string {
	name := ownErrors[code]
	if name == "" {
		for word := range strings.SplitSeq(string(code), "-") {
			if word != "" {
				name += strings.ToUpper(word[:1]) + word[1:]
			}
		}
	}
	return busName + ".Error." + name
}

// refusal makes an error that a caller is told.
func refusal(name, text string) *dbus.Error { return dbus.NewError(name, []any{text}) }

// busError maps any error to what a caller is told. It is the only place that
// does; ours says whether the error is a fault of our own, which goes to the log.
func busError(err error) (e *dbus.Error, ours bool) {
	if errors.As(err, &e) {
		return e, false
	}
	var se *server.Error
	switch {
	case errors.As(err, &se) && se.Challenge:
		return refusal(errInteractive, server.Visible(se.Detail)), false
	case errors.As(err, &se):
		return refusal(errorName(se.Code), server.Visible(se.Detail)), se.Code == server.CodeInternal
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refusal(errorName(server.CodeShuttingDown), "the call ended before its answer was there; ask again"), false
	}
	return refusal(errorName(server.CodeInternal), `left4med met an error it did not expect; "journalctl -u left4med.service" says which`), true
}
