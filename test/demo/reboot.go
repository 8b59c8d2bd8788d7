package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/left4med/left4med/client"
)

// reboot reboots the machine and looks, before anybody has asked left4med for
// anything, which games systemd has brought back.
func reboot(ctx context.Context, d *demo) error {
	before, err := d.bootID(ctx)
	if err != nil {
		return err
	}
	jobs, err := d.newestJob(ctx)
	if err != nil {
		return err
	}
	d.prompt([]string{"systemctl", "reboot"})
	begun := time.Now()
	if err := d.host.Reboot(ctx); err != nil {
		return err
	}
	took := time.Since(begun)
	out, err := d.typed(ctx, "systemctl", "list-units", "--no-legend", "--plain", "left4me-server@*")
	if err != nil {
		return err
	}
	after, err := d.bootID(ctx)
	if err != nil {
		return err
	}
	d.check(after != before, "the machine went down and booted again, in %.1f s", took.Seconds())
	want := []string{"left4me-server@" + coop + ".service", "left4me-server@" + versus + ".service"}
	d.check(slices.Equal(active(out), want), "systemd itself brought %s and %s back, and nothing else", coop, versus)
	return d.afterReboot(ctx, jobs)
}

// afterReboot checks what left4med makes of it.
func (d *demo) afterReboot(ctx context.Context, newest int64) error {
	if _, err := d.typed(ctx, "l4d2ctl", "list"); err != nil {
		return err
	}
	all, err := d.servers(ctx)
	if err != nil {
		return err
	}
	states := map[string]client.State{}
	none := true
	for name, s := range all {
		states[name] = s.State
		none = none && s.Drift == client.DriftNone
	}
	d.check(none && maps.Equal(states, map[string]client.State{
		versus: client.StateRunning, coop: client.StateRunning, spare: client.StateStopped,
	}), "left4med agrees: these two run, %s is down, nothing drifts", spare)
	jobs, err := d.newestJob(ctx)
	if err != nil {
		return err
	}
	d.check(jobs == newest, "nobody touched anything: left4med has had no job since before the reboot")
	return nil
}

// active picks the active units out of a list of systemctl's, sorted.
func active(list string) []string {
	var units []string
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == "active" {
			units = append(units, f[0])
		}
	}
	slices.Sort(units)
	return units
}

func (d *demo) bootID(ctx context.Context) (string, error) {
	id, err := d.host.ReadFile(ctx, "/proc/sys/kernel/random/boot_id")
	return string(id), err
}

// newestJob is the id of the job that was asked for last.
func (d *demo) newestJob(ctx context.Context) (int64, error) {
	c := d.host.Client()
	defer c.Close()
	jobs, err := c.Jobs(ctx, client.JobsFilter{Limit: 1})
	if err != nil || len(jobs) == 0 {
		return 0, err
	}
	return jobs[0].ID, nil
}
