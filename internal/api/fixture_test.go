package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/api"
	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/journal"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/quota"
	"github.com/left4med/left4med/internal/server"
)

// The peers of the tests.
var (
	root     = authz.Peer{PID: 1}
	operator = authz.Peer{UID: 1001, GID: 1001, PID: 2}
	kim      = authz.Peer{UID: 1000, GID: 1000, PID: 3}
	web      = authz.Peer{UID: 980, GID: 980, PID: 4}
	ann      = authz.Peer{UID: 1002, GID: 1002, PID: 6}
	max      = authz.Peer{UID: 1003, GID: 1003, PID: 7}
	game     = authz.Peer{UID: 62000, GID: 62000, PID: 5}
)

var past = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// fakeBackend keeps servers and jobs in memory.
type fakeBackend struct {
	feed *orchestrator.TestFeed

	mu       sync.Mutex
	servers  map[server.Name]*orchestrator.Entry
	jobs     []*server.Job
	ended    map[int64]chan struct{}
	filter   orchestrator.JobFilter // the last one asked for
	patch    server.ConfigPatch     // the last one given
	history  []server.HistoryEntry
	asked    server.HistoryFilter // the last one asked for
	secrets  map[server.SecretName]server.Secret
	commands []string      // of RCON
	waiting  chan struct{} // receives when a wait begins
	left     chan struct{} // receives when a wait ended with its context
	fail     error         // what Change, Resync and Jobs answer
	refuse   map[server.Name]*server.Error
	hasty    bool // no wait lasts
}

var _ api.Backend = (*fakeBackend)(nil)

func newFakeBackend() *fakeBackend {
	b := &fakeBackend{
		feed: orchestrator.NewTestFeed(100), servers: map[server.Name]*orchestrator.Entry{},
		secrets: map[server.SecretName]server.Secret{},
		ended:   map[int64]chan struct{}{}, waiting: make(chan struct{}, 100), left: make(chan struct{}, 100),
	}
	b.add("alpha")
	b.add("beta")
	return b
}

func entry(id int64, name server.Name) *orchestrator.Entry {
	c := server.DefaultConfig(name)
	c.Port = 27015
	return &orchestrator.Entry{Server: server.Server{
		ID: id, Name: name, Unit: name.Unit(), Desired: server.DesiredRunning, State: server.StateRunning,
		Drift: server.DriftNone, Phase: server.PhaseReady, Config: &c,
		Job: &server.Job{ID: 1, Kind: server.JobStart, State: server.JobRunning, CreatedAt: past},
	}}
}

func (b *fakeBackend) add(name server.Name) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers[name] = entry(int64(len(b.servers)+1), name)
}

func (b *fakeBackend) List() orchestrator.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := orchestrator.Snapshot{EventID: b.feed.Last()}
	for _, e := range b.servers {
		s.Servers = append(s.Servers, e)
	}
	slices.SortFunc(s.Servers, func(x, y *orchestrator.Entry) int { return strings.Compare(string(x.Name), string(y.Name)) })
	return s
}

func notFound(name server.Name) *server.Error {
	return server.Errorf(server.CodeServerNotFound, "there is no server %s", name)
}

func (b *fakeBackend) Get(name server.Name) (*orchestrator.Entry, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.servers[name]; ok {
		return e, b.feed.Last(), nil
	}
	return nil, 0, notFound(name)
}

func (b *fakeBackend) newJob(kind server.JobKind, name server.Name, who server.Requester) *server.Job {
	j := &server.Job{ID: int64(len(b.jobs) + 1), Server: name, Kind: kind, State: server.JobQueued, RequestedBy: who, CreatedAt: past}
	b.jobs = append(b.jobs, j)
	b.ended[j.ID] = make(chan struct{})
	return j
}

// end ends a job.
func (b *fakeBackend) end(id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := *b.jobs[id-1]
	j.State, j.FinishedAt = server.JobSucceeded, past
	b.jobs[id-1] = &j
	close(b.ended[id])
}

