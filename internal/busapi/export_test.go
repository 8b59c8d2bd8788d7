package busapi

import (
	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

// Member is a line of the tables.
type Member struct {
	Interface, Kind, Name string
	In, Out               string // signatures; of a property or a signal only Out
	Doc                   string
	Asks                  authz.Action
	Verb                  string
}

// Members are all of them.
func Members() []Member {
	var all []Member
	for _, f := range []iface{peerFace, introspectableFace, propertiesFace, objectManagerFace, manager, ofServer} {
		for _, m := range f.methods {
			all = append(all, Member{f.name, "method", m.name, signature(m.in), signature(m.out), m.doc, m.asks.action, m.asks.verb})
		}
		for _, p := range f.properties {
			all = append(all, Member{Interface: f.name, Kind: "property", Name: p.name, Out: p.sig, Doc: p.doc})
		}
		for _, s := range f.signals {
			all = append(all, Member{Interface: f.name, Kind: "signal", Name: s.name, Out: signature(s.args), Doc: s.doc})
		}
	}
	return all
}

// PathOf is where a server's object is.
func PathOf(name server.Name) dbus.ObjectPath { return pathOf(name) }

// ErrorName is the name of a code on the bus.
func ErrorName(code server.Code) string { return errorName(code) }
