package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/left4med/left4med/internal/server"
)

// Meter counts what happens. Its methods never wait. Make it with NewMeter; hand
// it to those who have something to tell, and to New.
type Meter struct {
	shown          prometheus.Histogram
	resync         prometheus.Histogram
	resyncFailures prometheus.Counter
	heals          prometheus.Counter
	streams        prometheus.Gauge

	jobs     *prometheus.CounterVec
	jobTimes *prometheus.HistogramVec
	requests *prometheus.CounterVec
}

// Upper bounds of the histograms, in seconds.
var (
	// From what a signal needs on an idle host to what a person notices.
	shownBounds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}
	// A resync of a few servers takes milliseconds; one that takes 30 s is late.
	resyncBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	// A stop takes a blink, a download an hour.
	jobBounds = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 1800, 3600}
)

// NewMeter makes a Meter that has counted nothing. What may be waited for before it
// first happens, such as a job that fails, is there from the beginning with 0.
func NewMeter() *Meter {
	m := &Meter{
		shown: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "left4med_signal_to_state_seconds", Buckets: shownBounds,
			Help: "From a change of a server's unit, by systemd's own timestamp, to the moment its state was published, for changes that a signal told of.",
		}),
		resync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "left4med_resync_duration_seconds", Buckets: resyncBounds,
			Help: "How long the comparisons of all servers with systemd took, failed ones included.",
		}),
		resyncFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "left4med_resync_failures_total",
			Help: "Comparisons of all servers with systemd that failed.",
		}),
		heals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "left4med_healing_attempts_total",
			Help: "Starts that left4med asked for by itself, of servers that were down.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "left4med_event_streams",
			Help: "Open streams of events.",
		}),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "left4med_jobs_total",
			Help: "Jobs that ended, by kind and by how they ended; not-empty is a wait until nobody plays that gave up.",
		}, []string{"kind", "result"}),
		jobTimes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "left4med_job_duration_seconds", Buckets: jobBounds,
			Help: "From the request for a job, or the end of its wait until nobody plays, to its end, however it ended.",
		}, []string{"kind"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "left4med_http_requests_total",
			Help: "HTTP requests that were answered, by route and status; what no route answers has an empty one.",
		}, []string{"method", "route", "code"}),
	}
	for _, kind := range server.JobKinds() {
		for _, result := range server.JobResults() {
			m.jobs.WithLabelValues(string(kind), string(result))
		}
	}
	for _, kind := range []server.JobKind{server.JobRestart, server.JobInstall} { // which can wait
		m.jobs.WithLabelValues(string(kind), server.ResultNotEmpty)
	}
	return m
}

// Shown implements orchestrator.Meter.
func (m *Meter) Shown(after time.Duration) { m.shown.Observe(seconds(after)) }

// Resynced implements orchestrator.Meter.
func (m *Meter) Resynced(took time.Duration, err error) {
	m.resync.Observe(seconds(took))
	if err != nil {
		m.resyncFailures.Inc()
	}
}

// JobEnded implements orchestrator.Meter.
func (m *Meter) JobEnded(kind server.JobKind, result string) {
	m.jobs.WithLabelValues(string(kind), result).Inc()
}

// JobTook implements orchestrator.Meter.
func (m *Meter) JobTook(kind server.JobKind, took time.Duration) {
	m.jobTimes.WithLabelValues(string(kind)).Observe(seconds(took))
}

// Healed implements orchestrator.Meter.
func (m *Meter) Healed() { m.heals.Inc() }

// Answered counts a request to a route, which is its pattern and not the path
// that was asked for, so that nobody can make up new ones.
func (m *Meter) Answered(method, route string, status int) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
}

// Streaming counts the open streams of events: 1 for one that opens, -1 for one
// that ends.
func (m *Meter) Streaming(change int) { m.streams.Add(float64(change)) }

// seconds is a length of time; what seems negative, since the clock was set, is 0.
func seconds(d time.Duration) float64 { return max(d, 0).Seconds() }
