package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
)

// number is one number of a T. read says what it is, and whether there is one:
// what is unknown is left out, and never 0.
type number[T any] struct {
	name, help string
	kind       prometheus.ValueType
	read       func(T, time.Time) (value float64, known bool)
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

type (
	figures  = *orchestrator.Figures
	oneOf    = *orchestrator.ServerFigures
	gameFact func(*server.Game) (float64, bool)
)

// ofDaemon are the daemon's own numbers, for everybody.
func ofDaemon() []number[figures] {
	return []number[figures]{
		{"left4med_servers", "How many servers there are.", gauge, func(f figures, _ time.Time) (float64, bool) {
			return float64(len(f.Servers)), true
		}},
		{"left4med_orphans", "Units and files of servers' kind that belong to no server.", gauge, func(f figures, _ time.Time) (float64, bool) {
			return float64(f.Orphans), true
		}},
		{"left4med_systemd_connected", "Whether there is a connection to systemd.", gauge, func(f figures, _ time.Time) (float64, bool) {
			return yes(f.SystemdConnected), true
		}},
		{"left4med_systemd_reconnects_total", "Connections to systemd after the first.", counter, func(f figures, _ time.Time) (float64, bool) {
			return float64(f.Reconnects), true
		}},
		{"left4med_resync_interval_seconds", "How often all servers are compared with systemd; left out when that is switched off.", gauge, func(f figures, _ time.Time) (float64, bool) {
			return f.ResyncEvery.Seconds(), f.ResyncEvery > 0
		}},
		{"left4med_resync_last_success_timestamp_seconds", "When all servers were last compared with systemd.", gauge, func(f figures, _ time.Time) (float64, bool) {
			return unix(f.LastResync)
		}},
		{"left4med_database_size_bytes", "What the database took on the disk at the last resync, its log included.", gauge, func(f figures, _ time.Time) (float64, bool) {
			return float64(f.DatabaseBytes), f.DatabaseBytes > 0
		}},
	}
}

// ofJobs are the numbers of jobs, for those who may inspect.
func ofJobs() []number[figures] {
	return []number[figures]{
		{"left4med_jobs_queued", "Jobs that have not begun.", gauge, func(f figures, _ time.Time) (float64, bool) {
			return float64(f.Queued), true
		}},
		{"left4med_jobs_running", "Jobs that are under way.", gauge, func(f figures, _ time.Time) (float64, bool) {
			return float64(f.Running), true
		}},
	}
}

// ofServer are the numbers of each server, for everybody.
func ofServer() []number[oneOf] {
	return []number[oneOf]{
		{"left4med_server_desired_running", "Whether the server is enabled for the next boot.", gauge, func(s oneOf, _ time.Time) (float64, bool) {
			return yes(s.Desired == server.DesiredRunning), true
		}},
		{"left4med_server_stale", "Whether the last observation of the server is too old to rely on.", gauge, func(s oneOf, _ time.Time) (float64, bool) {
			return yes(s.Stale), true
		}},
		{"left4med_server_observation_age_seconds", "How long ago the server was last observed.", gauge, func(s oneOf, now time.Time) (float64, bool) {
			return seconds(now.Sub(s.ObservedAt)), !s.ObservedAt.IsZero()
		}},
		{"left4med_server_restarts_total", "Automatic restarts by systemd that left4med saw. Other than systemd's own count, a start does not set it back.", counter, func(s oneOf, _ time.Time) (float64, bool) {
			return float64(s.RestartsSeen), true
		}},
		{"left4med_server_healing_gave_up", "Whether left4med gave up starting the server again.", gauge, func(s oneOf, _ time.Time) (float64, bool) {
			return yes(s.Healing != nil && s.Healing.GaveUp), true
		}},
		{"left4med_server_start_time_seconds", "Since when the server is up, in seconds since 1970; left out while it is not.", gauge, func(s oneOf, _ time.Time) (float64, bool) {
			return unix(s.StartedAt)
		}},
		{"left4med_server_memory_bytes", "Memory of the server, as last sampled.", gauge, func(s oneOf, _ time.Time) (float64, bool) {
			return given(s.MemoryBytes)
		}},
		{"left4med_server_cpu_seconds_total", "Processor time of the server since its start, as last sampled.", counter, func(s oneOf, _ time.Time) (float64, bool) {
			ns, known := given(s.CPUUsageNS)
			return ns / 1e9, known
		}},
		{"left4med_server_tasks", "Processes and threads of the server, as last sampled.", gauge, func(s oneOf, _ time.Time) (float64, bool) {
			return given(s.Tasks)
		}},
	}
}

// ofGame are what games tell, for those who may inspect.
func ofGame() []number[oneOf] {
	return []number[oneOf]{
		game("left4med_server_reachable", "Whether the game answered the last query; left out until it was queried in this run.", func(g *server.Game) (float64, bool) {
			return yes(g.Reachable), true
		}),
		game("left4med_server_players", "Who plays, bots included, as the game counts; left out while it does not answer.", func(g *server.Game) (float64, bool) {
			return given(g.Players)
		}),
		game("left4med_server_bots", "Bots among the players; left out while the game does not answer.", func(g *server.Game) (float64, bool) {
			return given(g.Bots)
		}),
		game("left4med_server_max_players", "How many may play; left out while the game does not answer.", func(g *server.Game) (float64, bool) {
			return given(g.MaxPlayers)
		}),
		game("left4med_server_ping_seconds", "From the last query to the game's answer, on the host itself; left out while it does not answer.", func(g *server.Game) (float64, bool) {
			ms, known := given(g.PingMS)
			return ms / 1e3, known
		}),
	}
}

// game is a number that the game itself told.
func game(name, help string, fact gameFact) number[oneOf] {
	return number[oneOf]{name, help, gauge, func(s oneOf, _ time.Time) (float64, bool) {
		if s.Game == nil {
			return 0, false
		}
		return fact(s.Game)
	}}
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func given[N int | uint64 | float64](n *N) (float64, bool) {
	if n == nil {
		return 0, false
	}
	return float64(*n), true
}

// unix is a time in seconds since 1970, to the millisecond.
func unix(t time.Time) (float64, bool) { return float64(t.UnixMilli()) / 1e3, !t.IsZero() }

// collector asks for the figures once for each scrape.
type collector struct {
	source  Source
	build   prometheus.Metric // nil in the part that needs inspect
	daemon  []described[figures]
	servers []described[oneOf]
	state   *prometheus.Desc
	drift   *prometheus.Desc
}

type described[T any] struct {
	number[T]
	desc *prometheus.Desc
}

func describe[T any](numbers []number[T], labels ...string) []described[T] {
	all := make([]described[T], len(numbers))
	for i, n := range numbers {
		all[i] = described[T]{n, prometheus.NewDesc(n.name, n.help, labels, nil)}
	}
	return all
}

// newCollector collects what everybody may see, or what is left of it for those
// who may inspect.
func newCollector(o Options, inspect bool) *collector {
	c := &collector{source: o.Source}
	if inspect {
		c.daemon, c.servers = describe(ofJobs()), describe(ofGame(), "server")
		return c
	}
	c.daemon, c.servers = describe(ofDaemon()), describe(ofServer(), "server")
	c.build = prometheus.MustNewConstMetric(
		prometheus.NewDesc("left4med_build_info", "1; the label says which version of left4med this is.", []string{"version"}, nil), gauge, 1, o.Version)
	c.state = prometheus.NewDesc("left4med_server_state", "1 for the state that the server is in, 0 for all others.", []string{"server", "state"}, nil)
	c.drift = prometheus.NewDesc("left4med_server_drift", "1 for the kind of drift that the server shows, 0 for all others; where intent and truth agree, all are 0.", []string{"server", "drift"}, nil)
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, n := range c.daemon {
		to <- n.desc
	}
	for _, n := range c.servers {
		to <- n.desc
	}
	if c.build != nil {
		to <- c.build.Desc()
		to <- c.state
		to <- c.drift
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	f, now := c.source.Figures(), time.Now()
	tell(to, c.daemon, &f, now)
	for i := range f.Servers {
		s := &f.Servers[i]
		name := string(s.Name)
		tell(to, c.servers, s, now, name)
		if c.build == nil {
			continue
		}
		for _, state := range server.States() {
			to <- prometheus.MustNewConstMetric(c.state, gauge, yes(s.State == state), name, string(state))
		}
		for _, drift := range server.Drifts() {
			to <- prometheus.MustNewConstMetric(c.drift, gauge, yes(s.Drift == drift), name, string(drift))
		}
	}
	if c.build != nil {
		to <- c.build
	}
}

func tell[T any](to chan<- prometheus.Metric, numbers []described[T], of T, now time.Time, labels ...string) {
	for _, n := range numbers {
		if value, known := n.read(of, now); known {
			to <- prometheus.MustNewConstMetric(n.desc, n.kind, value, labels...)
		}
	}
}
