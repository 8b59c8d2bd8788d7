package orchestrator

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// measureTime bounds how long overlays are measured: an answer that takes longer
// than the API's 30 s would not come at all.
const measureTime = 15 * time.Second

// Overlays lists the overlays with their sizes and who uses them. One list at a
// time is measured: it walks through all of their files.
func (o *Orchestrator) Overlays(ctx context.Context) ([]server.Overlay, error) {
	select {
	case o.measures <- struct{}{}:
		defer func() { <-o.measures }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	overlays, err := o.Files.Overlays()
	if err != nil {
		return nil, err
	}
	users, err := o.overlayUsers()
	if err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, measureTime)
	defer cancel()
	for i := range overlays {
		v := &overlays[i]
		v.Servers = append(v.Servers, users[v.Name]...)
		o.measureOverlay(timed, v)
	}
	return overlays, ctx.Err()
}

// measureOverlay puts an overlay's size into its line of the list, or why it has
// none.
func (o *Orchestrator) measureOverlay(ctx context.Context, v *server.Overlay) {
	size, files, err := o.Files.MeasureOverlay(ctx, v.Name)
	why := ""
	switch {
	case err == nil:
		v.Size, v.Files = &size, &files
	case ctx.Err() != nil:
		why = "there was no time to look at all of its files"
	case !errors.Is(err, &server.Error{Code: server.CodeOverlayNotFound}): // of that the list says why
		v.Size, v.Files = &size, &files
		why = "some of it cannot be looked at, so the size is too small"
		o.Log.Debug().Err(err).Str("overlay", v.Name).Msg("cannot look at all of an overlay")
	}
	if v.Problem == "" {
		v.Problem = why
	}
}

// overlayUsers says who uses each overlay: servers whose settings name it, and
// trees that it is mounted in, also those of instances that are no server.
func (o *Orchestrator) overlayUsers() (map[string][]server.Name, error) {
	mounted, err := o.Files.MountedOverlays()
	if err != nil {
		return nil, err
	}
	users := map[string][]server.Name{}
	for instance, overlays := range mounted {
		for _, overlay := range overlays {
			users[overlay] = append(users[overlay], server.Name(instance))
		}
	}
	o.mu.RLock()
	for _, r := range o.order {
		for _, overlay := range r.row.Config.Overlays {
			users[overlay] = append(users[overlay], r.row.Name)
		}
	}
	o.mu.RUnlock()
	for overlay, names := range users {
		slices.Sort(names)
		users[overlay] = slices.Compact(names)
	}
	return users, nil
}

// DeleteOverlay removes an overlay that no server and no instance uses. When it
// returns an error after the overlay was moved away, the rest of it is removed at
// the daemon's next start.
func (o *Orchestrator) DeleteOverlay(ctx context.Context, name string, who server.Requester) (err error) {
	const verb = "delete-overlay"
	defer o.noteRefused(who, verb, "", &err)
	if err := o.writable(); err != nil {
		return err
	}
	if err := o.retireOverlay(ctx, name); err != nil {
		return err
	}
	o.noteChange(ctx, server.HistoryEntry{What: verb, By: &who, Detail: "overlay " + server.Quote(name, 70)})
	return o.Files.RemoveOverlay(name)
}

// retireOverlay moves an overlay away while no server can be given it.
func (o *Orchestrator) retireOverlay(ctx context.Context, name string) error {
	orphans, err := o.Orphans(ctx)
	if err != nil {
		return err
	}
	o.overlays.Lock()
	defer o.overlays.Unlock()
	users, err := o.overlayUsers()
	if err != nil {
		return err
	}
	if names := users[name]; len(names) > 0 {
		list := make([]string, len(names))
		for i, n := range names {
			list[i] = server.Visible(string(n))
		}
		return server.Errorf(server.CodeOverlayInUse, "the overlay %s is in use by %s; take it from their settings (`l4d2ctl initialize NAME --overlay …`), and stop or restart those that run with it",
			server.Quote(name, 70), someOf(list))
	}
	for _, n := range orphans {
		if n.Config != nil && slices.Contains(n.Config.Overlays, name) {
			return server.Errorf(server.CodeOverlayInUse, "the overlay %s is in use by the instance %s, which is no server; adopt it or move its files away first (`l4d2ctl orphans`)",
				server.Quote(name, 70), server.Visible(n.Name))
		}
	}
	return o.Files.RetireOverlay(name)
}
