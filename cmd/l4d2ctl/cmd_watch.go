package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "watch [NAME…]",
		GroupID: reading,
		Short:   "follow what happens to servers, live",
		Long: `Watch prints a line for every change of a server and of its jobs, as it happens, until Ctrl-C or until --timeout is over. It begins with a line for each server that is not as it should be. Without names it watches all servers. It goes on by itself when left4med is restarted.

With --json each line is one event of left4med's HTTP API, an object with the members id, type (server, job, deleted or reset) and data. After a reset some events were missed: read everything again.`,
		Example: `  l4d2ctl watch
  l4d2ctl watch versus-1 versus-2
  l4d2ctl watch --json | jq -r 'select(.type == "server") | [.data.name, .data.state] | @tsv'`,
		ValidArgsFunction: a.completeNames(0),
		RunE:              a.does(0, a.watch),
	}
}

// watcher turns events into lines, by what it knew of each server before.
type watcher struct {
	app    *app
	client *client.Client
	only   []string // names; empty for all
	paint  painter
	known  map[client.Name]client.Server
	waits  map[int64]string // what was told of jobs that wait until nobody plays
	game   client.Job       // the last of the jobs about the game that was told of
}

func (a *app) watch(ctx context.Context, c *client.Client, args []string) error {
	only, err := names(args)
	if err != nil {
		return err
	}
	snapshot, err := a.servers(ctx, c)
	if err != nil {
		return err
	}
	w := &watcher{app: a, client: c, only: only, paint: a.paint(a.stdout), waits: map[int64]string{}}
	w.learn(snapshot.Servers)
	for _, name := range only {
		if _, ok := w.known[client.Name(name)]; !ok {
			return &client.Error{Code: client.CodeServerNotFound, Detail: "there is no server " + name}
		}
	}
	a.warn(ctx, c)
	if err := w.begin(snapshot.Servers); err != nil {
		return err
	}
	away := false
	opts := client.EventsOptions{
		After: snapshot.EventID,
		Lost: func(error) {
			if !away {
				a.say("left4med does not answer; waiting for it to come back")
			}
			away = true
		},
		Back: func() { a.say("left4med is there again"); away = false },
	}
	for event, err := range c.Events(ctx, opts) {
		if err != nil {
			return err
		}
		if err := w.event(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) learn(servers []client.Server) {
	w.known = make(map[client.Name]client.Server, len(servers))
	for _, s := range servers {
		w.known[s.Name] = s
	}
}

// begin prints what is wrong before anything happens.
func (w *watcher) begin(servers []client.Server) error {
	if w.app.json {
		return nil
	}
	for i := range servers {
		s := &servers[i]
		t := w.app.trouble(s, w.app.forPeople())
		if t == (trouble{}) {
			continue
		}
		if err := w.print(s.Name, w.paint.text(stateStyle(s.State), string(s.State))+"  "+w.paint.text(yellow, t.String())); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) event(ctx context.Context, e client.Event) error {
	if w.app.json {
		return w.raw(e)
	}
	switch e.Type {
	case client.EventServer:
		return w.server(*e.Server)
	case client.EventDeleted:
		delete(w.known, e.Deleted.Name)
		return w.print(e.Deleted.Name, w.paint.text(yellow, "deleted"))
	case client.EventJob:
		return w.job(*e.Job)
	case client.EventReset:
		return w.reset(ctx)
	}
	return nil
}

func (w *watcher) raw(e client.Event) error {
	var name client.Name
	switch {
	case e.Server != nil:
		name = e.Server.Name
	case e.Job != nil:
		name = e.Job.Server
	case e.Deleted != nil:
		name = e.Deleted.Name
	}
	if name != "" && !w.wanted(name) {
		return nil
	}
	data, err := compactJSON(e.Data)
	if err != nil {
		return fmt.Errorf("cannot understand an event: %w", err)
	}
	return w.app.printLine(fmt.Appendf(nil, `{"id":%d,"type":%q,"data":%s}`, e.ID, e.Type, data))
}

func (w *watcher) wanted(name client.Name) bool {
	return len(w.only) == 0 || slices.Contains(w.only, string(name))
}

func (w *watcher) print(name client.Name, what string) error {
	if !w.wanted(name) {
		return nil
	}
	at := w.app.now().Format("15:04:05.000")
	_, err := fmt.Fprintf(w.app.stdout, "%s %s  %s\n", w.paint.text(dim, at), w.paint.text(bold, string(name)), what)
	return err
}

// server prints what is new of a server, if it is something a person cares for.
func (w *watcher) server(now client.Server) error {
	before, known := w.known[now.Name]
	w.known[now.Name] = now
	if !known || before.ID != now.ID {
		return w.print(now.Name, "new: "+w.paint.text(stateStyle(now.State), string(now.State)))
	}
	if changes := w.changes(&before, &now); len(changes) > 0 {
		return w.print(now.Name, strings.Join(changes, "  "))
	}
	return nil
}

func (w *watcher) changes(before, now *client.Server) []string {
	var changes []string
	add := func(s style, format string, args ...any) {
		changes = append(changes, w.paint.text(s, fmt.Sprintf(format, args...)))
	}
	switch {
	case before.State != now.State:
		why := ""
		if now.Result != "" && now.Result != "success" && (now.State == client.StateFailed || now.State == client.StateRestarting) {
			why = " (" + now.Result + ")"
		}
		add(stateStyle(now.State), "%s → %s%s", before.State, now.State, why)
	case before.MainPID != now.MainPID && now.MainPID != 0 && before.MainPID != 0:
		add(yellow, "new process %d", now.MainPID)
	}
	if before.Desired != now.Desired {
		add(plain, "desired: %s", now.Desired)
	}
	if before.Drift != now.Drift {
		add(driftStyle(now.Drift), "drift: %s", now.Drift)
	}
	if before.Stale != now.Stale {
		if now.Stale {
			add(yellow, "stale: %s", w.app.trouble(now, w.app.forPeople()).stale)
		} else {
			add(yellow, "confirmed again")
		}
	}
	if h := now.Healing; h != nil && (before.Healing == nil || *before.Healing != *h) {
		add(yellow, "%s", w.app.trouble(now, w.app.forPeople()).healing)
	}
	if game := gameChange(before.Game, now.Game); game != "" {
		add(plain, "%s", game)
	}
	if before.Config != nil && now.Config != nil && !before.Config.Equal(*now.Config) {
		add(plain, "settings changed")
	}
	if before.Phase != now.Phase {
		add(plain, "%s", now.Phase)
	}
	return changes
}

// gameChange says what a game tells anew, in words. That a game which was just
// started has its map and nobody on it is none.
func gameChange(before, now *client.Game) string {
	switch {
	case now == nil:
		return ""
	case !now.Reachable && (before == nil || before.Reachable):
		return "no answer: " + now.Error
	case !now.Reachable || now.Players == nil || now.MaxPlayers == nil:
		return ""
	case before == nil:
		before = &client.Game{Reachable: true, Map: now.Map, Players: new(int), MaxPlayers: now.MaxPlayers}
	}
	var words []string
	if !before.Reachable {
		words = append(words, "the game answers")
	}
	if before.Map != now.Map {
		words = append(words, "map: "+now.Map)
	}
	if before.Players == nil || *before.Players != *now.Players {
		words = append(words, "players: "+playing(now))
	}
	return strings.Join(words, "  ")
}

func (w *watcher) job(job client.Job) error {
	if waiting(job) {
		if w.waits[job.ID] == waitsFor(job) {
			return nil
		}
		w.waits[job.ID] = waitsFor(job)
	} else {
		delete(w.waits, job.ID)
	}
	if job.Server == "" {
		return w.gameJob(job)
	}
	text := fmt.Sprintf("job %d: %s", job.ID, ended(job))
	if !job.State.Finished() {
		text += steps(job)
	}
	return w.print(job.Server, w.paint.text(jobStyle(job.State), text))
}

// gameJob tells of a job about the game that all servers share, not of each of the
// thousands of steps of a download.
func (w *watcher) gameJob(job client.Job) error {
	if len(w.only) > 0 || job.ID == w.game.ID && job.State == w.game.State {
		return nil
	}
	w.game = job
	return w.print(client.Name(subject(job)), w.paint.text(jobStyle(job.State), fmt.Sprintf("job %d: %s", job.ID, ended(job))))
}

// reset reads everything again after events were missed, and prints what
// differs from before.
func (w *watcher) reset(ctx context.Context) error {
	snapshot, err := w.client.Servers(ctx)
	if err != nil {
		return err
	}
	w.app.say("Some changes were missed; what differs now:")
	before := w.known
	there := map[client.Name]bool{}
	for _, s := range snapshot.Servers {
		there[s.Name] = true
		if err := w.server(s); err != nil {
			return err
		}
	}
	for name := range before {
		if !there[name] {
			delete(w.known, name)
			if err := w.print(name, w.paint.text(yellow, "deleted")); err != nil {
				return err
			}
		}
	}
	return nil
}
