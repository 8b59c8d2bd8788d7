package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/host"
	"github.com/left4med/left4med/test/machine"
)

// The servers of the demo: two that shall run, one that is made and never
// started.
const (
	versus = "versus-1"
	coop   = "coop-1"
	spare  = "spare"
)

// steps are what there is to see, in order. Each builds on those before it.
func steps() []step {
	return []step{
		{"A machine of its own, with left4med installed from its package", install},
		{"The game is downloaded by SteamCMD, in a unit of its own", game},
		{"Two servers are created and started; a third is only created", create},
		{"People play: left4med knows who, and restarts the server when they are gone", players},
		{"A game is killed: left4med sees it at once, systemd starts it again", kill},
		{"A server is stopped behind left4med's back: that is drift, and is cured", drift},
		{"The machine is rebooted: exactly the servers that should run are back", reboot},
		{"The web page shows the same, live", page},
	}
}

func install(ctx context.Context, d *demo) error {
	deb, err := host.Package()
	if err != nil {
		return err
	}
	begun := time.Now()
	m, err := machine.Boot(ctx, machine.Options{Release: d.release, Log: d.indented()})
	if err != nil {
		return err
	}
	d.host = &host.Host{Machine: m}
	version, err := d.host.Output(ctx, "systemctl", "--version")
	if err != nil {
		return err
	}
	version, _, _ = strings.Cut(version, "\n")
	d.say("Debian %s with %s as process 1, up after %.1f s. It has no network and touches nothing of this host.",
		d.release, version, time.Since(begun).Seconds())
	d.prompt([]string{"apt-get", "install", "./" + deb[strings.LastIndexByte(deb, '/')+1:]})
	if err := d.host.InstallDeb(ctx, deb); err != nil {
		return err
	}
	out, err := d.typed(ctx, "systemctl", "is-active", "left4med.socket", "left4med.service")
	d.check(err == nil && strings.Fields(out)[0] == "active", "left4med is installed and runs")
	return ctx.Err()
}

// slowDownload has the stand-in take as long for its few files as is good to
// watch, and speak of as many bytes as the game has.
const slowDownload = "size 9036123456\ndelay 30ms\n"

func game(ctx context.Context, d *demo) error {
	d.say("Neither SteamCMD nor the game can be shipped: stand-ins that take their arguments and print their lines are in their places.")
	if err := d.host.InstallSteamCMD(ctx); err != nil {
		return err
	}
	if err := d.host.WriteFile(ctx, host.SteamCMDControl, []byte(slowDownload), 0o644); err != nil {
		return err
	}
	if _, err := d.typed(ctx, "l4d2ctl", "install"); err != nil {
		return err
	}
	c := d.host.Client()
	defer c.Close()
	updates, err := c.Updates(ctx)
	if err != nil {
		return err
	}
	d.check(updates.InstalledBuild != "", "the build %s is installed; one installation serves all servers", updates.InstalledBuild)
	return nil
}

func create(ctx context.Context, d *demo) error {
	for _, command := range [][]string{
		{"initialize", versus, "--gamemode", "versus", "--map", "c5m1_waterfront"},
		{"initialize", coop, "--set", "sv_alltalk=1"},
		{"initialize", spare},
		{"start", versus, coop},
		{"list"},
	} {
		if _, err := d.typed(ctx, "l4d2ctl", command...); err != nil {
			return err
		}
	}
	all, err := d.servers(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{versus, coop} {
		s := all[name]
		d.check(s.State == client.StateRunning && s.Desired == client.DesiredRunning && s.Drift == client.DriftNone,
			"%s runs, and is enabled for every boot", name)
	}
	s := all[spare]
	d.check(s.State == client.StateStopped && s.Desired == client.DesiredStopped, "%s exists and was not started", spare)
	return nil
}

func kill(ctx context.Context, d *demo) error {
	all, err := d.servers(ctx)
	if err != nil {
		return err
	}
	old := all[versus].MainPID
	w, err := d.watch(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	begun, err := d.clocked(ctx, "kill", "-9", fmt.Sprint(old))
	if err != nil {
		return err
	}
	d.say("What the stream of events (GET /v1/events) shows, and how long after the kill it arrived here:")
	seen, err := d.until(ctx, w, versus, begun, func(s client.Server) bool {
		return s.State == client.StateRunning && s.MainPID != old && s.MainPID != 0
	})
	if err != nil {
		return err
	}
	fall := seen[slices.IndexFunc(seen, func(s sighting) bool { return s.server.MainPID != old })]
	d.check(fall.server.ObservedBy == "signal", "the kill was seen after %s, by a signal of systemd's", milliseconds(fall.at.Sub(begun)))
	back := seen[len(seen)-1].server
	d.check(back.Drift == client.DriftNone && back.Restarts != nil && *back.Restarts > 0,
		"systemd started it again 5 s later, as the unit says; it runs as process %d", back.MainPID)
	return nil
}

func drift(ctx context.Context, d *demo) error {
	w, err := d.watch(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	begun, err := d.clocked(ctx, "systemctl", "stop", "left4me-server@"+coop)
	if err != nil {
		return err
	}
	seen, err := d.until(ctx, w, coop, begun, func(s client.Server) bool { return s.Drift != client.DriftNone })
	if err != nil {
		return err
	}
	last := seen[len(seen)-1]
	d.check(last.server.Drift == client.DriftDown && last.server.Desired == client.DesiredRunning,
		"the drift was reported %s after systemd had stopped it", milliseconds(last.at.Sub(last.server.StateSince)))
	list, err := d.typed(ctx, "l4d2ctl", "list")
	if err != nil {
		return err
	}
	d.check(slices.ContainsFunc(strings.Split(list, "\n"), func(line string) bool {
		return strings.HasPrefix(line, coop+" ") && slices.Contains(strings.Fields(line), string(client.DriftDown))
	}), "l4d2ctl list shows it")
	show, err := d.typed(ctx, "l4d2ctl", "show", coop)
	if err != nil {
		return err
	}
	d.check(strings.Contains(show, "down since") && strings.Contains(show, "cure"), "l4d2ctl show says what it means and what cures it")
	return cure(ctx, d)
}

// cure starts the stopped server again.
func cure(ctx context.Context, d *demo) error {
	if _, err := d.typed(ctx, "l4d2ctl", "start", coop); err != nil {
		return err
	}
	all, err := d.servers(ctx)
	if err != nil {
		return err
	}
	s := all[coop]
	d.check(s.State == client.StateRunning && s.Drift == client.DriftNone, "cured: %s runs, and there is no drift", coop)
	return nil
}
