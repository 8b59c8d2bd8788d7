package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/orchestrator"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/service"
)

// config is /etc/left4me/left4med.toml.
type config struct {
	Resync struct {
		Enabled  bool     `toml:"enabled"`
		Interval duration `toml:"interval"`
	} `toml:"resync"`
	Jobs struct {
		Enabled bool `toml:"enabled"`
	} `toml:"jobs"`
	Start struct {
		Settle duration `toml:"settle"`
	} `toml:"start"`
	Resources struct {
		Interval duration `toml:"interval"`
	} `toml:"resources"`
	Query struct {
		Enabled  bool     `toml:"enabled"`
		Interval duration `toml:"interval"`
	} `toml:"query"`
	Flapping struct {
		Restarts int      `toml:"restarts"`
		Window   duration `toml:"window"`
	} `toml:"flapping"`
	Heal struct {
		First  duration `toml:"first"`
		Max    duration `toml:"max"`
		Limit  int      `toml:"limit"`
		Window duration `toml:"window"`
	} `toml:"heal"`
	WhenEmpty struct {
		Timeout duration   `toml:"timeout"`
		Grace   duration   `toml:"grace"`
		Warn    []duration `toml:"warn"`
		Say     string     `toml:"say"`
	} `toml:"when_empty"`
	History struct {
		Entries int `toml:"entries"`
		Days    int `toml:"days"`
	} `toml:"history"`
	Series struct {
		Enabled bool `toml:"enabled"`
		Days    int  `toml:"days"`
	} `toml:"series"`
	Servers struct {
		PortMin uint16 `toml:"port_min"`
		PortMax uint16 `toml:"port_max"`
	} `toml:"servers"`
	Install struct {
		Check    duration `toml:"check"`
		SteamCMD string   `toml:"steamcmd"`
		SpaceGiB int64    `toml:"space_gib"`
	} `toml:"install"`
	Backups struct {
		Keep   int      `toml:"keep"`
		Frozen duration `toml:"frozen"`
	} `toml:"backups"`
	Alerts []alertConfig `toml:"alerts"`
	Log    struct {
		Level zerolog.Level `toml:"level"`
	} `toml:"log"`

	path string // of the file; empty when there is none
}

type duration = service.Duration

func defaultConfig() config {
	var c config
	s := orchestrator.DefaultSettings()
	c.Resync.Enabled, c.Resync.Interval.Duration = s.ResyncEnabled, s.ResyncInterval
	c.Jobs.Enabled = s.JobsEnabled
	c.Start.Settle.Duration = s.Settle
	c.Resources.Interval.Duration = s.ResourcesEvery
	c.Query.Enabled, c.Query.Interval.Duration = s.QueryEnabled, s.QueryInterval
	c.Flapping.Restarts, c.Flapping.Window.Duration = s.FlapRestarts, s.FlapWindow
	c.Heal.First.Duration, c.Heal.Max.Duration = s.Heal.First, s.Heal.Max
	c.Heal.Limit, c.Heal.Window.Duration = s.Heal.Limit, s.Heal.Window
	c.WhenEmpty.Timeout.Duration, c.WhenEmpty.Grace.Duration, c.WhenEmpty.Say = s.WhenEmpty.Timeout, s.WhenEmpty.Grace, s.WhenEmpty.Say
	for _, w := range s.WhenEmpty.Warn {
		c.WhenEmpty.Warn = append(c.WhenEmpty.Warn, duration{Duration: w})
	}
	c.History.Entries, c.History.Days = s.HistoryEntries, s.HistoryDays
	c.Series.Enabled, c.Series.Days = s.SeriesEnabled, s.SeriesDays
	c.Servers.PortMin, c.Servers.PortMax = s.Ports.Low, s.Ports.High
	c.Install.Check.Duration, c.Install.SteamCMD, c.Install.SpaceGiB = s.UpdateCheck, s.SteamCMD, s.InstallSpace>>30
	c.Backups.Keep, c.Backups.Frozen.Duration = s.KeepBackups, s.FrozenAtMost
	c.Log.Level = zerolog.InfoLevel
	return c
}

// readConfig reads the settings. A missing file means the defaults; an unknown
// key is an error, since a mistyped switch that does nothing is worse.
func readConfig(path string) (config, error) {
	c := defaultConfig()
	found, err := service.ReadTOML(path, service.TOML{Manual: "left4med.toml(5)", Secret: alertsTable}, &c)
	if err != nil || !found {
		return c, err
	}
	c.path = path
	if err := c.check(); err != nil {
		return c, fmt.Errorf("the settings in %s are not possible: %w", path, err)
	}
	return c, nil
}

