package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newDoctor(a *app) *cobra.Command {
	var alerts bool
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: reading,
		Short:   "say what is wrong on this host, and what to do",
		Long: `Doctor asks left4med to examine the host and itself, and prints what is wrong first, each with what was found, what was looked at and the command that cures it, and then what is fine. Commands are for root. When left4med cannot be reached, doctor looks for the reason by itself, as far as the user who runs it can see.

With --alerts, it has left4med send a test to every webhook and unit that [[alerts]] in the settings name, instead, and prints what came of each. That asks the permission to configure.

It ends with 0 when all is well, with 1 when left4med answers and something is wrong, and with 5 when left4med cannot be reached.`,
		Example:           "  l4d2ctl doctor\n  l4d2ctl doctor --alerts",
		Args:              cobra.NoArgs,
		ValidArgsFunction: nothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			if alerts {
				return a.does(alertsLimit, a.testAlerts)(cmd, args)
			}
			return a.does(doctorLimit, a.doctor)(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&alerts, "alerts", false, "send a test to all that the settings name for alerts")
	return cmd
}

// diagnosis is what doctor prints with --json.
type diagnosis struct {
	Reachable bool           `json:"reachable"`
	Health    *client.Health `json:"health"`
	Checks    []client.Check `json:"checks"`
}

func (a *app) doctor(ctx context.Context, c *client.Client, _ []string) error {
	var d diagnosis
	h, err := c.Health(ctx)
	var refused *client.Error
	switch {
	case err == nil:
		d = diagnosis{Reachable: true, Health: h, Checks: h.Checks}
	case errors.As(err, &refused): // it answers, though not as it should
		d = diagnosis{Reachable: true, Checks: []client.Check{{
			Name: "left4med", LookedAt: a.socketPath(), Found: "it answers, but not with its health: " + err.Error(), Cure: "journalctl -u left4med.service",
		}}}
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, errTimedOut):
		d = diagnosis{Checks: a.localChecks(err)}
	default:
		return err
	}
	if a.json {
		if err := a.printJSON(d); err != nil {
			return err
		}
	} else if err := a.printDiagnosis(&d); err != nil {
		return err
	}
	if !d.Reachable {
		return &exitError{code: exitUnreachable}
	}
	for _, check := range d.Checks {
		if !check.OK {
			return &exitError{code: exitFailed}
		}
	}
	return nil
}

func (a *app) printDiagnosis(d *diagnosis) error {
	paint := a.paint(a.stdout)
	w := bufio.NewWriter(a.stdout)
	if d.Health != nil {
		fmt.Fprintf(w, "left4med %s on %s, %d servers\n\n", client.Visible(d.Health.Version), client.Visible(d.Health.Host), d.Health.Servers)
	}
	wrong := 0
	for _, check := range d.Checks {
		if check.OK {
			continue
		}
		wrong++
		fmt.Fprintf(w, "%s %s: %s\n", paint.text(red, "✗"), paint.text(bold, check.Name), client.Visible(check.Found))
		if check.LookedAt != "" {
			fmt.Fprintf(w, "    looked at  %s\n", client.Visible(check.LookedAt))
		}
		if check.Cure != "" {
			fmt.Fprintf(w, "    cure       %s\n", paint.text(bold, check.Cure))
		}
		w.WriteByte('\n')
	}
	for _, check := range d.Checks {
		if check.OK {
			fmt.Fprintf(w, "%s %s: %s", paint.text(green, "✓"), check.Name, client.Visible(check.Found))
			if check.LookedAt != "" {
				w.WriteString(" " + paint.text(dim, "("+check.LookedAt+")"))
			}
			w.WriteByte('\n')
		}
	}
	if wrong < len(d.Checks) {
		w.WriteByte('\n')
	}
	summary := "All is well."
	if wrong == 1 {
		summary = "One thing is wrong."
	} else if wrong > 1 {
		summary = fmt.Sprintf("%d things are wrong.", wrong)
	}
	fmt.Fprintln(w, summary)
	return w.Flush()
}
