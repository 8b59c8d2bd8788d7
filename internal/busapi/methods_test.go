package busapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/server"
)

// whole gives a server a value in every property.
func whole(s *server.Server) {
	s.Desired, s.State, s.Drift, s.DriftSince, s.Stale = server.DesiredRunning, server.StateFailed, server.DriftDown, past, true
	s.ActiveState, s.SubState, s.UnitFileState, s.MainPID = "failed", "dead", "enabled", 4711
	s.StateSince, s.ObservedAt = past.Add(time.Second), past.Add(time.Minute)
}

func wholeProperties() map[string]dbus.Variant {
	all := map[string]dbus.Variant{}
	for k, v := range map[string]any{
		"Name": "versus-1", "Unit": "left4me-server@versus-1.service", "Desired": "running", "State": "failed", "Drift": "down",
		"DriftSince": uint64(past.UnixMicro()), "Stale": true, "ActiveState": "failed", "SubState": "dead", "UnitFileState": "enabled",
		"MainPID": uint32(4711), "StateSince": uint64(past.UnixMicro() + 1e6), "ObservedAt": uint64(past.UnixMicro() + 60e6),
	} {
		all[k] = dbus.MakeVariant(v)
	}
	return all
}

const versus = rootPath + "/server/versus_2d1" // of versus-1

func TestReading(t *testing.T) {
	t.Parallel()
	b := newBackend()
	b.put("versus-1", whole)
	b.put("0", nil)
	f := newFixture(t, b)
	f.gate.says(func(context.Context, authz.Request) error { return errors.New("reading asks nobody") })
	c := f.connect()
	type listed struct {
		Name, Desired, State, Drift, Unit string
		Path                              dbus.ObjectPath
	}
	same(t, "ListServers", []listed{
		{"0", "stopped", "stopped", "none", "left4me-server@0.service", rootPath + "/server/_30"},
		{"versus-1", "running", "failed", "down", "left4me-server@versus-1.service", versus},
	}, got[[]listed](t, c.call(rootPath, managerFace+".ListServers")))
	same(t, "GetServer", versus, got[dbus.ObjectPath](t, c.call(rootPath, managerFace+".GetServer", "versus-1")))

	want := wholeProperties()
	all := got[map[dbus.ObjectPath]map[string]map[string]dbus.Variant](t, c.call(rootPath, standard+"ObjectManager.GetManagedObjects"))
	same(t, "a managed object", map[string]map[string]dbus.Variant{serverFace: want}, all[versus])
	same(t, "how many", 2, len(all))
	get := standard + "Properties.Get"
	same(t, "GetAll", want, got[map[string]dbus.Variant](t, c.call(versus, get+"All", serverFace)))
	same(t, "GetAll of any", want, got[map[string]dbus.Variant](t, c.call(versus, get+"All", "")))
	for property, value := range want {
		same(t, property, value, got[dbus.Variant](t, c.call(versus, get, serverFace, property)))
	}
	same(t, "the manager", map[string]dbus.Variant{
		"Version": dbus.MakeVariant("1.2.3"), "ServerCount": dbus.MakeVariant(uint32(2)),
		"LastResync": dbus.MakeVariant(uint64(past.UnixMicro())), "SystemdConnected": dbus.MakeVariant(true),
	}, got[map[string]dbus.Variant](t, c.call(rootPath, get+"All", managerFace)))
	same(t, "no properties", map[string]dbus.Variant{}, got[map[string]dbus.Variant](t, c.call(versus, get+"All", standard+"Peer")))

	// No event tells of a mere observation.
	b.quietly("versus-1", func(s *server.Server) { s.ObservedAt = past.Add(time.Hour) })
	same(t, "ObservedAt", uint64(past.Add(time.Hour).UnixMicro()), got[uint64](t, c.call(versus, get, serverFace, "ObservedAt")))
}

