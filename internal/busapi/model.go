package busapi

import (
	"context"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

// model is what the bus was told: what somebody knows who asked once and has
// added up all signals since. b.mu guards it.
type model struct {
	objects   map[dbus.ObjectPath]*object
	jobs      map[int64]*server.Job // that were told of and have not ended
	connected bool                  // the link to systemd
}

// object is a server on the bus. It never changes; a change makes a new one.
type object struct {
	name server.Name
	path dbus.ObjectPath
	now  *server.Server
}

func newObject(e *orchestrator.Entry) *object {
	return &object{name: e.Name, path: pathOf(e.Name), now: e.Public()}
}

// properties are a server's, as they stand on the bus.
func (o *object) properties() map[string]dbus.Variant {
	all := make(map[string]dbus.Variant, len(ofServer.properties))
	for _, p := range ofServer.properties {
		all[p.name] = dbus.MakeVariant(p.of(o.now))
	}
	return all
}

// changed are the properties that differ and are told of.
func (o *object) changed(old *object) map[string]dbus.Variant {
	all := map[string]dbus.Variant{}
	for _, p := range ofServer.properties {
		if v := p.of(o.now); p.change == tells && v != p.of(old.now) {
			all[p.name] = dbus.MakeVariant(v)
		}
	}
	return all
}

// sorted are all objects, by the servers' names.
func (m *model) sorted() []*object {
	all := make([]*object, 0, len(m.objects))
	for _, o := range m.objects {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *object) int { return strings.Compare(string(a.name), string(b.name)) })
	return all
}

// start fills the model before anyone can ask for it, and returns the id of the
// event after which it must be kept up.
func (b *Bus) start(conn *dbus.Conn) (after uint64) {
	snapshot := b.Backend.List()
	status, _ := b.Backend.Status()
	told := model{objects: map[dbus.ObjectPath]*object{}, jobs: map[int64]*server.Job{}, connected: status.SystemdConnected}
	for _, e := range snapshot.Servers {
		o := newObject(e)
		told.objects[o.path] = o
		if e.Job != nil && !e.Job.State.Finished() {
			told.jobs[e.Job.ID] = e.Job
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told, b.conn = told, conn
	return snapshot.EventID
}

// follow tells the bus of what happens until ctx ends.
func (b *Bus) follow(ctx context.Context, after uint64) {
	status := make(chan struct{})
	go func() {
		defer close(status)
		b.followStatus(ctx)
	}()
	defer func() { <-status }()
	watcher := b.Backend.Watch(after, true)
	for {
		events, err := watcher.Next(ctx)
		if err != nil {
			return
		}
		b.mu.Lock()
		for _, e := range events {
			b.tell(ctx, e)
		}
		b.mu.Unlock()
	}
}

// followStatus tells of the link to systemd.
func (b *Bus) followStatus(ctx context.Context) {
	for {
		status, changed := b.Backend.Status()
		b.mu.Lock()
		if b.told.connected != status.SystemdConnected {
			b.told.connected = status.SystemdConnected
			b.propertiesChanged(rootPath, managerFace, map[string]dbus.Variant{"SystemdConnected": dbus.MakeVariant(status.SystemdConnected)})
		}
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// tell applies one event and tells the bus of it. The caller holds b.mu.
func (b *Bus) tell(ctx context.Context, e *orchestrator.Event) {
	switch e.Type {
	case orchestrator.EventServer:
		b.put(newObject(e.Server()))
	case orchestrator.EventDeleted:
		b.drop(pathOf(e.Deleted().Name))
	case orchestrator.EventJob:
		b.job(e.Job())
	case orchestrator.EventReset:
		b.tellAnew(ctx)
	}
}

// put tells of a new or changed server.
func (b *Bus) put(o *object) {
	old := b.told.objects[o.path]
	if old != nil && old.now.ID != o.now.ID { // deleted and made again
		b.drop(o.path)
		old = nil
	}
	b.told.objects[o.path] = o
	if old == nil {
		b.emit(rootPath, "org.freedesktop.DBus.ObjectManager.InterfacesAdded", o.path,
			map[string]map[string]dbus.Variant{serverFace: o.properties()})
		b.countChanged()
		return
	}
	if changed := o.changed(old); len(changed) > 0 {
		b.propertiesChanged(o.path, serverFace, changed)
	}
}

// drop tells that a server is gone.
func (b *Bus) drop(path dbus.ObjectPath) {
	if b.told.objects[path] == nil {
		return
	}
	delete(b.told.objects, path)
	b.emit(rootPath, "org.freedesktop.DBus.ObjectManager.InterfacesRemoved", path, []string{serverFace})
	b.countChanged()
}

func (b *Bus) countChanged() {
	b.propertiesChanged(rootPath, managerFace, map[string]dbus.Variant{"ServerCount": dbus.MakeVariant(uint32(len(b.told.objects)))})
}

// job tells that a job is new or has ended.
func (b *Bus) job(j *server.Job) {
	_, known := b.told.jobs[j.ID]
	if !known {
		b.emit(rootPath, managerFace+".JobNew", uint64(j.ID), string(j.Server), string(j.Kind))
	}
	b.told.jobs[j.ID] = j
	if j.State.Finished() {
		delete(b.told.jobs, j.ID)
		b.emit(rootPath, managerFace+".JobRemoved", uint64(j.ID), string(j.Server), string(j.Kind), string(j.State))
	}
}

// tellAnew tells of all that differs, when events were missed.
func (b *Bus) tellAnew(ctx context.Context) {
	snapshot := b.Backend.List()
	there := map[dbus.ObjectPath]bool{}
	running := map[int64]bool{}
	for _, e := range snapshot.Servers {
		o := newObject(e)
		there[o.path] = true
		b.put(o)
		if e.Job != nil {
			running[e.Job.ID] = true
			b.job(e.Job)
		}
	}
	for path := range b.told.objects {
		if !there[path] {
			b.drop(path)
		}
	}
	for id := range b.told.jobs {
		if running[id] {
			continue
		}
		if j, err := b.Backend.Job(ctx, id); err == nil {
			b.job(j)
		}
	}
}

func (b *Bus) propertiesChanged(path dbus.ObjectPath, face string, changed map[string]dbus.Variant) {
	b.emit(path, "org.freedesktop.DBus.Properties.PropertiesChanged", face, changed, []string{})
}

// emit sends a signal. One that cannot be sent is lost with its connection, and
// with that everything that was told; the next one begins anew.
func (b *Bus) emit(path dbus.ObjectPath, name string, values ...any) {
	if b.conn != nil {
		_ = b.conn.Emit(path, name, values...)
	}
}
