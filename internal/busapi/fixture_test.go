package busapi_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/busapi"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/test/bus"
)

const (
	name        = "org.left4me.left4med1"
	rootPath    = dbus.ObjectPath("/org/left4me/left4med1")
	managerFace = name + ".Manager"
	serverFace  = name + ".Server"
	standard    = "org.freedesktop.DBus."
)

var past = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// backend keeps servers in memory. Each change is in the list and in the feed
// before anybody sees either, as with the orchestrator.
type backend struct {
	feed *orchestrator.TestFeed

	mu       sync.Mutex
	servers  map[server.Name]*orchestrator.Entry
	ids      int64
	jobs     []*server.Job
	status   orchestrator.Status
	relink   chan struct{}
	refuse   *server.Error
	fail     error
	resyncs  int
	watching func(after uint64) uint64 // called by Watch, when set
}

var _ busapi.Backend = (*backend)(nil)

func newBackend() *backend {
	return &backend{
		feed: orchestrator.NewTestFeed(100), servers: map[server.Name]*orchestrator.Entry{}, relink: make(chan struct{}),
		status: orchestrator.Status{SystemdConnected: true, LastResync: past},
	}
}

// put makes a server, or changes it.
func (b *backend) put(name server.Name, change func(*server.Server)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := &orchestrator.Entry{}
	if e := b.servers[name]; e != nil {
		next.Server = e.Server
	} else {
		b.ids++
		next.Server = server.Server{ID: b.ids, Name: name, Unit: name.Unit(), Desired: server.DesiredStopped, State: server.StateStopped, Drift: server.DriftNone}
	}
	if change != nil {
		change(&next.Server)
	}
	b.servers[name] = next
	b.feed.Server(next)
}

// quietly changes a server without an event.
func (b *backend) quietly(name server.Name, change func(*server.Server)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := &orchestrator.Entry{Server: b.servers[name].Server}
	change(&next.Server)
	b.servers[name] = next
}

func (b *backend) del(name server.Name) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.servers[name]; e != nil {
		delete(b.servers, name)
		b.feed.Deleted(orchestrator.Deleted{ID: e.ID, Name: name})
	}
}

// job says where a job stands.
func (b *backend) job(id int64, state server.JobState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := *b.jobs[id-1]
	j.State = state
	b.jobs[id-1] = &j
	b.feed.Job(&j)
}

// count says how often something was asked for.
func (b *backend) count() (jobs, resyncs int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.jobs), b.resyncs
}

// refuses makes requests fail: as refused, or with an error.
func (b *backend) refuses(refuse *server.Error, fail error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse, b.fail = refuse, fail
}

func (b *backend) linked(connected bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.SystemdConnected = connected
	close(b.relink)
	b.relink = make(chan struct{})
}

func (b *backend) List() orchestrator.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := orchestrator.Snapshot{EventID: b.feed.Last()}
	for _, e := range b.servers {
		s.Servers = append(s.Servers, e)
	}
	slices.SortFunc(s.Servers, func(x, y *orchestrator.Entry) int { return strings.Compare(string(x.Name), string(y.Name)) })
	return s
}

func (b *backend) Get(name server.Name) (*orchestrator.Entry, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.servers[name]; e != nil {
		return e, b.feed.Last(), nil
	}
	return nil, 0, server.Errorf(server.CodeServerNotFound, "there is no server %s", name)
}

func (b *backend) Request(_ context.Context, kind server.JobKind, names []server.Name, who server.Requester) ([]*server.Job, []orchestrator.Refusal, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.fail != nil:
		return nil, nil, b.fail
	case b.refuse != nil:
		return nil, []orchestrator.Refusal{{Server: string(names[0]), Err: b.refuse}}, nil
	case b.servers[names[0]] == nil:
		return nil, []orchestrator.Refusal{{Server: string(names[0]), Err: server.Errorf(server.CodeServerNotFound, "there is no server %s", names[0])}}, nil
	}
	j := &server.Job{ID: int64(len(b.jobs) + 1), Server: names[0], Kind: kind, State: server.JobQueued, RequestedBy: who}
	b.jobs = append(b.jobs, j)
	b.feed.Job(j)
	return []*server.Job{j}, nil, nil
}

func (b *backend) Job(_ context.Context, id int64) (*server.Job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id < 1 || id > int64(len(b.jobs)) {
		return nil, server.Errorf(server.CodeJobNotFound, "there is no job %d", id)
	}
	return b.jobs[id-1], nil
}

func (b *backend) Resync(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resyncs++
	return b.fail
}

func (b *backend) Status() (orchestrator.Status, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.relink
}