func TestActing(t *testing.T) {
	t.Parallel()
	b := newBackend()
	b.put("versus-1", nil)
	f := newFixture(t, b)
	c := f.connect()
	var want []authz.Request
	job := uint64(0)
	for _, m := range []struct {
		path   dbus.ObjectPath
		method string
		args   []any
		kind   server.JobKind
	}{
		{rootPath, managerFace + ".StartServer", []any{"versus-1"}, server.JobStart},
		{rootPath, managerFace + ".StopServer", []any{"versus-1"}, server.JobStop},
		{rootPath, managerFace + ".RestartServer", []any{"versus-1"}, server.JobRestart},
		{versus, serverFace + ".Start", nil, server.JobStart},
		{versus, serverFace + ".Stop", nil, server.JobStop},
		{versus, "Restart", nil, server.JobRestart}, // the interface may be left out
	} {
		job++
		same(t, m.method, job, got[uint64](t, c.call(m.path, m.method, m.args...)))
		j, err := b.Job(t.Context(), int64(job))
		if err != nil {
			t.Fatal(err)
		}
		same(t, m.method, &server.Job{
			ID: int64(job), Server: "versus-1", Kind: m.kind, State: server.JobQueued, RequestedBy: server.Requester{Via: server.ViaDBus},
		}, j)
		want = append(want, authz.Request{Action: authz.Control, Verb: string(m.kind), Server: "versus-1"})
	}
	err := c.call(rootPath, managerFace+".Resync").Err
	if _, resyncs := b.count(); err != nil || resyncs != 1 {
		t.Error(err, resyncs)
	}
	want = append(want, authz.Request{Action: authz.Control, Verb: "resync"})
	for i := range want {
		want[i].Peer = authz.Peer{GID: authz.NoGID, BusName: c.Names()[0]}
	}
	if diff := cmp.Diff(want, f.gate.questions(), cmpopts.IgnoreFields(authz.Peer{}, "PID"), cmpopts.IgnoreUnexported(authz.Peer{})); diff != "" {
		t.Errorf("what the gate was asked (-want +got):\n%s", diff)
	}
	// A call says whether its caller may be asked; the library's own cannot.
	asking := <-c.Send(&dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagAllowInteractiveAuthorization, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(name), dbus.FieldPath: dbus.MakeVariant(versus), dbus.FieldMember: dbus.MakeVariant("Start"),
	}}, nil).Done
	if asking.Err != nil {
		t.Error(asking.Err)
	}
	if all := f.gate.questions(); !all[len(all)-1].Interactive {
		t.Errorf("%+v is not interactive", all[len(all)-1])
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBackend()
	b.put("a", nil)
	f := newFixture(t, b)
	c := f.connect()
	const a = rootPath + "/server/a"
	ours := name + ".Error."
	for _, x := range []struct {
		path   dbus.ObjectPath
		method string
		args   []any
		want   string
	}{
		{rootPath, managerFace + ".GetServer", []any{"nope"}, ours + "NoSuchServer"},
		{rootPath, managerFace + ".StartServer", []any{"nope"}, ours + "NoSuchServer"},
		{rootPath, managerFace + ".GetServer", []any{"../a"}, ours + "InvalidName"},
		{rootPath, managerFace + ".StopServer", []any{""}, ours + "InvalidName"},
		{rootPath, managerFace + ".StopServer", []any{strings.Repeat("a", 4000)}, ours + "InvalidName"},
		{rootPath, managerFace + ".StopServer", []any{strings.Repeat("a", 1<<20)}, standard + "Error.InvalidArgs"},
		{rootPath, managerFace + ".StartServer", nil, standard + "Error.InvalidArgs"},
		{rootPath, managerFace + ".StartServer", []any{uint32(1)}, standard + "Error.InvalidArgs"},
		{rootPath, managerFace + ".StartServer", []any{"a", "a"}, standard + "Error.InvalidArgs"},
		{rootPath, managerFace + ".ListServers", []any{"a"}, standard + "Error.InvalidArgs"},
		{a, serverFace + ".Start", []any{[]string{"a"}}, standard + "Error.InvalidArgs"},
		{a, serverFace + ".Nope", nil, standard + "Error.UnknownMethod"},
		{a, managerFace + ".ListServers", nil, standard + "Error.UnknownInterface"},
		{"/", managerFace + ".ListServers", nil, standard + "Error.UnknownInterface"},
		{rootPath + "/server/b", serverFace + ".Start", nil, standard + "Error.UnknownObject"},
		{"/nope", standard + "Introspectable.Introspect", nil, standard + "Error.UnknownObject"},
		{a, standard + "Properties.Get", []any{serverFace, "Nope"}, standard + "Error.UnknownProperty"},
		{a, standard + "Properties.Get", []any{managerFace, "Version"}, standard + "Error.UnknownInterface"},
		{a, standard + "Properties.GetAll", []any{managerFace}, standard + "Error.UnknownInterface"},
		{a, standard + "Properties.Set", []any{serverFace, "State", dbus.MakeVariant("x")}, standard + "Error.PropertyReadOnly"},
		{a, standard + "Properties.Set", []any{serverFace, "Nope", dbus.MakeVariant([]string{"x"})}, standard + "Error.UnknownProperty"},
	} {
		if e := fails(t, c.call(x.path, x.method, x.args...), x.want); len(e.Error()) > 300 {
			t.Errorf("%s: the error is %d bytes long", x.method, len(e.Error()))
		}
	}
	refuse := func(e *server.Error) func(context.Context, authz.Request) error {
		return func(context.Context, authz.Request) error { return e }
	}
	no := server.Errorf(server.CodeNotAuthorized, "uid 1 may \x1b[31m not")
	f.gate.says(refuse(no))
	e := fails(t, c.call(a, serverFace+".Stop"), ours+"NotAuthorized")
	same(t, "escaped", `uid 1 may \x1b[31m not`, e.Error())
	challenge := *no
	challenge.Challenge = true
	f.gate.says(refuse(&challenge))
	fails(t, c.call(a, serverFace+".Stop"), standard+"Error.InteractiveAuthorizationRequired")
	f.gate.says(nil)
	b.refuses(server.Errorf(server.CodeBusy, "job 7 is in the way"), nil)
	fails(t, c.call(a, serverFace+".Stop"), ours+"Busy")
	b.refuses(nil, errors.New("a secret of the disk"))
	if e := fails(t, c.call(a, serverFace+".Stop"), ours+"Internal"); strings.Contains(e.Error(), "secret") {
		t.Error(e)
	}
	fails(t, c.call(rootPath, managerFace+".Resync"), ours+"Internal")
	jobs, _ := b.count()
	same(t, "jobs that came of it", 0, jobs)
}
