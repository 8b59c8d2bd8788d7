// Package service is what the daemons need of the system that runs them: their
// log, systemd's notifications and watchdog, and settings in a file.
package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Duration is a time like "30s" or "1m30s" in the settings.
type Duration struct{ time.Duration }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(text))
	return err
}

// TOML is what is known of a file of settings before it is read.
type TOML struct {
	Manual string         // the page that lists its keys, like "left4med.toml(5)"
	Secret *regexp.Regexp // matches a file that may hold secrets: then no error repeats a part of it
}

// ReadTOML reads settings over the defaults that are in into. A missing file means
// these and is not found; an unknown key is an error, since a mistyped switch that
// does nothing is worse.
func ReadTOML(path string, about TOML, into any) (found bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the settings: %w", err)
	}
	meta, err := toml.Decode(string(text), into)
	if err != nil {
		return true, fmt.Errorf("cannot understand the settings in %s: %w", path, about.withoutValue(text, err))
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		keys := make([]string, len(extra))
		for i, k := range extra {
			keys[i] = k.String()
		}
		return true, fmt.Errorf("the settings in %s have unknown keys: %s; %s lists the known ones", path, strings.Join(keys, ", "), about.Manual)
	}
	return true, nil
}

// withoutValue is an error of the TOML library about a file, without what it
// repeats of one that may hold secrets.
func (t TOML) withoutValue(text []byte, err error) error {
	var parse toml.ParseError
	if t.Secret != nil && t.Secret.Match(text) && errors.As(err, &parse) {
		return fmt.Errorf("line %d, at or after the key %q, is not right; %s says what is", parse.Position.Line, parse.LastKey, t.Manual)
	}
	return err
}