func (b *fakeBackend) Create(_ context.Context, name server.Name, patch server.ConfigPatch, who server.Requester) (*server.Job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.patch = patch
	if _, ok := b.servers[name]; ok {
		return nil, server.Errorf(server.CodeNameTaken, "there is a server %s already", name)
	}
	return b.newJob(server.JobInitialize, name, who), nil
}

func (b *fakeBackend) Change(_ context.Context, name server.Name, patch server.ConfigPatch, _ server.Requester) (*orchestrator.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.patch = patch
	if b.fail != nil {
		return nil, b.fail
	}
	e, ok := b.servers[name]
	if !ok {
		return nil, notFound(name)
	}
	c := patch.Apply(*e.Config)
	if err := c.Validate(server.DefaultPorts); err != nil {
		return nil, err
	}
	changed := &orchestrator.Entry{Server: e.Server}
	changed.Config = &c
	return changed, nil
}

func (b *fakeBackend) SetSecret(_ context.Context, name server.Name, which server.SecretName, value server.Secret, _ server.Requester) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.fail != nil:
		return b.fail
	case b.servers[name] == nil:
		return notFound(name)
	}
	b.secrets[which] = value
	return nil
}

func (b *fakeBackend) Players(_ context.Context, name server.Name) (*server.Players, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.fail != nil:
		return nil, b.fail
	case b.servers[name] == nil:
		return nil, notFound(name)
	}
	return &server.Players{Players: []server.Player{{Name: "Nick", Seconds: 1.5}}, QueriedAt: past}, nil
}

func (b *fakeBackend) RCON(_ context.Context, name server.Name, command string, _ server.Requester) (*server.Output, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch err := server.CheckCommand(command); {
	case b.fail != nil:
		return nil, b.fail
	case b.servers[name] == nil:
		return nil, notFound(name)
	case err != nil:
		return nil, err
	}
	b.commands = append(b.commands, command)
	return &server.Output{Output: "done\n"}, nil
}

func (b *fakeBackend) Request(_ context.Context, kind server.JobKind, names []server.Name, who server.Requester) ([]*server.Job, []orchestrator.Refusal, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var jobs []*server.Job
	var refused []orchestrator.Refusal
	for _, n := range names {
		switch {
		case b.refuse[n] != nil:
			refused = append(refused, orchestrator.Refusal{Server: string(n), Err: b.refuse[n]})
		case b.servers[n] == nil:
			refused = append(refused, orchestrator.Refusal{Server: string(n), Err: notFound(n)})
		default:
			jobs = append(jobs, b.newJob(kind, n, who))
		}
	}
	return jobs, refused, nil
}

// theBackup is the only one there is, of each server.
var theBackup = server.Backup{ID: 7, CreatedAt: past, Reason: server.BackupAsked, Size: 4096}

func (b *fakeBackend) Backups(_ context.Context, name server.Name) ([]server.Backup, error) {
	if _, _, err := b.Get(name); err != nil {
		return nil, err
	}
	return []server.Backup{theBackup}, nil
}

func (b *fakeBackend) Restore(ctx context.Context, name server.Name, id int64, who server.Requester) (*server.Job, error) {
	if err := b.DeleteBackup(ctx, name, id, who); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newJob(server.JobRestore, name, who), nil
}

func (b *fakeBackend) DeleteBackup(_ context.Context, name server.Name, id int64, _ server.Requester) error {
	if _, _, err := b.Get(name); err != nil {
		return err
	}
	if id != theBackup.ID {
		return server.Errorf(server.CodeBackupNotFound, "%s has no backup %d", name, id)
	}
	return nil
}

func (b *fakeBackend) Job(_ context.Context, id int64) (*server.Job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id < 1 || id > int64(len(b.jobs)) {
		return nil, server.Errorf(server.CodeJobNotFound, "there is no job %d", id)
	}
	return b.jobs[id-1], nil
}

func (b *fakeBackend) Jobs(_ context.Context, f orchestrator.JobFilter) ([]*server.Job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.filter = f
	return slices.Clone(b.jobs), b.fail
}

