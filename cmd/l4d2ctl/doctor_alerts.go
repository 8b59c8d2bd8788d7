package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/left4med/left4med/client"
)

// alertsLimit is how long the test of the alerts may take; left4med itself gives
// up after 25 s.
const alertsLimit = time.Minute

// testAlerts has left4med send a test to all that the settings name for alerts.
func (a *app) testAlerts(ctx context.Context, c *client.Client, _ []string) error {
	results, err := c.TestAlerts(ctx)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(struct {
			Targets []client.AlertResult `json:"targets"`
		}{results})
	} else {
		err = a.printAlertResults(results)
	}
	if err != nil {
		return err
	}
	for _, r := range results {
		if !r.OK {
			return &exitError{code: exitFailed}
		}
	}
	if len(results) == 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

func (a *app) printAlertResults(results []client.AlertResult) error {
	paint := a.paint(a.stdout)
	w := bufio.NewWriter(a.stdout)
	failed := 0
	for _, r := range results {
		sign, found := paint.text(green, "✓"), "delivered"
		if !r.OK {
			failed++
			sign, found = paint.text(red, "✗"), client.Visible(r.Detail)
		} else if r.Status != 0 {
			found += fmt.Sprintf(", it answered %d", r.Status)
		}
		fmt.Fprintf(w, "%s %s, %s: %s\n", sign, paint.text(bold, client.Visible(r.Rule)), client.Visible(r.Target), found)
	}
	switch {
	case len(results) == 0:
		fmt.Fprintln(w, "The settings have no alerts; [[alerts]] in /etc/left4me/left4med.toml makes some.")
	case failed == 0:
		fmt.Fprintln(w, "\nAll tests are delivered.")
	case failed == 1:
		fmt.Fprintln(w, "\nOne test was not delivered.")
	default:
		fmt.Fprintf(w, "\n%d tests were not delivered.\n", failed)
	}
	return w.Flush()
}
