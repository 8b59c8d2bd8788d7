package busapi

import (
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// errNeither is the backend's mistake: a request ends in a job or a refusal.
var errNeither = errors.New("the request was neither accepted nor refused")

// request serves the methods that ask for a job.
func request(kind server.JobKind) func(*Bus, *call) error {
	return func(b *Bus, k *call) error {
		jobs, refused, err := b.Backend.Request(k.ctx, kind, []server.Name{k.about}, b.Accounts.Requester(k.peer))
		switch {
		case err != nil:
			return err
		case len(refused) > 0:
			return refused[0].Err
		case len(jobs) == 0:
			return errNeither
		}
		k.reply(uint64(jobs[0].ID))
		return nil
	}
}

func (b *Bus) resync(k *call) error {
	if err := b.Backend.Resync(k.ctx); err != nil {
		return err
	}
	k.reply()
	return nil
}

// listed is a server as ListServers tells of it.
type listed struct {
	Name, Desired, State, Drift, Unit string
	Path                              dbus.ObjectPath
}

func (b *Bus) listServers(k *call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.told.sorted()
	list := make([]listed, len(all))
	for i, o := range all {
		list[i] = listed{string(o.name), string(o.now.Desired), string(o.now.State), string(o.now.Drift), o.now.Unit, o.path}
	}
	k.reply(list)
	return nil
}

func (b *Bus) getServer(k *call) error {
	path := pathOf(k.about)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told.objects[path] == nil {
		return server.Errorf(server.CodeServerNotFound, "there is no server %s; ListServers tells which there are", server.Quote(string(k.about), 40))
	}
	k.reply(path)
	return nil
}

func (b *Bus) managedObjects(k *call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[dbus.ObjectPath]map[string]map[string]dbus.Variant, len(b.told.objects))
	for path, o := range b.told.objects {
		all[path] = map[string]map[string]dbus.Variant{serverFace: o.properties()}
	}
	k.reply(all)
	return nil
}

// values are the properties of an interface of the object that is called. The
// caller holds b.mu.
func (b *Bus) values(k *call, face string) (map[string]dbus.Variant, error) {
	switch {
	case face == "":
		face = k.ifs[len(k.ifs)-1].name // the only one that has some
	case !hasInterface(k.ifs, face):
		return nil, refusal(errUnknownInterface, fmt.Sprintf("the object has no interface %s", server.Quote(face, 120)))
	}
	switch face {
	case managerFace:
		all := map[string]dbus.Variant{}
		for _, p := range manager.properties {
			all[p.name] = dbus.MakeVariant(p.here(b))
		}
		return all, nil
	case serverFace:
		o := b.told.objects[k.at.path]
		if o == nil {
			return nil, refusal(errUnknownObject, fmt.Sprintf("the server %s is gone", k.at.name))
		}
		all := o.properties()
		// No event tells of it, so the newest is with the backend alone.
		if e, _, err := b.Backend.Get(o.name); err == nil && e.ID == o.now.ID {
			all["ObservedAt"] = dbus.MakeVariant(micros(e.ObservedAt))
		}
		return all, nil
	}
	return map[string]dbus.Variant{}, nil
}

func hasInterface(ifs []iface, name string) bool {
	for i := range ifs {
		if ifs[i].name == name {
			return true
		}
	}
	return false
}

func (b *Bus) get(k *call) error {
	face, name := k.args[0].(string), k.args[1].(string)
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.values(k, face)
	if err != nil {
		return err
	}
	v, ok := all[name]
	if !ok {
		return unknownProperty(face, name)
	}
	k.reply(v)
	return nil
}

func (b *Bus) getAll(k *call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.values(k, k.args[0].(string))
	if err != nil {
		return err
	}
	k.reply(all)
	return nil
}

func (b *Bus) set(k *call) error {
	face, name := k.args[0].(string), k.args[1].(string)
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.values(k, face)
	if err != nil {
		return err
	}
	if _, ok := all[name]; !ok {
		return unknownProperty(face, name)
	}
	return refusal(errReadOnly, fmt.Sprintf("the property %s cannot be set", name))
}

func unknownProperty(face, name string) error {
	return refusal(errUnknownProperty, fmt.Sprintf("the interface %s has no property %s", server.Quote(face, 120), server.Quote(name, 120)))
}

func (b *Bus) lastResync() uint64 {
	status, _ := b.Backend.Status()
	return micros(status.LastResync)
}
