package main

import (
	"bufio"
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func (a *app) listOverlays(ctx context.Context, c *client.Client) error {
	overlays, err := c.Overlays(ctx)
	if err != nil {
		return err
	}
	if a.json {
		if overlays == nil {
			overlays = []client.Overlay{}
		}
		return a.printJSON(struct {
			Overlays []client.Overlay `json:"overlays"`
		}{overlays})
	}
	if len(overlays) == 0 {
		a.say("There are none: /var/lib/left4me/overlays is empty. An overlay is a directory there, root's.")
		return nil
	}
	rows := make([][]cell, len(overlays))
	for i, o := range overlays {
		rows[i] = overlayRow(o)
	}
	return a.table([]string{"OVERLAY", "SIZE", "FILES", "SERVERS", "NOTE"}, rows)
}

func overlayRow(o client.Overlay) []cell {
	size, files, servers, note := cell{text: "-"}, cell{text: "-"}, cell{text: "-"}, cell{text: "-"}
	if o.Size != nil {
		size = cell{text: strconv.FormatUint(*o.Size, 10), short: shortSize(*o.Size)}
	}
	if o.Files != nil {
		files.text = strconv.Itoa(*o.Files)
	}
	if len(o.Servers) > 0 {
		names := make([]string, len(o.Servers))
		for i, n := range o.Servers {
			names[i] = string(n)
		}
		servers.text = strings.Join(names, ", ")
	}
	if o.Problem != "" {
		note = cell{text: o.Problem, style: yellow}
	}
	return []cell{{text: o.Name}, size, files, servers, note}
}

// deleteOverlays removes one overlay after the other, and stops at the first that
// is refused.
func (a *app) deleteOverlays(ctx context.Context, c *client.Client, names []string, yes bool) error {
	if err := a.canAsk(yes, deleteAsks); err != nil {
		return err
	}
	answers := bufio.NewReader(a.stdin)
	for _, name := range names {
		if !yes {
			what := "Deleting the overlay " + a.paint(a.stderr).text(bold, name) + " removes all of its files, and cannot be undone"
			if err := a.typed(ctx, answers, name, what); err != nil {
				return err
			}
		}
		if err := c.DeleteOverlay(ctx, name); err != nil {
			return err
		}
		a.say("The overlay %s is removed.", name)
	}
	if a.json {
		return a.printJSON(struct {
			Removed []string `json:"removed"`
		}{names})
	}
	return nil
}

// completeOverlays completes the names of overlays: of those that nobody uses, or
// of those that a server can be given.
func (a *app) completeOverlays(unused bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := completing(cmd)
		defer cancel()
		c := a.client()
		defer c.Close()
		overlays, err := c.Overlays(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for _, o := range overlays {
			if unused && len(o.Servers) == 0 || !unused && o.Problem == "" {
				found = append(found, cobra.Completion(o.Name))
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}
