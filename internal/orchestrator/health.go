package orchestrator

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// Status is what can be told of the daemon at a glance, from memory.
type Status struct {
	SystemdConnected bool
	LastResync       time.Time // zero before the first
}

// Status returns the status, and a channel that is closed when the link to
// systemd comes or goes.
func (o *Orchestrator) Status() (Status, <-chan struct{}) {
	last := o.resync.health().LastAt
	o.mu.RLock()
	defer o.mu.RUnlock()
	return Status{SystemdConnected: o.link.connected, LastResync: last}, o.relink
}

// Health says how the daemon and what it needs are.
func (o *Orchestrator) Health(ctx context.Context) Health {
	h := Health{
		Version: o.Version, Host: o.Host, StartedAt: o.started.UTC(),
		Resync:   o.resync.health(),
		Database: o.databaseHealth(ctx),
		Probe:    o.queries.probeHealth(),
	}
	o.mu.RLock()
	host, link := o.host, o.link
	h.Servers, h.Jobs = len(o.order), JobsHealth{Enabled: o.Settings.JobsEnabled, Active: len(o.runs)}
	orphans := o.orphanUnits()
	o.mu.RUnlock()
	servers := o.List().Servers
	h.Systemd = SystemdHealth{Connected: link.connected, Since: link.since.UTC(), Version: link.version, Reconnects: link.reconnects, Error: link.err}

	h.Checks = ownChecks(h, host)
	h.Status = "ok"
	for _, c := range h.Checks {
		if !c.OK {
			h.Status = "degraded"
		}
	}
	// What follows concerns the servers, not the daemon.
	h.Checks = append(h.Checks, o.checkGame(), checkGameRoot(gameRoot),
		checkDrift(servers, host), checkStale(servers), checkHealing(servers), checkRules(servers, "/proc", checkShadows(host)),
		checkOrphans(orphans, o.canAdopt), checkProbe(h.Probe), checkSudoers("/etc/sudoers", "/etc/sudoers.d"))
	if h.Alerts = o.alerts.health(ctx); h.Alerts != nil {
		h.Checks = append(h.Checks, checkAlerts(h.Alerts))
	}
	for _, check := range o.Checks {
		h.Checks = append(h.Checks, check(ctx))
	}
	return h
}

// ownChecks concern the daemon: it is degraded when one of them fails, and rules
// for alerts are told.
func ownChecks(h Health, host hostFacts) []Check {
	return []Check{
		checkPID1(),
		checkSystemd(h.Systemd),
		checkTemplate(host),
		checkShadows(host),
		checkDatabase(h.Database),
		checkResync(h.Resync),
		checkJobs(h.Jobs),
	}
}

func (o *Orchestrator) databaseHealth(ctx context.Context) DBHealth {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	h := DBHealth{OK: true, Path: o.Store.Path(), Schema: o.Store.Schema()}
	if err := o.Store.Ping(ctx); err != nil {
		h.OK, h.Error = false, err.Error()
	}
	return h
}

func checkPID1() Check {
	c := Check{Name: "init", OK: true, LookedAt: "/run/systemd/system", Found: "systemd is process 1"}
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		c.OK, c.Found = false, "process 1 is not systemd, without which left4med cannot work: boot the host with it"
	}
	return c
}

func checkSystemd(s SystemdHealth) Check {
	c := Check{Name: "systemd", OK: s.Connected, LookedAt: "the link to systemd", Found: "connected to systemd " + s.Version}
	if !s.Connected {
		c.Found = fmt.Sprintf("no connection to systemd since %s, left4med keeps trying: %s", s.Since.Format(time.RFC3339), s.Error)
		c.Cure = restartDaemon
	}
	return c
}

func checkTemplate(h hostFacts) Check {
	c := Check{Name: "template", OK: true, LookedAt: server.Template + " where systemd looks for units", Found: h.template}
	switch {
	case h.links.TemplateMasked:
		c.OK, c.Found = false, server.Template+" is masked: no server can be started"
		c.Cure = unmaskTemplate
	case h.template == "":
		c.OK, c.Found = false, "systemd has no unit template "+server.Template+": no server can be started"
		c.Cure = reinstall
	}
	return c
}

// Cures of more than one thing. A restart of the daemon mends what is stuck in
// it, and no game notices.
const (
	restartDaemon  = "systemctl restart left4med.service"
	unmaskTemplate = "systemctl unmask " + server.Template
	reinstall      = "apt-get install --reinstall left4med"
)

