// Package api serves left4med's HTTP API on a unix socket.
//
// The table in routes.go says what there is and what each route asks. Every
// request passes the door (who is it), the guard (may it) and then its route's
// handler. Errors become problem+json in problem.go alone. Server adds the
// socket: limits, timeouts and the end of streams at shutdown.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/authz"
	"github.com/left4med/left4med/internal/journal"
	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/quota"
	"github.com/left4med/left4med/internal/server"
)

// Backend is what the API serves: the orchestrator. Errors that a client is to
// be told are *server.Error; all others are logged and answered with "internal".
type Backend interface {
	List() orchestrator.Snapshot
	// Get returns a server and the id of the newest event.
	Get(name server.Name) (*orchestrator.Entry, uint64, error)
	Create(ctx context.Context, name server.Name, patch server.ConfigPatch, who server.Requester) (*server.Job, error)
	Change(ctx context.Context, name server.Name, patch server.ConfigPatch, who server.Requester) (*orchestrator.Entry, error)
	// SetSecret gives a server a secret; one that is not set takes it away.
	SetSecret(ctx context.Context, name server.Name, which server.SecretName, value server.Secret, who server.Requester) error
	// Request asks for start, stop, restart or delete. The jobs are in the order
	// of the names, refused ones left out.
	Request(ctx context.Context, kind server.JobKind, names []server.Name, who server.Requester) ([]*server.Job, []orchestrator.Refusal, error)
	// RestartWhenEmpty asks for restarts that wait until nobody plays.
	RestartWhenEmpty(ctx context.Context, names []server.Name, who server.Requester) ([]*server.Job, []orchestrator.Refusal, error)
	// Backups lists a server's backups, the newest first.
	Backups(ctx context.Context, name server.Name) ([]server.Backup, error)
	Restore(ctx context.Context, name server.Name, id int64, who server.Requester) (*server.Job, error)
	DeleteBackup(ctx context.Context, name server.Name, id int64, who server.Requester) error
	Job(ctx context.Context, id int64) (*server.Job, error)
	Jobs(ctx context.Context, f orchestrator.JobFilter) ([]*server.Job, error)
	// WaitJob returns the job when it has ended; when ctx ends first, the job as
	// it is together with ctx's error.
	WaitJob(ctx context.Context, id int64) (*server.Job, error)
	Cancel(ctx context.Context, id int64, who server.Requester) (*server.Job, error)
	History(ctx context.Context, f server.HistoryFilter) ([]server.HistoryEntry, error)
	// Availability is over so many days, 1 to 90, and Series over so many hours, 1 to
	// 9600, both up to now.
	Availability(ctx context.Context, name server.Name, days int) (*server.Availability, error)
	Series(ctx context.Context, name server.Name, hours int) (*server.Series, error)
	Orphans(ctx context.Context) ([]server.Orphan, error)
	// Adopt and DisableOrphan take the name of an orphan's unit.
	Adopt(ctx context.Context, unit string, who server.Requester) (*server.Job, error)
	DisableOrphan(ctx context.Context, unit string, who server.Requester) (*server.Job, error)
	Overlays(ctx context.Context) ([]server.Overlay, error)
	DeleteOverlay(ctx context.Context, name string, who server.Requester) error
	// Install asks for an install or update of the game, CheckUpdates whether there
	// is a newer build.
	Install(ctx context.Context, opts server.InstallOptions, who server.Requester) (*server.Job, error)
	CheckUpdates(ctx context.Context, who server.Requester) (*server.Job, error)
	Updates() server.Updates
	Players(ctx context.Context, name server.Name) (*server.Players, error)
	// RCON runs a command on a game's console.
	RCON(ctx context.Context, name server.Name, command string, who server.Requester) (*server.Output, error)
	// Watch reads the events after an id, or from now on when resume is false.
	Watch(after uint64, resume bool) *orchestrator.Watcher
	Resync(ctx context.Context) error
	Health(ctx context.Context) orchestrator.Health
	// TestAlerts sends a test to every target of the rules for alerts.
	TestAlerts(ctx context.Context, who server.Requester) ([]orchestrator.AlertResult, error)
}

// Logs reads the units' logs.
type Logs interface {
	Open(ctx context.Context, q journal.Query) (LogStream, error)
}