// Availability and Series tell of a server that ran all the time, and took two
// values.
func (b *fakeBackend) Availability(_ context.Context, name server.Name, days int) (*server.Availability, error) {
	if _, _, err := b.Get(name); err != nil {
		return nil, err
	}
	r := server.Record{From: past.AddDate(0, 0, -days), To: past, State: server.StateRunning, Desired: server.DesiredRunning,
		Watches: []server.Watch{{From: past.AddDate(-1, 0, 0), Until: past}}}
	a := r.Availability()
	a.Server, a.Days = name, days
	return &a, nil
}

func (b *fakeBackend) Series(_ context.Context, name server.Name, hours int) (*server.Series, error) {
	if _, _, err := b.Get(name); err != nil {
		return nil, err
	}
	memory, percent := 1<<30+0.4, 12.345
	s := server.SeriesOf(name, past.Add(-time.Duration(hours)*time.Hour), past, []server.Sample{
		{At: past.Add(-time.Minute), Step: time.Minute, Samples: 6, Memory: &memory, MemoryMax: &memory},
		{At: past.Add(-2 * time.Minute), Step: time.Minute, Samples: 6, CPU: &percent, CPUMax: &percent},
	})
	return &s, nil
}

func (b *fakeBackend) History(_ context.Context, f server.HistoryFilter) ([]server.HistoryEntry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = f
	return b.history, b.fail
}

func (b *fakeBackend) WaitJob(ctx context.Context, id int64) (*server.Job, error) {
	b.mu.Lock()
	ended := b.ended[id]
	b.mu.Unlock()
	if b.hasty {
		j, _ := b.Job(ctx, id)
		return j, nil
	}
	b.waiting <- struct{}{}
	select {
	case <-ended:
		return b.Job(ctx, id)
	case <-ctx.Done():
		b.left <- struct{}{}
		j, _ := b.Job(ctx, id)
		return j, ctx.Err()
	}
}

func (b *fakeBackend) Cancel(ctx context.Context, id int64, _ server.Requester) (*server.Job, error) {
	return b.Job(ctx, id)
}

func (b *fakeBackend) Watch(after uint64, resume bool) *orchestrator.Watcher {
	return b.feed.Watch(after, resume)
}

func (b *fakeBackend) Orphans(context.Context) ([]server.Orphan, error) {
	config := server.DefaultConfig("lost")
	return []server.Orphan{
		{Unit: "left4me-server@Foo_1.service", Name: "Foo_1", Desired: server.DesiredRunning, State: server.StateRunning, Since: past, Obstacle: "the name \"Foo_1\" must begin with a lower-case letter or a digit"},
		{Unit: "left4me-server@lost.service", Name: "lost", Desired: server.DesiredStopped, State: server.StateStopped, Files: true, Since: past, Adoptable: true, Config: &config},
	}, b.fail
}

func (b *fakeBackend) Adopt(ctx context.Context, unit string, who server.Requester) (*server.Job, error) {
	return b.onOrphan(server.JobAdopt, unit, who)
}

func (b *fakeBackend) DisableOrphan(ctx context.Context, unit string, who server.Requester) (*server.Job, error) {
	return b.onOrphan(server.JobDisableOrphan, unit, who)
}