// packagedTemplates is where the package puts the template; /lib and /usr/lib
// are the same directory on a merged Debian.
var packagedTemplates = []string{"/usr/lib/systemd/system/" + server.Template, "/lib/systemd/system/" + server.Template}

func checkShadows(h hostFacts) Check {
	c := Check{Name: "template-shadowed", OK: true, LookedAt: "all files of the name " + server.Template, Found: "nothing hides the packaged template"}
	if h.template == "" || h.template == packagedTemplates[0] || h.template == packagedTemplates[1] {
		return c
	}
	for _, s := range h.shadowed {
		if s == packagedTemplates[0] || s == packagedTemplates[1] {
			c.OK, c.Found = false, h.template+" hides the packaged template, so servers run by its rules; "+
				"once it is removed, a server changes over to the packaged ones when it is next stopped and started, and runs on until then"
			c.Cure = "rm " + h.template + " && systemctl daemon-reload"
		}
	}
	return c
}

// checkedDatabase is the check that alerts cannot be stored of.
const checkedDatabase = "database"

func checkDatabase(d DBHealth) Check {
	c := Check{Name: checkedDatabase, OK: d.OK, LookedAt: d.Path, Found: fmt.Sprintf("it can be used; schema %d", d.Schema)}
	if !d.OK {
		c.Found = "it cannot be used: " + d.Error
		c.Cure = "df -h " + filepath.Dir(d.Path)
	}
	return c
}

func checkResync(r ResyncHealth) Check {
	c := Check{Name: "resync", OK: true, LookedAt: "the last comparison of all servers with systemd"}
	switch {
	case !r.Enabled:
		c.Found = "switched off in the settings: changes are seen through signals alone"
	case r.LastAt.IsZero():
		c.OK, c.Found, c.Cure = false, "the servers were never checked against systemd", restartDaemon
	default:
		age := time.Since(r.LastAt).Round(time.Second)
		c.Found = fmt.Sprintf("all servers were checked against systemd %s ago in %.1f ms", age, r.LastMillis)
		if c.OK = age.Seconds() <= 2*r.IntervalSeconds+1; !c.OK {
			c.Found += ", which is too long ago"
			c.Cure = restartDaemon
		}
	}
	if r.Error != "" {
		c.OK, c.Found, c.Cure = false, "the last resync failed, left4med keeps trying: "+r.Error, "journalctl -u left4med.service"
	}
	return c
}

func checkJobs(j JobsHealth) Check {
	c := Check{Name: "jobs", OK: true, LookedAt: "the setting [jobs], and what is under way", Found: fmt.Sprintf("accepted; %d under way", j.Active)}
	if !j.Enabled {
		c.Found = "switched off in the settings, [jobs] enabled = false in /etc/left4me/left4med.toml: nothing can be started, stopped or changed, nothing is healed"
	}
	return c
}

func (o *Orchestrator) checkGame() Check {
	c := Check{Name: "game", OK: true, LookedAt: filepath.Join(o.Files.Root(), "installation"), Found: "the dedicated server is installed"}
	if err := o.Files.Installed(); err != nil {
		c.OK, c.Found, c.Cure = false, err.Error(), "l4d2ctl install"
	}
	return c
}

// gameRoot is the empty root of the games' units; a game sees what they mount on
// it (deploy/tmpfiles).
const gameRoot = "/run/left4me/root"

func checkGameRoot(root string) Check {
	c := Check{Name: "game-root", OK: true, LookedAt: root, Found: "what games see of the host stands on it"}
	if _, err := os.Stat(filepath.Join(root, "usr")); err != nil {
		c.OK, c.Found = false, fmt.Sprintf("no server can be started: %v", err)
		c.Cure = "systemd-tmpfiles --create left4me.conf"
	}
	return c
}

// SelfCheck proves that the parts of the daemon answer: that the truth can be
// read and written (its lock is not held for ever), that events are applied and
// that the resync goes on. What systemd or the disk refuse is not a fault that a
// restart of the daemon would mend, so it does not count.
func (o *Orchestrator) SelfCheck(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("the servers' states cannot be reached: %w", ctx.Err())
	}
	if o.Settings.ResyncEnabled {
		if late := time.Since(o.resync.lastTry()); late > 3*o.Settings.ResyncInterval+time.Minute {
			return fmt.Errorf("no resync was tried for %s", late.Round(time.Second))
		}
	}
	return nil
}
