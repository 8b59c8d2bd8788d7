package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/left4med/left4med/internal/gamefiles"
	"github.com/left4med/left4med/internal/instance"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
	"github.com/left4med/left4med/internal/unitctl"
)

// Settings are the switches of the daemon.
type Settings struct {
	ResyncEnabled  bool          // default true
	ResyncInterval time.Duration // default 30 s
	JobsEnabled    bool          // default true
	Settle         time.Duration // how long a started unit must stay active, default 2 s
	FlapRestarts   int           // more restarts by systemd than these within FlapWindow are flapping, default 5
	FlapWindow     time.Duration // default 30 min
	Heal           server.HealPolicy
	WhenEmpty      server.EmptyPolicy
	HistoryEntries int // as many are kept, default 100,000
	HistoryDays    int // and none older than so many days, default 90
	Ports          server.PortRange
	ResourcesEvery time.Duration // how often the servers' use of the host is sampled, default 10 s; 0: never
	QueryEnabled   bool          // ask running games for map and players, default true
	QueryInterval  time.Duration // between two queries of a server, default and least 5 s
	SeriesEnabled  bool          // whether samples are kept, default true
	SeriesDays     int           // and none older than so many days, default 400
	UpdateCheck    time.Duration // between looks for a newer build, default 24 h; 0: none
	SteamCMD       string        // its path; empty: where it is usually found
	InstallSpace   int64         // bytes that a first install must find free, default 10 GiB
	KeepBackups    int           // of those taken by themselves, for each server, default 10
	FrozenAtMost   time.Duration // how long a game may stand still for its backup, default 20 s
	Alerts         []server.AlertRule
}

// DefaultSettings are the settings of a daemon without a configuration file.
func DefaultSettings() Settings {
	return Settings{
		ResyncEnabled: true, ResyncInterval: 30 * time.Second,
		JobsEnabled: true, Settle: 2 * time.Second,
		FlapRestarts: 5, FlapWindow: 30 * time.Minute, Heal: server.DefaultHealPolicy, WhenEmpty: server.DefaultEmptyPolicy(),
		HistoryEntries: 100_000, HistoryDays: 90, Ports: server.DefaultPorts,
		ResourcesEvery: 10 * time.Second, SeriesEnabled: true, SeriesDays: server.SeriesDays,
		QueryEnabled: true, QueryInterval: queryLeast,
		UpdateCheck: 24 * time.Hour, InstallSpace: 10 << 30,
		KeepBackups: 10, FrozenAtMost: 20 * time.Second,
	}
}

// Logs gives the last lines of a unit, for the error of what failed, and what one
// run of a unit says, as it says it.
type Logs interface {
	Tail(ctx context.Context, unit string, lines int, since time.Time) ([]string, error)
	// Follow calls line for the last few messages there are and all that come,
	// until ctx ends or reading fails.
	Follow(ctx context.Context, unit, invocation string, few int, since time.Time, line func(at time.Time, message string)) error
}

// Options are the parts an Orchestrator is made of.
type Options struct {
	Settings Settings
	Units    *unitctl.Manager
	Store    *store.Store
	Files    *instance.Tree
	Logs     Logs
	Probe    Probe // nil: nothing is asked of games, and no alert is sent
	Log      zerolog.Logger
	Meter    Meter // nil: nothing is counted
	Version  string
	Host     string
	BootID   string // tells one boot of the host from another
	// Capacity says what the host has, for limits; not checked when nil.
	Capacity func() server.Capacity
	// RequestFile tells left4me-install what to do; empty: none is written.
	RequestFile string
	// Checks are what Health says of the parts around, in this order.
	Checks []func(context.Context) server.Check
}

// Orchestrator owns the truth. Make it with New, load it with Load, run it with
// Run.
type Orchestrator struct {
	Options
	started time.Time
	feed    *feed
	linker  *linker
	resync  *resyncer
	starts  *turns
	lists   *gamefiles.Finder
	crowd   crowd

	refusals  *refusals
	chronicle *chronicle
	queries   *queries
	console   *console
	watch     *watching
	series    *series
	alerts    *alerts

	mu      sync.RWMutex
	records map[server.Name]*record
	order   []*record // sorted by name
	runs    map[int64]*run
	link    linkState
	relink  chan struct{} // closed when the link to systemd comes or goes
	host    hostFacts
	orphans orphans
	game    installation
	closing bool

	recovering bool // what the daemon before left unfinished is not taken up yet

	linksMu  sync.Mutex // held from reading the links to applying them; taken before mu
	creating sync.Mutex // one creation at a time, so that ports are given out once

	overlays sync.RWMutex  // held for reading from the check of a server's overlays until it has them; taken before creating
	measures chan struct{} // holds a value while overlays are being measured

	jobs      sync.WaitGroup
	frozen    sync.WaitGroup // games that are to be thawed; none is added while closing
	jobsCtx   context.Context
	stopJobs  context.CancelCauseFunc
	pendingNU pendingReads
	faults    faults
	mendAgain chan struct{} // holds a value when all servers are to be mended
}