// LogStream is the entries of one log, oldest first. Next returns io.EOF after
// the last one; Close ends the stream and may be called from another goroutine.
type LogStream interface {
	Next(ctx context.Context) (journal.Entry, error)
	Close()
}

// Journal is the system's journal as Logs.
type Journal struct{ Reader *journal.Reader }

var _ Logs = Journal{}

// Open implements Logs.
func (j Journal) Open(ctx context.Context, q journal.Query) (LogStream, error) {
	s, err := j.Reader.Open(ctx, q)
	if err != nil {
		return nil, err // not a nil *journal.Stream in an interface
	}
	return s, nil
}

// Gate decides what a peer may do.
type Gate interface {
	// Check returns nil, or a *server.Error of code CodeNotAuthorized.
	Check(ctx context.Context, r authz.Request) error
	// May never asks the peer, and tells nobody of a no; decided is false when
	// nobody could say.
	May(ctx context.Context, r authz.Request) (may, decided bool)
}

// Options is what the API needs. Backend, Gate, Accounts and Journal must be
// set.
type Options struct {
	Backend  Backend
	Gate     Gate
	Accounts *authz.Accounts // names the uids of requesters
	Journal  Logs
	Log      zerolog.Logger
	Metrics  Metrics // nothing is counted, and /metrics is empty, when nil

	// Now is the clock that "since" counts back from; time.Now when nil.
	Now func() time.Time
	// Heartbeat returns a channel that receives every 15 s, and how to stop it;
	// a time.Ticker when nil.
	Heartbeat func() (tick <-chan time.Time, stop func())
	// Followers bounds how many logs are followed at once; 64, and 16 for each
	// uid, when zero.
	Followers quota.Limit
}

// handler serves all routes.
type handler struct {
	backend   Backend
	gate      Gate
	accounts  *authz.Accounts
	journal   Logs
	log       zerolog.Logger
	metrics   Metrics
	now       func() time.Time
	heartbeat func() (<-chan time.Time, func())
	followers *quota.Quota
	timeouts  timeouts

	mux    *http.ServeMux
	huma   huma.API
	spec   []byte
	chunks sync.Pool // of *[]byte, for answers put together from parts
}

// New makes the handler of all routes. It answers requests whose context
// carries the peer, as Server arranges, and refuses all others.
func New(o Options) http.Handler { return newHandler(o) }

func newHandler(o Options) *handler {
	h := &handler{
		backend: o.Backend, gate: o.Gate, accounts: o.Accounts, journal: o.Journal, log: o.Log,
		metrics: o.Metrics, now: o.Now, heartbeat: o.Heartbeat,
		followers: quota.New(o.Followers.Or(quota.Limit{Total: 64, PerUID: 16})),
		timeouts:  timeouts{body: bodyTimeout, write: writeTimeout},
		mux:       http.NewServeMux(),
	}
	if h.metrics == nil {
		h.metrics = uncounted{}
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.heartbeat == nil {
		h.heartbeat = everyHeartbeat
	}
	h.chunks.New = func() any { return new([]byte) }
	h.huma = huma.NewAPI(humaConfig(), &adapter{handler: h, routes: map[string]route{}})
	for _, rt := range h.routes() {
		h.register(rt)
	}
	h.mux.HandleFunc(catchAll, h.nothingHere)
	h.spec = h.encodeSpec()
	return h
}

// OpenAPI returns the OpenAPI 3.1 document of the API, indented, the same on
// every call.
func OpenAPI() ([]byte, error) {
	h := newHandler(Options{Log: zerolog.Nop()})
	if len(h.spec) == 0 {
		return nil, fmt.Errorf("cannot describe the API")
	}
	return h.spec, nil
}

func (h *handler) encodeSpec() []byte {
	finishSpec(h.huma.OpenAPI())
	b, err := json.MarshalIndent(h.huma.OpenAPI(), "", "  ")
	if err != nil { // the document is made of the routes' types alone
		panic(fmt.Sprintf("api: cannot encode the OpenAPI document: %v", err))
	}
	return append(b, '\n')
}

// shown makes a piece of what a client sent safe to show, cut to max runes.
func shown(s string, max int) string {
	quoted := server.Quote(s, max)
	return quoted[1 : len(quoted)-1]
}