func (b *fakeBackend) onOrphan(kind server.JobKind, unit string, who server.Requester) (*server.Job, error) {
	instance, _ := server.Instance(unit)
	switch {
	case instance != "lost" && instance != "Foo_1":
		return nil, server.Errorf(server.CodeOrphanNotFound, "there is no orphan %s", unit)
	case instance == "Foo_1" && kind == server.JobAdopt:
		return nil, server.Errorf(server.CodeNotAdoptable, "%s cannot be made a server", unit)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newJob(kind, server.Name(instance), who), nil
}

func (b *fakeBackend) Overlays(context.Context) ([]server.Overlay, error) {
	size, files := uint64(1<<40), 3
	return []server.Overlay{
		{Name: "maps", Size: &size, Files: &files, Servers: []server.Name{"alpha", "beta"}},
		{Name: "odd", Servers: []server.Name{}, Problem: "it is not a directory (a symbolic link)"},
	}, b.fail
}

func (b *fakeBackend) DeleteOverlay(_ context.Context, name string, _ server.Requester) error {
	switch name {
	case "maps":
		return b.fail
	case "busy":
		return server.Errorf(server.CodeOverlayInUse, "the overlay busy is in use by alpha")
	}
	return server.Errorf(server.CodeOverlayNotFound, "there is no overlay %s", server.Quote(name, 70))
}

// RestartWhenEmpty notes in the progress of the jobs that they are to wait.
func (b *fakeBackend) RestartWhenEmpty(ctx context.Context, names []server.Name, who server.Requester) ([]*server.Job, []orchestrator.Refusal, error) {
	jobs, refused, err := b.Request(ctx, server.JobRestart, names, who)
	for _, j := range jobs {
		j.Progress = &server.Progress{Text: server.WaitingForEmpty}
	}
	return jobs, refused, err
}

// asked keeps what was asked of the installation in the job's progress.
func (b *fakeBackend) askedOfHost(kind server.JobKind, asked string, who server.Requester) (*server.Job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.newJob(kind, "", who)
	j.Progress = &server.Progress{Text: asked}
	return j, b.fail
}

func (b *fakeBackend) Install(_ context.Context, opts server.InstallOptions, who server.Requester) (*server.Job, error) {
	return b.askedOfHost(server.JobInstall, fmt.Sprintf("%+v", opts), who)
}

func (b *fakeBackend) CheckUpdates(_ context.Context, who server.Requester) (*server.Job, error) {
	return b.askedOfHost(server.JobCheck, "", who)
}

func (b *fakeBackend) Updates() server.Updates {
	yes := true
	return server.Updates{InstalledBuild: "1", LatestBuild: "2", UpdateAvailable: &yes, CheckedAt: past}
}

func (b *fakeBackend) Resync(context.Context) error { return b.fail }

func (b *fakeBackend) Health(context.Context) orchestrator.Health {
	return orchestrator.Health{Status: "ok", Version: "1.2.3", Host: "box", StartedAt: past, Servers: 2}
}

func (b *fakeBackend) TestAlerts(context.Context, server.Requester) ([]orchestrator.AlertResult, error) {
	return []orchestrator.AlertResult{{Rule: "ops", Target: "webhook", OK: true, Status: 204}}, b.fail
}

// fakeLogs hands out what lines receives.
type fakeLogs struct {
	mu     sync.Mutex
	query  journal.Query
	lines  chan journal.Entry
	err    error // what ends the lines; io.EOF when nil
	opened chan struct{}
	closed chan struct{}
}

func newFakeLogs() *fakeLogs {
	return &fakeLogs{lines: make(chan journal.Entry, 100), opened: make(chan struct{}, 100), closed: make(chan struct{}, 100)}
}

func (l *fakeLogs) Open(_ context.Context, q journal.Query) (api.LogStream, error) {
	l.mu.Lock()
	l.query = q
	l.mu.Unlock()
	l.opened <- struct{}{}
	return &fakeStream{l}, nil
}

type fakeStream struct{ logs *fakeLogs }

func (s *fakeStream) Next(ctx context.Context) (journal.Entry, error) {
	select {
	case e, ok := <-s.logs.lines:
		if ok {
			return e, nil
		}
		if s.logs.err != nil {
			return e, s.logs.err
		}
		return e, io.EOF
	case <-ctx.Done():
		return journal.Entry{}, ctx.Err()
	}
}

func (s *fakeStream) Close() { s.logs.closed <- struct{}{} }

// fixture is a server on a real unix socket.
type fixture struct {
	rules   rules
	t       testing.TB
	backend *fakeBackend
	logs    *fakeLogs
	tally   *tally
	handler http.Handler
	server  *api.Server
	served  chan error
	socket  string
	tick    chan time.Time
	log     *lockedBuffer
	closed  chan string // the addresses of clients whose connections were closed

	mu    sync.Mutex
	peers map[string]authz.Peer // by the address that the client bound
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type settings struct {
	connections, followers quota.Limit
	realPeers              bool
}

func newAccounts(t testing.TB) *authz.Accounts {
	passwd := filepath.Join(t.TempDir(), "passwd")
	err := os.WriteFile(passwd, []byte("root:x:0:0::/:\nkim:x:1000:1000::/:\nlee:x:1001:1001::/:\nleft4med-web:x:980:980::/:\n"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	return authz.NewAccounts(passwd)
}

// rules stands for polkit with the shipped rule: the operator, the web frontend
// and a uid without a name may do everything, and ann may act on beta alone.
// For what may be asked of max, a password would do.
type rules struct{ lent atomic.Uint32 } // to a uid that may do everything meanwhile

// Ask implements authz.Authority.
func (a *rules) Ask(_ context.Context, r authz.Request) (authz.Answer, error) {
	switch r.Peer.UID {
	case operator.UID, web.UID, 4000, a.lent.Load():
		return authz.Answer{Authorized: true}, nil
	case ann.UID:
		return authz.Answer{Authorized: r.Action == authz.Control && r.Server == "beta"}, nil
	case max.UID:
		return authz.Answer{Challenge: true}, nil
	}
	return authz.Answer{}, nil
}

func newGate(accounts *authz.Accounts) *authz.Gate { return authz.NewGate(accounts, &rules{}, nil) }

func newFixture(t testing.TB, s settings) *fixture {
	t.Helper()
	f := &fixture{
		t: t, backend: newFakeBackend(), logs: newFakeLogs(), tally: &tally{}, served: make(chan error, 1),
		closed: make(chan string, 1000), tick: make(chan time.Time), log: &lockedBuffer{}, peers: map[string]authz.Peer{},
	}
	accounts := newAccounts(t)
	f.handler = api.New(api.Options{
		Backend: f.backend, Gate: authz.NewGate(accounts, &f.rules, nil), Accounts: accounts,
		Journal: f.logs, Log: zerolog.New(f.log), Followers: s.followers, Metrics: f.tally,
		Now:       func() time.Time { return past },
		Heartbeat: func() (<-chan time.Time, func()) { return f.tick, func() {} },
	})
	o := api.ServerOptions{Log: zerolog.New(f.log), Connections: s.connections, Peer: f.peerOf}
	if s.realPeers {
		o.Peer = nil
	}
	f.server = api.NewServer(f.handler, o)
	dir, err := os.MkdirTemp("", "left4med-api-") // short: a socket's path ends at 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f.socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if !s.realPeers { // the kernel is asked about a bare connection only
		l = &notifying{l, f.closed}
	}
	go func() { f.served <- f.server.Serve(l) }()
	t.Cleanup(func() { f.server.Shutdown(context.Background()) })
	return f
}

// notifying tells when the server closes a connection.
type notifying struct {
	net.Listener
	closed chan<- string
}

func (n *notifying) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &notifyingConn{c, sync.OnceFunc(func() { n.closed <- c.RemoteAddr().String() })}, nil
}

type notifyingConn struct {
	net.Conn
	tell func()
}

func (c *notifyingConn) Close() error {
	defer c.tell()
	return c.Conn.Close()
}

func (f *fixture) peerOf(c net.Conn) (authz.Peer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.peers[c.RemoteAddr().String()]
	if !ok {
		return p, fmt.Errorf("no test vouches for %s", c.RemoteAddr())
	}
	return p, nil
}

var clients atomic.Int64

// dial connects as a peer: the server recognises the client's own address.
func (f *fixture) dial(p authz.Peer) (net.Conn, error) {
	address := fmt.Sprintf("@left4med-api-test-%d-%d", os.Getpid(), clients.Add(1))
	f.mu.Lock()
	f.peers[address] = p
	f.mu.Unlock()
	d := net.Dialer{LocalAddr: &net.UnixAddr{Name: address, Net: "unix"}}
	return d.Dial("unix", f.socket)
}

// client is an HTTP client that connects as a peer.
func (f *fixture) client(p authz.Peer) *http.Client {
	tr := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return f.dial(p) },
	}
	f.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// answer is what a test sees of a response.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

func (f *fixture) request(ctx context.Context, method, path, body string, header ...string) *http.Request {
	f.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://left4med"+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// do asks and reads the whole answer.
func (f *fixture) do(p authz.Peer, method, path, body string, header ...string) answer {
	f.t.Helper()
	res, err := f.client(p).Do(f.request(f.t.Context(), method, path, body, header...))
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// into decodes an answer's body.
func into[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		t.Fatalf("%v in %q", err, a.Body)
	}
	return v
}
