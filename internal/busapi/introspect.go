package busapi

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

// doctype is what the D-Bus specification puts before a description.
const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

// Annotations of a member: its documentation, as GLib's tools know it, what its
// signal tells, and the polkit action that a method asks.
const (
	noteDoc        = "org.gtk.GDBus.DocString"
	noteChange     = "org.freedesktop.DBus.Property.EmitsChangedSignal"
	notePermission = busName + ".Asks"
)

func (b *Bus) introspect(k *call) error {
	path := dbus.ObjectPath(k.header(dbus.FieldPath))
	b.mu.Lock()
	defer b.mu.Unlock()
	var children []string
	if path == serverDir {
		for _, o := range b.told.sorted() {
			children = append(children, string(o.path)[len(serverDir)+1:])
		}
	} else if child := nodes[path]; child != "" {
		children = []string{child}
	}
	k.reply(describe(k.ifs, children))
	return nil
}

// describe is an object's description, with the names of what lies below it.
func describe(ifs []iface, children []string) string {
	var b strings.Builder
	b.WriteString(doctype + "<node>\n")
	for i := range ifs {
		describeInterface(&b, &ifs[i])
	}
	for _, child := range children {
		fmt.Fprintf(&b, " <node name=\"%s\"/>\n", child)
	}
	b.WriteString("</node>\n")
	return b.String()
}

func describeInterface(b *strings.Builder, f *iface) {
	fmt.Fprintf(b, " <interface name=\"%s\">\n", f.name)
	for _, m := range f.methods {
		fmt.Fprintf(b, "  <method name=\"%s\">\n", m.name)
		describeArgs(b, m.in, "in")
		describeArgs(b, m.out, "out")
		annotate(b, noteDoc, m.doc)
		if m.asks.action != "" {
			annotate(b, notePermission, string(m.asks.action))
		}
		b.WriteString("  </method>\n")
	}
	for _, p := range f.properties {
		fmt.Fprintf(b, "  <property name=\"%s\" type=\"%s\" access=\"read\">\n", p.name, p.sig)
		annotate(b, noteDoc, p.doc)
		annotate(b, noteChange, string(p.change))
		b.WriteString("  </property>\n")
	}
	for _, s := range f.signals {
		fmt.Fprintf(b, "  <signal name=\"%s\">\n", s.name)
		describeArgs(b, s.args, "")
		annotate(b, noteDoc, s.doc)
		b.WriteString("  </signal>\n")
	}
	b.WriteString(" </interface>\n")
}

func describeArgs(b *strings.Builder, args []arg, direction string) {
	if direction != "" {
		direction = ` direction="` + direction + `"`
	}
	for _, a := range args {
		fmt.Fprintf(b, "   <arg name=\"%s\" type=\"%s\"%s/>\n", a.name, a.sig, direction)
	}
}

func annotate(b *strings.Builder, name, value string) {
	fmt.Fprintf(b, "   <annotation name=\"%s\" value=\"", name)
	_ = xml.EscapeText(b, []byte(value)) // a strings.Builder takes everything
	b.WriteString("\"/>\n")
}