// linkState is the state of the connection to systemd.
type linkState struct {
	connected  bool
	since      time.Time
	reconnects uint64
	reloading  bool
	version    string
	err        string
}

// hostFacts are what the last look at the host's unit files said.
type hostFacts struct {
	template  string // path of the template in force, "" when there is none
	shadowed  []string
	links     unitctl.Links
	strangers []string // instances that are enabled and are no server
}

// errShutdown is the cause with which jobs are interrupted when the daemon
// ends. They stay unfinished in the store and go on at the next start.
var errShutdown = errors.New("left4med is shutting down")

// New makes an Orchestrator that knows nothing yet.
func New(opts Options) *Orchestrator {
	o := &Orchestrator{
		Options: opts,
		started: time.Now(),
		records: map[server.Name]*record{},
		runs:    map[int64]*run{},
		relink:  make(chan struct{}),
		orphans: newOrphans(),
		game:    newInstallation(),

		mendAgain: make(chan struct{}, 1),
		measures:  make(chan struct{}, 1),
	}
	if o.Meter == nil {
		o.Meter = noMeter{}
	}
	o.jobsCtx, o.stopJobs = context.WithCancelCause(context.Background())
	o.crowd = o
	o.linker = newLinker(o)
	o.resync = newResyncer(o)
	o.refusals = newRefusals(o)
	o.chronicle = newChronicle(o)
	o.queries = newQueries(o)
	o.console = newConsole(o)
	o.watch = newWatching(o)
	o.series = newSeries(o)
	o.alerts = newAlerts(o)
	if opts.Files != nil {
		o.lists = gamefiles.New(opts.Files.Root())
	}
	o.starts = newTurns(startsAtOnce(), startPatience)
	return o
}

// eventBlock is how many event ids are reserved at once. The next block is
// taken at half of it: at 1,000 events a second, more than two hours before
// they run out, so that a database which cannot be written for a while never
// makes an id come twice.
const eventBlock = 1 << 24

// Load reads what the store knows, before Run. It changes nothing on the host.
func (o *Orchestrator) Load(ctx context.Context) error {
	first, err := o.Store.ReserveEventIDs(ctx, eventBlock)
	if err != nil {
		return fmt.Errorf("cannot reserve event ids: %w", err)
	}
	o.feed = newFeed(first, first+eventBlock)
	if err := o.Store.EndWatch(ctx); err != nil {
		return fmt.Errorf("cannot end the watch of the daemon before: %w", err)
	}
	rows, err := o.Store.Servers(ctx)
	if err != nil {
		return fmt.Errorf("cannot read the servers: %w", err)
	}
	known, err := o.Store.Orphans(ctx)
	if err != nil {
		return fmt.Errorf("cannot read the orphans: %w", err)
	}
	o.mu.Lock()
	for _, row := range rows {
		o.insert(newRecord(row))
	}
	o.loadOrphans(known)
	o.mu.Unlock()
	if err := o.alerts.load(ctx, rows); err != nil {
		return err
	}
	return o.loadInstallation(ctx)
}

