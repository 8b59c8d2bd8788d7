package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

// versionLimit keeps version quick when the daemon hangs.
const versionLimit = 3 * time.Second

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		GroupID:           others,
		Short:             "show the versions of l4d2ctl and of left4med",
		Long:              `Version shows the version of this program and that of the left4med it talks to. It also succeeds when left4med cannot be reached.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: nothing,
		RunE:              a.does(versionLimit, a.version),
	}
}

func (a *app) version(ctx context.Context, c *client.Client, _ []string) error {
	h, err := c.Health(ctx)
	if a.json {
		v := struct {
			L4d2ctl  string  `json:"l4d2ctl"`
			Left4med *string `json:"left4med"`
		}{L4d2ctl: version}
		if err == nil {
			v.Left4med = &h.Version
		}
		return a.printJSON(v)
	}
	daemon := "not reached"
	if err == nil {
		daemon = h.Version
	}
	_, err = fmt.Fprintf(a.stdout, "l4d2ctl %s\nleft4med %s\n", client.Visible(version), client.Visible(daemon))
	return err
}
