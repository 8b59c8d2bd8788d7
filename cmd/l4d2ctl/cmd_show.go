package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newShow(a *app) *cobra.Command {
	var backups, players, series bool
	var hours int
	cmd := &cobra.Command{
		Use:     "show NAME",
		GroupID: reading,
		Short:   "show everything about one server",
		Long: `Show prints what is known of a server: its state and since when, where intent and truth disagree, the command that cures it and what left4med does about it by itself, what systemd says of its unit, what its game tells of itself, its settings, and its last job; how much of the time that it was meant to run it ran, in the last day, week and month; and what it took of the host and how many played in the last 24 hours, lowest to highest.

Availability counts the time in which the server was enabled. What nobody saw, as while left4med did not run, is unknown and does not count, unless it is certain that the game ran on.

With --series only the last two are shown, with --json as a document: availability over 1, 7 and 30 days with all that happened, and series over --hours.

With --players it lists who plays instead, bots included: their names, and, if the game answers over RCON, too, their Steam ids and how fast they are connected. With --backups it lists the server's backups instead, the newest first: for "l4d2ctl initialize NAME --restore ID".`,
		Example: `  l4d2ctl show versus-1
  l4d2ctl show versus-1 --players
  l4d2ctl show versus-1 --backups
  l4d2ctl show versus-1 --series --hours 168 --json`,
		ValidArgsFunction: a.completeNames(1),
		Args:              oneName,
		RunE: a.does(readLimit, func(ctx context.Context, c *client.Client, args []string) error {
			switch {
			case hours < 1 || hours > 9600:
				return usage(fmt.Errorf("--hours is %d; it must lie between 1 and 9600", hours))
			case backups && players, players && series, backups && series:
				return usage(errors.New("--backups, --players and --series are each a thing to show: give one"))
			case backups:
				return a.showBackups(ctx, c, args[0])
			case players:
				return a.showPlayers(ctx, c, args[0])
			case series:
				return a.showSeries(ctx, c, args[0], hours)
			}
			return a.show(ctx, c, args)
		}),
	}
	cmd.Flags().BoolVar(&backups, "backups", false, "list the server's backups")
	cmd.Flags().BoolVar(&players, "players", false, "list who plays")
	cmd.Flags().BoolVar(&series, "series", false, "show availability, and what the server took over time")
	cmd.Flags().IntVar(&hours, "hours", 24, "with --series: over so many `hours`, 1 to 9600")
	return cmd
}

func (a *app) show(ctx context.Context, c *client.Client, args []string) error {
	s, err := c.Server(ctx, args[0])
	if err != nil {
		return err
	}
	a.warn(ctx, c)
	if a.json {
		return a.printJSON(s)
	}
	last := s.Job
	if last == nil {
		// One who may not see jobs sees the rest.
		if jobs, err := c.Jobs(ctx, client.JobsFilter{Server: args[0], Limit: 1}); err == nil && len(jobs) > 0 && jobs[0].ServerID == s.ID {
			last = &jobs[0]
		}
	}
	w := bufio.NewWriter(a.stdout)
	v := &sheet{app: a, w: w, paint: a.paint(a.stdout)}
	v.truth(s)
	v.unit(s)
	v.game(s.Game)
	v.settings(s)
	if s.Config != nil { // who may not inspect is not told, and need not be refused
		if p, err := a.past(ctx, c, args[0], 24); err == nil {
			v.past(p, time.Minute) // of a first start, every share would mislead
		}
	}
	v.job(last)
	return w.Flush()
}

// sheet prints labelled lines.
type sheet struct {
	app   *app
	w     *bufio.Writer
	paint painter
}

func (v *sheet) line(label string, st style, format string, args ...any) {
	fmt.Fprintf(v.w, "%-12s ", label)
	v.w.WriteString(v.paint.text(st, fmt.Sprintf(format, args...)) + "\n")
}

func (v *sheet) when(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return fmt.Sprintf("%s (%s)", t.Local().Format(time.DateTime), v.app.ago(t))
}

func (v *sheet) truth(s *client.Server) {
	v.line("name", bold, "%s", s.Name)
	if s.Phase != client.PhaseReady && s.Phase != "" {
		v.line("", yellow, "it is being %s", map[client.Phase]string{client.PhaseCreating: "created", client.PhaseDeleting: "deleted"}[s.Phase])
	}
	since := ""
	if !s.StateSince.IsZero() {
		since = " since " + v.when(s.StateSince)
	}
	v.line("state", stateStyle(s.State), "%s%s", s.State, since)
	if s.Stale {
		v.line("", yellow, "stale: last seen at %s; what it is now is not known", v.when(s.ObservedAt))
	} else if !s.ObservedAt.IsZero() {
		v.line("", dim, "confirmed %s by a %s", v.app.ago(s.ObservedAt), s.ObservedBy)
	}
	intent := "not enabled: stays down at the next boot"
	if s.Desired == client.DesiredRunning {
		intent = "enabled: comes back at every boot"
	}
	v.line("desired", plain, "%s (%s)", s.Desired, intent)
	v.drift(s)
	if s.RestartDue != nil && *s.RestartDue {
		v.line("restart due", yellow, "settings were changed that only a start applies: l4d2ctl start --restart %s", s.Name)
	}
}