func (c config) check() error {
	switch {
	case c.Resync.Interval.Duration < time.Second || c.Resync.Interval.Duration > 24*time.Hour:
		return fmt.Errorf("[resync] interval is %s; it must lie between 1s and 24h", c.Resync.Interval)
	case c.Start.Settle.Duration < 0 || c.Start.Settle.Duration > 10*time.Minute:
		return fmt.Errorf("[start] settle is %s; it must lie between 0s and 10m", c.Start.Settle)
	case c.Resources.Interval.Duration != 0 && (c.Resources.Interval.Duration < time.Second || c.Resources.Interval.Duration > time.Hour):
		return fmt.Errorf("[resources] interval is %s; it must lie between 1s and 1h, or be 0s for never", c.Resources.Interval)
	case c.Query.Interval.Duration < 5*time.Second || c.Query.Interval.Duration > 10*time.Minute:
		return fmt.Errorf("[query] interval is %s; it must lie between 5s and 10m", c.Query.Interval)
	case c.Flapping.Restarts < 1 || c.Flapping.Restarts > 1000:
		return fmt.Errorf("[flapping] restarts is %d; it must lie between 1 and 1000", c.Flapping.Restarts)
	case c.Flapping.Window.Duration < time.Second || c.Flapping.Window.Duration > 7*24*time.Hour:
		return fmt.Errorf("[flapping] window is %s; it must lie between 1s and 168h", c.Flapping.Window)
	case c.Heal.First.Duration < time.Second || c.Heal.First.Duration > c.Heal.Max.Duration:
		return fmt.Errorf("[heal] first is %s; it must lie between 1s and max, which is %s", c.Heal.First, c.Heal.Max)
	case c.Heal.Max.Duration > 24*time.Hour:
		return fmt.Errorf("[heal] max is %s; it must be 24h at most", c.Heal.Max)
	case c.Heal.Limit < 1 || c.Heal.Limit > 100:
		return fmt.Errorf("[heal] limit is %d; it must lie between 1 and 100", c.Heal.Limit)
	case c.Heal.Window.Duration < time.Minute || c.Heal.Window.Duration > 7*24*time.Hour:
		return fmt.Errorf("[heal] window is %s; it must lie between 1m and 168h", c.Heal.Window)
	case c.History.Entries < 1000 || c.History.Entries > 10_000_000:
		return fmt.Errorf("[history] entries is %d; it must lie between 1000 and 10000000", c.History.Entries)
	case c.History.Days < 1 || c.History.Days > 3650:
		return fmt.Errorf("[history] days is %d; it must lie between 1 and 3650", c.History.Days)
	case c.Series.Days < 1 || c.Series.Days > server.SeriesDays:
		return fmt.Errorf("[series] days is %d; it must lie between 1 and %d", c.Series.Days, server.SeriesDays)
	case c.Servers.PortMin < 1024 || c.Servers.PortMin > c.Servers.PortMax:
		return fmt.Errorf("[servers] port_min and port_max are %d and %d; they must span a range of ports from 1024 up", c.Servers.PortMin, c.Servers.PortMax)
	case c.Install.Check.Duration != 0 && (c.Install.Check.Duration < time.Hour || c.Install.Check.Duration > 90*24*time.Hour):
		return fmt.Errorf("[install] check is %s; it must lie between 1h and 2160h, or be 0s for never", c.Install.Check)
	case c.Install.SteamCMD != "" && (!filepath.IsAbs(c.Install.SteamCMD) || filepath.Clean(c.Install.SteamCMD) != c.Install.SteamCMD):
		return fmt.Errorf("[install] steamcmd is %q; it must be the whole path of a program, or be left empty", c.Install.SteamCMD)
	case c.Install.SpaceGiB < 0 || c.Install.SpaceGiB > 1000:
		return fmt.Errorf("[install] space_gib is %d; it must lie between 0 and 1000", c.Install.SpaceGiB)
	case c.Backups.Frozen.Duration < time.Second || c.Backups.Frozen.Duration > 10*time.Minute:
		return fmt.Errorf("[backups] frozen is %s; it must lie between 1s and 10m", c.Backups.Frozen)
	case c.Backups.Keep < 1 || c.Backups.Keep > 1000:
		return fmt.Errorf("[backups] keep is %d; it must lie between 1 and 1000", c.Backups.Keep)
	}
	if err := c.whenEmpty().Check(); err != nil {
		return fmt.Errorf("[when_empty] %w", err)
	}
	_, err := c.alertRules()
	return err
}

func (c config) whenEmpty() server.EmptyPolicy {
	p := server.EmptyPolicy{Timeout: c.WhenEmpty.Timeout.Duration, Grace: c.WhenEmpty.Grace.Duration, Say: c.WhenEmpty.Say}
	for _, w := range c.WhenEmpty.Warn {
		p.Warn = append(p.Warn, w.Duration)
	}
	return p
}

func (c config) settings() orchestrator.Settings {
	rules, _ := c.alertRules() // check has refused what cannot be
	return orchestrator.Settings{
		ResyncEnabled: c.Resync.Enabled, ResyncInterval: c.Resync.Interval.Duration,
		JobsEnabled: c.Jobs.Enabled, Settle: c.Start.Settle.Duration,
		FlapRestarts: c.Flapping.Restarts, FlapWindow: c.Flapping.Window.Duration,
		Heal: server.HealPolicy{
			First: c.Heal.First.Duration, Max: c.Heal.Max.Duration,
			Limit: c.Heal.Limit, Window: c.Heal.Window.Duration,
		},
		WhenEmpty:      c.whenEmpty(),
		HistoryEntries: c.History.Entries, HistoryDays: c.History.Days,
		SeriesEnabled: c.Series.Enabled, SeriesDays: c.Series.Days,
		Ports:          server.PortRange{Low: c.Servers.PortMin, High: c.Servers.PortMax},
		ResourcesEvery: c.Resources.Interval.Duration,
		QueryEnabled:   c.Query.Enabled, QueryInterval: c.Query.Interval.Duration,
		UpdateCheck: c.Install.Check.Duration, SteamCMD: c.Install.SteamCMD, InstallSpace: c.Install.SpaceGiB << 30,
		KeepBackups: c.Backups.Keep, FrozenAtMost: c.Backups.Frozen.Duration,
		Alerts: rules,
	}
}
