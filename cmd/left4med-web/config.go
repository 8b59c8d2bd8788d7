package main

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/internal/service"
)

// config is /etc/left4me/web.toml.
type config struct {
	HTTP struct {
		Listen         string   `toml:"listen"`
		TrustedProxies []string `toml:"trusted_proxies"`
	} `toml:"http"`
	Session struct {
		Idle service.Duration `toml:"idle"`
		Max  service.Duration `toml:"max"`
	} `toml:"session"`
	Metrics struct {
		Token string `toml:"token"`
	} `toml:"metrics"`
	Left4med struct {
		Socket string `toml:"socket"`
	} `toml:"left4med"`
	Log struct {
		Level zerolog.Level `toml:"level"`
	} `toml:"log"`

	proxies []netip.Prefix
}

func defaultConfig() config {
	var c config
	c.HTTP.Listen = "127.0.0.1:8000"
	c.HTTP.TrustedProxies = []string{"127.0.0.0/8", "::1/128"}
	c.Session.Idle.Duration, c.Session.Max.Duration = 7*24*time.Hour, 30*24*time.Hour
	c.Left4med.Socket = client.DefaultSocket
	c.Log.Level = zerolog.InfoLevel
	return c
}

// metricsTable finds settings whose errors could repeat the token.
var metricsTable = regexp.MustCompile(`metrics|token`)

// readConfig reads the settings.
func readConfig(path string) (config, error) {
	c := defaultConfig()
	if _, err := service.ReadTOML(path, service.TOML{Manual: "web.toml(5)", Secret: metricsTable}, &c); err != nil {
		return c, err
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("the settings in %s are not possible: %w", path, err)
	}
	return c, nil
}

// check refuses what is not possible, and reads the proxies.
func (c *config) check() error {
	if err := checkListen(c.HTTP.Listen); err != nil {
		return err
	}
	c.proxies = nil
	for _, text := range c.HTTP.TrustedProxies {
		p, err := parseProxy(text)
		if err != nil {
			return fmt.Errorf("[http] trusted_proxies has %q; it must have addresses, like \"127.0.0.1\" or \"10.0.0.0/8\"", text)
		}
		c.proxies = append(c.proxies, p)
	}
	switch idle, longest := c.Session.Idle, c.Session.Max; {
	case idle.Duration < time.Minute || idle.Duration > longest.Duration:
		return fmt.Errorf("[session] idle is %s; it must lie between 1m and max, which is %s", idle, longest)
	case longest.Duration > 366*24*time.Hour:
		return fmt.Errorf("[session] max is %s; it must be 8784h at most", longest)
	case c.Metrics.Token != "" && !tokenOK(c.Metrics.Token):
		return fmt.Errorf("[metrics] token is not possible; it must be 16 to 256 letters, digits and -._~+/=, or be left empty, which switches /metrics off")
	case !filepath.IsAbs(c.Left4med.Socket):
		return fmt.Errorf("[left4med] socket is %q; it must be the whole path of left4med's socket", c.Left4med.Socket)
	}
	return nil
}

// checkListen accepts an address and a port. A name could stand for any address.
func checkListen(text string) error {
	bad := fmt.Errorf("[http] listen is %q; it must be an address and a port, like \"127.0.0.1:8000\" or \"[::1]:8000\"", text)
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return bad
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return bad
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		return bad
	}
	return nil
}

// parseProxy reads a network, or one address.
func parseProxy(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Prefix(a.BitLen())
}

// tokenOK says whether a text can be a bearer token (RFC 6750) that is not
// guessed.
func tokenOK(text string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return len(text) >= 16 && len(text) <= 256
}