func (v *sheet) drift(s *client.Server) {
	means, cure, or := explain(s)
	if means == "" {
		v.line("drift", driftStyle(s.Drift), "%s", s.Drift)
	} else {
		v.line("drift", red, "%s since %s: %s", s.Drift, v.when(s.DriftSince), means)
		v.line("  cure", bold, "%s", cure)
	}
	if or != "" {
		v.line("  or", plain, "%s", or)
	}
	switch h := s.Healing; {
	case h == nil:
	case h.GaveUp:
		v.line("healing", red, "%s; l4d2ctl start %s begins anew", h.Words(""), s.Name)
	default:
		v.line("healing", yellow, "%s", h.Words(client.In(h.NextAt.Sub(v.app.now()))))
	}
}

func (v *sheet) unit(s *client.Server) {
	v.line("unit", plain, "%s", s.Unit)
	var words []string
	add := func(label, value string) {
		if value != "" {
			words = append(words, strings.TrimSpace(label+" "+value))
		}
	}
	add("", s.ActiveState)
	add("", s.SubState)
	add("", s.LoadState)
	add("", s.UnitFileState)
	add("result", s.Result)
	if len(words) > 0 {
		v.line("systemd", plain, "%s", strings.Join(words, ", "))
	}
	if s.MainPID != 0 {
		v.line("process", plain, "%d", s.MainPID)
	}
	if s.Restarts != nil {
		v.line("restarts", plain, "%d by systemd since the last start", *s.Restarts)
	}
	if s.InvocationID != "" {
		v.line("invocation", dim, "%s", s.InvocationID)
	}
	v.resources(s)
}

// resources are what the server takes of the host. What is unknown is left out.
func (v *sheet) resources(s *client.Server) {
	if s.MemoryBytes != nil {
		v.line("memory", plain, "%s", shortSize(*s.MemoryBytes))
	}
	if s.CPUUsageNS != nil {
		share := ""
		if s.CPUPercent != nil {
			share = ", now " + percent(*s.CPUPercent) + " of one processor"
		}
		v.line("cpu time", plain, "%s%s", time.Duration(*s.CPUUsageNS).Round(time.Millisecond), share)
	}
	if s.Tasks != nil {
		v.line("tasks", plain, "%d", *s.Tasks)
	}
}

// game is what the game tells of itself.
func (v *sheet) game(g *client.Game) {
	switch {
	case g == nil:
	case !g.Reachable || g.Players == nil || g.MaxPlayers == nil:
		v.line("game", yellow, "no answer: %s (asked %s)", g.Error, v.app.ago(g.QueriedAt))
	default:
		ping := ""
		if g.PingMS != nil {
			ping = fmt.Sprintf(" in %.1f ms", *g.PingMS)
		}
		v.line("game", plain, "%s players on %s (answered %s%s)", playing(g), g.Map, v.app.ago(g.QueriedAt), ping)
	}
}

func percent(p float64) string { return fmt.Sprintf("%.0f %%", p) }

func (v *sheet) settings(s *client.Server) {
	c := s.Config
	if c == nil {
		v.line("settings", dim, "not shown: you may not inspect servers")
		return
	}
	v.line("port", plain, "%d", c.Port)
	v.line("map", plain, "%s", c.Map)
	v.line("game mode", plain, "%s", c.GameMode)
	v.line("max players", plain, "%d", c.MaxPlayers)
	v.line("hostname", plain, "%s", c.Hostname)
	v.line("heal", plain, "%s", c.Heal)
	if c.MemoryMax != 0 {
		v.line("memory max", plain, "%s", shortSize(c.MemoryMax))
	}
	if c.CPUWeight != 0 {
		v.line("cpu weight", plain, "%d", c.CPUWeight)
	}
	if c.CPUs != "" {
		v.line("cpus", plain, "%s", c.CPUs)
	}
	if len(c.Args) > 0 {
		v.line("arguments", plain, "%s", strings.Join(c.Args, " "))
	}
	if len(c.Overlays) > 0 {
		v.line("overlays", plain, "%s", strings.Join(c.Overlays, ", "))
	}
	label := "cvars"
	for _, name := range slices.Sorted(maps.Keys(c.CVars)) {
		v.line(label, plain, "%s = %s", name, c.CVars[name])
		label = ""
	}
}

func (v *sheet) job(job *client.Job) {
	if job == nil {
		return
	}
	at := job.FinishedAt
	if at.IsZero() {
		at = job.CreatedAt
	}
	how := string(job.Kind) + " " + string(job.State)
	if !job.State.Finished() {
		how += steps(*job)
	}
	v.line("last job", jobStyle(job.State), "%d %s, %s, asked for by %s", job.ID, how, v.app.ago(at), asker(job.RequestedBy))
	if job.SupersededBy != nil {
		v.line("", plain, "job %d took its place", *job.SupersededBy)
	}
	if job.Error == nil {
		return
	}
	v.line("  error", red, "%s: %s", job.Error.Code, job.Error.Detail)
	label := "  its log"
	for _, line := range job.Error.Logs {
		v.line(label, plain, "%s", line)
		label = ""
	}
}