func (b *backend) Watch(after uint64, resume bool) *orchestrator.Watcher {
	if b.watching != nil {
		after = b.watching(after)
	}
	return b.feed.Watch(after, resume)
}

// gate answers as a test says, and remembers the questions.
type gate struct {
	mu    sync.Mutex
	asked []authz.Request
	check func(context.Context, authz.Request) error // nil: everybody may
}

func (g *gate) Check(ctx context.Context, r authz.Request) error {
	g.mu.Lock()
	if r.Action != authz.None {
		g.asked = append(g.asked, r)
	}
	check := g.check
	g.mu.Unlock()
	if check == nil || r.Action == authz.None {
		return nil
	}
	return check(ctx, r)
}

// questions are what it was asked, but what needs no permission.
func (g *gate) questions() []authz.Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.asked)
}

func (g *gate) says(check func(context.Context, authz.Request) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.check = check
}

// fixture is left4med on a bus of its own.
type fixture struct {
	t       *testing.T
	bus     *bus.Bus
	backend *backend
	gate    *gate
	served  *busapi.Bus
	end     context.CancelFunc
	ended   chan error
}

// newFixture serves a backend, which the test may fill before.
func newFixture(t *testing.T, b *backend) *fixture {
	t.Helper()
	f := &fixture{t: t, bus: bus.New(t), backend: b, gate: &gate{}, ended: make(chan error, 1)}
	f.served = busapi.New(busapi.Options{
		Backend: b, Gate: f.gate, Accounts: authz.NewAccounts("/dev/null"), Log: zerolog.New(zerolog.NewTestWriter(t)),
		Version: "1.2.3", Socket: f.bus.Socket,
	})
	ctx, cancel := context.WithCancel(t.Context())
	f.end = cancel
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		f.ended <- f.served.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-stopped })
	f.connect().awaitName()
	return f
}

// client is somebody on the bus who remembers all signals of left4med's.
type client struct {
	*dbus.Conn
	t *testing.T

	mu      sync.Mutex
	signals []*dbus.Signal
	more    chan struct{} // closed and replaced at each signal
}

// DeliverSignal implements dbus.SignalHandler. The library calls it before it
// reads on: a reply comes after the signals that were sent before it.
func (c *client) DeliverSignal(_, _ string, s *dbus.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signals = append(c.signals, s)
	close(c.more)
	c.more = make(chan struct{})
}

func (f *fixture) connect() *client {
	f.t.Helper()
	c := &client{t: f.t, more: make(chan struct{})}
	conn, err := dbus.Connect(f.bus.Address, dbus.WithSignalHandler(c))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	c.Conn = conn
	return c
}

// awaitName waits until left4med has its name.
func (c *client) awaitName() {
	c.t.Helper()
	if err := c.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name)); err != nil {
		c.t.Fatal(err)
	}
	var owned bool
	if err := c.BusObject().Call(standard+"NameHasOwner", 0, name).Store(&owned); err != nil {
		c.t.Fatal(err)
	}
	if !owned {
		c.await(func(s *dbus.Signal) bool {
			return s.Name == standard+"NameOwnerChanged" && len(s.Body) == 3 && s.Body[2] != ""
		})
	}
}

// listen asks for left4med's signals.
func (c *client) listen() {
	c.t.Helper()
	if err := c.AddMatchSignal(dbus.WithMatchSender(name)); err != nil {
		c.t.Fatal(err)
	}
}

// await waits for a signal, also one that came before.
func (c *client) await(what func(*dbus.Signal) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for seen := 0; ; {
		c.mu.Lock()
		signals, more := c.signals, c.more
		c.mu.Unlock()
		for ; seen < len(signals); seen++ {
			if what(signals[seen]) {
				return
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			c.t.Fatalf("the signal did not come; these did: %v", signals)
		}
	}
}

// call calls a method of left4med's.
func (c *client) call(path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return c.Object(name, path).CallWithContext(c.t.Context(), method, 0, args...)
}

// got is the answer of a call that must succeed.
func got[T any](t *testing.T, call *dbus.Call) (v T) {
	t.Helper()
	if err := call.Store(&v); err != nil {
		t.Fatalf("%s: %v", call.Method, err)
	}
	return v
}

// fails wants a call to fail with an error of this name.
func fails(t *testing.T, call *dbus.Call, want string) dbus.Error {
	t.Helper()
	e, ok := call.Err.(dbus.Error)
	if !ok || e.Name != want {
		t.Errorf("%s%v: got %v, %v; want %s", call.Method, call.Args, call.Err, call.Body, want)
	}
	return e
}

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b dbus.Variant) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
