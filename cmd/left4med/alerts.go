package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"syscall"

	"github.com/left4med/left4med/internal/server"
)

// alertConfig is an entry [[alerts]]. Nothing but check and rule may see its url.
type alertConfig struct {
	Name         string   `toml:"name"`
	On           []string `toml:"on"`
	URL          string   `toml:"url"`
	Format       string   `toml:"format"`
	Servers      []string `toml:"servers"`
	After        duration `toml:"after"`
	AllowHTTP    bool     `toml:"allow_http"`
	AllowPrivate bool     `toml:"allow_private"`
	Units        []string `toml:"units"`
}

// rule is the entry with its defaults.
func (a alertConfig) rule() (server.AlertRule, error) {
	webhook, err := server.NewWebhook(a.URL)
	if err != nil {
		return server.AlertRule{}, err
	}
	r := server.AlertRule{
		Name: a.Name, URL: webhook, Format: server.AlertFormat(a.Format), Servers: a.Servers, After: a.After.Duration,
		AllowHTTP: a.AllowHTTP, AllowPrivate: a.AllowPrivate, Units: a.Units,
	}
	for _, event := range a.On {
		r.On = append(r.On, server.AlertEvent(event))
	}
	if a.On == nil {
		r.On = server.AlertEvents()
	}
	if a.Format == "" {
		r.Format = server.FormatJSON
	}
	return r, r.Check()
}

// alertRules are the entries [[alerts]]; the error names the one at fault.
func (c config) alertRules() ([]server.AlertRule, error) {
	if len(c.Alerts) > server.MaxAlertRules {
		return nil, fmt.Errorf("there are %d entries [[alerts]]; %d at most are possible", len(c.Alerts), server.MaxAlertRules)
	}
	var rules []server.AlertRule
	names := map[string]int{}
	for i, a := range c.Alerts {
		which := fmt.Sprintf("[[alerts]] number %d (%s)", i+1, server.Quote(a.Name, 40))
		rule, err := a.rule()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", which, err)
		}
		if other, taken := names[a.Name]; taken {
			return nil, fmt.Errorf("%s: name is that of number %d, too", which, other)
		}
		names[a.Name] = i + 1
		rules = append(rules, rule)
	}
	return rules, nil
}

// alertsTable finds settings that have alerts: what an error repeats of them could
// be an address.
var alertsTable = regexp.MustCompile(`(?m)^\s*\[+\s*"?alerts`)

// checkSettings looks whether somebody else may read the webhooks' addresses in
// the settings.
func checkSettings(path string) func(context.Context) server.Check {
	return func(context.Context) server.Check {
		c := server.Check{Name: "settings", OK: true, LookedAt: "who may read " + path, Found: "nobody but root, as it holds the addresses of webhooks"}
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.Found = "it is gone"
		case err != nil:
			c.OK, c.Found = false, err.Error()
		case open(info):
			c.OK, c.Found = false, "it holds the addresses of webhooks, which are secrets, and others than root may read it"
			c.Cure = "chown root:root '" + path + "' && chmod 0640 '" + path + "'"
		}
		return c
	}
}

// open says whether others than root may read a file.
func open(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || st.Uid != 0 || st.Mode&0o004 != 0 || st.Gid != 0 && st.Mode&0o040 != 0
}

// holdsAddress says whether a rule has a webhook.
func holdsAddress(rules []server.AlertRule) bool {
	for _, r := range rules {
		if r.URL.IsSet() {
			return true
		}
	}
	return false
}