// Run follows systemd, resyncs, finishes what an earlier run of the daemon
// began and then calls ready once. It returns when ctx ends, after all it
// started has ended; jobs in flight are left for the next start.
func (o *Orchestrator) Run(ctx context.Context, ready func()) error {
	o.mu.Lock()
	o.recovering = true
	o.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	units, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	g.Go(func() error { return o.Units.Run(units, o.handle) })
	g.Go(func() error { return o.linker.loop(ctx) })
	g.Go(func() error {
		o.firstResync(ctx)
		o.recover(ctx)
		o.recovered()
		if ctx.Err() == nil {
			ready()
			g.Go(func() error {
				o.upkeep(ctx)
				return nil
			})
			g.Go(func() error {
				o.watchSelf(ctx)
				return nil
			})
			if o.Settings.JobsEnabled {
				g.Go(func() error {
					o.mending(ctx)
					return nil
				})
				g.Go(func() error {
					o.checking(ctx)
					return nil
				})
			}
		}
		return o.resync.loop(ctx)
	})
	g.Go(func() error {
		o.watchAge(ctx)
		return nil
	})
	g.Go(func() error {
		o.sampling(ctx)
		return nil
	})
	g.Go(func() error {
		o.queries.loop(ctx)
		return nil
	})
	g.Go(func() error {
		o.refusals.loop(ctx)
		return nil
	})
	g.Go(func() error {
		o.chronicle.loop(ctx)
		return nil
	})
	g.Go(func() error {
		o.watch.loop(ctx)
		return nil
	})
	g.Go(func() error {
		o.series.loop(ctx)
		return nil
	})
	var delivery sync.WaitGroup
	delivery.Go(func() { o.alerts.deliver(ctx) })
	<-ctx.Done()
	o.mu.Lock()
	o.closing = true
	o.mu.Unlock()
	o.stopJobs(errShutdown)
	o.frozen.Wait() // that no game stays so takes the connection
	delivery.Wait() // and the end of a unit comes over it
	hangUp()
	err := g.Wait()
	o.jobs.Wait()
	if err := o.chronicle.flush(ctx); err != nil {
		o.Log.Error().Err(err).Msg("the end of the history is not written; the next start sees what changed")
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// firstResyncWait is how long the daemon waits for systemd before it reports
// ready all the same, degraded: an API that says "systemd is unavailable" helps
// an operator more than no API.
const firstResyncWait = 20 * time.Second

func (o *Orchestrator) firstResync(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstResyncWait)
	defer cancel()
	if err := o.resync.whenConnected(ctx); err != nil {
		o.Log.Error().Err(err).Msg("cannot check the servers against systemd before reporting ready; going on degraded")
	}
}

// insert puts a record in its place and publishes it. The caller holds o.mu.
func (o *Orchestrator) insert(r *record) {
	o.records[r.row.Name] = r
	i, _ := slices.BinarySearchFunc(o.order, r.row.Name, func(r *record, n server.Name) int {
		return strings.Compare(string(r.row.Name), string(n))
	})
	o.order = slices.Insert(o.order, i, r)
	o.publish(r, server.ByJob)
}

// remove takes a record out and tells the readers. The caller holds o.mu.
func (o *Orchestrator) remove(r *record) {
	if o.records[r.row.Name] != r {
		return
	}
	delete(o.records, r.row.Name)
	o.orphans.lately[r.row.Name] = struct{}{}
	o.order = slices.DeleteFunc(o.order, func(x *record) bool { return x == r })
	o.emit(&Event{Type: EventDeleted, value: Deleted{ID: r.row.ID, Name: r.row.Name}})
}

// List returns all servers from memory.
func (o *Orchestrator) List() Snapshot {
	o.mu.RLock()
	defer o.mu.RUnlock()
	s := Snapshot{EventID: o.feed.last(), Servers: make([]*Entry, len(o.order))}
	for i, r := range o.order {
		s.Servers[i] = r.entry
	}
	return s
}

// Get returns one server from memory, and the id of the event after which to
// watch it without a gap.
func (o *Orchestrator) Get(name server.Name) (*Entry, uint64, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	r, ok := o.records[name]
	if !ok {
		return nil, 0, errNoServer(name)
	}
	return r.entry, o.feed.last(), nil
}

// Watch follows all changes: those after the event with id after when resume
// is set, else those from now on.
func (o *Orchestrator) Watch(after uint64, resume bool) *Watcher {
	if !resume {
		after = o.feed.last()
	}
	return o.feed.watch(after)
}

func errNoServer(name server.Name) *server.Error {
	return server.Errorf(server.CodeServerNotFound, "there is no server %s; `l4d2ctl list` shows which there are", server.Quote(string(name), 40))
}

func (o *Orchestrator) emit(e *Event) {
	o.feed.add(e)
	if o.feed.reserved() < eventBlock/2 {
		o.reserveMore()
	}
}

// reserveMore runs once every 2^23 events.
func (o *Orchestrator) reserveMore() {
	if o.closing {
		return
	}
	o.feed.extend(o.feed.last() + eventBlock) // no second one while this one is under way
	o.jobs.Go(func() {
		first, err := o.Store.ReserveEventIDs(o.jobsCtx, eventBlock)
		if err != nil {
			o.Log.Error().Err(err).Msg("cannot reserve more event ids")
			return
		}
		o.feed.extend(first + eventBlock)
	})
}
