package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// AlertEvent is what an alert is about: something that begins and ends.
type AlertEvent string

// The events. A rule that names AlertRecovered is told of the end of those that
// it was told of.
const (
	AlertDown      AlertEvent = "down"      // a server that should run does not, or crashes again and again (flapping)
	AlertGaveUp    AlertEvent = "gave-up"   // left4med starts a server no more by itself
	AlertOrphan    AlertEvent = "orphan"    // a unit or an instance's directory of ours belongs to no server
	AlertDegraded  AlertEvent = "degraded"  // left4med itself, or what it needs, does not work
	AlertRecovered AlertEvent = "recovered" // only in a rule, and in the name of a unit to start
	AlertTest      AlertEvent = "test"      // somebody tries the rules out
)

// AlertEvents lists what a rule can name, which is also its default: who is told
// that something is down wants to know when it is over.
func AlertEvents() []AlertEvent {
	return []AlertEvent{AlertDown, AlertGaveUp, AlertOrphan, AlertDegraded, AlertRecovered}
}

// AlertState says whether what an alert is about begins or ends.
type AlertState string

// The states.
const (
	AlertFiring   AlertState = "firing"
	AlertResolved AlertState = "resolved"
)

// AlertVersion is the version of Alert's fields. Fields may be added without it
// being raised.
const AlertVersion = 1

// Alert is what a webhook is sent. A field that is left out is unknown, or has no
// meaning for the event.
type Alert struct {
	Version     int        `json:"version"`
	ID          int64      `json:"id"` // the same when it is sent again, never used for another; 0 for a test
	Rule        string     `json:"rule"`
	Event       AlertEvent `json:"event"`
	State       AlertState `json:"state"`
	Repeated    bool       `json:"repeated"` // it was sent before, and may have arrived
	Test        bool       `json:"test"`
	At          time.Time  `json:"at"` // when it was seen
	Host        string     `json:"host"`
	Server      string     `json:"server,omitempty"` // an orphan's as systemd spells it, escaped
	ServerID    int64      `json:"server_id,omitempty"`
	Unit        string     `json:"unit,omitempty"`
	Desired     Desired    `json:"desired,omitempty"`
	ServerState State      `json:"server_state,omitempty"`
	Drift       Drift      `json:"drift,omitempty"`
	Check       string     `json:"check,omitempty"` // of doctor's, for AlertDegraded
	Text        string     `json:"text"`            // a sentence for a person
}

// maxDiscord is how many characters Discord takes as a message's content
// (https://discord.com/developers/docs/resources/webhook, "Execute Webhook").
const maxDiscord = 2000

// Discord is the alert as Discord's webhooks take it: nobody is pinged, whatever
// the text says.
func (a Alert) Discord() json.RawMessage {
	head := "firing"
	switch {
	case a.Test:
		head = "test"
	case a.State == AlertResolved:
		head = "resolved"
	}
	text := fmt.Sprintf("**%s: %s** on %s: %s", head, a.Event, escapeMarkdown(a.Host), escapeMarkdown(a.Text))
	if a.Test {
		text = fmt.Sprintf("**test** from %s: %s", escapeMarkdown(a.Host), escapeMarkdown(a.Text))
	}
	const repeated = " (repeated)"
	if room := maxDiscord - len(repeated); utf8.RuneCountInString(text) > room {
		text = strings.TrimRight(string([]rune(text)[:room-1]), `\`) + "…"
	}
	if a.Repeated {
		text += repeated
	}
	type mentions struct {
		Parse []string `json:"parse"`
	}
	body, err := json.Marshal(struct {
		Content         string   `json:"content"`
		AllowedMentions mentions `json:"allowed_mentions"`
	}{text, mentions{[]string{}}})
	if err != nil {
		panic(err) // strings are always encoded
	}
	return body
}

// escapeMarkdown puts a backslash before what Discord's markdown gives a meaning.
func escapeMarkdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\*_~`|>#[]()<@:", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// AlertFormat is how a webhook wants an Alert.
type AlertFormat string

// The formats.
const (
	FormatJSON    AlertFormat = "json"
	FormatDiscord AlertFormat = "discord"
)

// AlertRule is one of the entries [[alerts]] of the settings: who is told of what.
type AlertRule struct {
	Name         string
	On           []AlertEvent
	URL          Secret // the webhook; not set: none
	Format       AlertFormat
	Servers      []string      // globs, one of which must match; empty: all
	After        time.Duration // it is told of only if it still holds after so long
	AllowHTTP    bool
	AllowPrivate bool
	Units        []string // to be started; see HookUnit
}

// TargetWebhook is the name of a rule's webhook among its targets; the others
// are its units, as the settings have them.
const TargetWebhook = "webhook"

// Targets are where the rule's alerts go.
func (r AlertRule) Targets() []string {
	var targets []string
	if r.URL.IsSet() {
		targets = append(targets, TargetWebhook)
	}
	return append(targets, r.Units...)
}

// Wants says whether the rule tells of an event. name is the server or the
// orphan; empty: it is about none, so Servers does not count.
func (r AlertRule) Wants(event AlertEvent, name string) bool {
	if !slices.Contains(r.On, event) {
		return false
	}
	return name == "" || len(r.Servers) == 0 || slices.ContainsFunc(r.Servers, func(glob string) bool {
		ok, err := path.Match(glob, name)
		return ok && err == nil
	})
}

var ruleName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// Bounds of a rule. What waits is bounded for each target, so their number is,
// too.
const (
	MaxAlertRules = 32
	maxRuleUnits  = 8
	maxRuleGlobs  = 100
	maxAlertAfter = time.Hour
)

// Check says what is wrong with a rule, without its webhook's address.
func (r AlertRule) Check() error {
	if !ruleName.MatchString(r.Name) {
		return fmt.Errorf("name is %s; it must be 1 to 32 of a-z, 0-9, _ and -, and begin with a letter or digit", Quote(r.Name, 40))
	}
	for _, event := range r.On {
		if !slices.Contains(AlertEvents(), event) {
			return fmt.Errorf("on names %s; there are down, gave-up, orphan, degraded and recovered", Quote(string(event), 40))
		}
	}
	if len(r.On) == 0 || len(r.On) == 1 && r.On[0] == AlertRecovered {
		return fmt.Errorf("on names nothing that begins; leave it out to be told of all")
	}
	if r.Format != FormatJSON && r.Format != FormatDiscord {
		return fmt.Errorf("format is %s; it must be json or discord", Quote(string(r.Format), 40))
	}
	if r.After < 0 || r.After > maxAlertAfter {
		return fmt.Errorf("after is %s; it must lie between 0s and 1h", r.After)
	}
	if len(r.Servers) > maxRuleGlobs {
		return fmt.Errorf("servers has %d entries; %d at most are possible", len(r.Servers), maxRuleGlobs)
	}
	for _, glob := range r.Servers {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			return fmt.Errorf("servers has %s, which is no pattern for names; \"versus-*\" is one", Quote(glob, 40))
		}
	}
	if len(r.Units) > maxRuleUnits {
		return fmt.Errorf("units has %d entries; %d at most are possible", len(r.Units), maxRuleUnits)
	}
	for i, unit := range r.Units {
		if err := checkHook(unit); err != nil {
			return fmt.Errorf("units has %s: %w", Quote(unit, 80), err)
		}
		if slices.Contains(r.Units[:i], unit) {
			return fmt.Errorf("units has %s twice", Quote(unit, 80))
		}
	}
	if len(r.Targets()) == 0 {
		return fmt.Errorf("it has neither url nor units, so nobody would be told")
	}
	return r.checkURL()
}

func (r AlertRule) checkURL() error {
	if !r.URL.IsSet() {
		return nil
	}
	u, err := url.Parse(r.URL.Reveal())
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("url is no address of a webhook; it must be like \"https://host/path\"")
	case u.Scheme == "http" && !r.AllowHTTP:
		return fmt.Errorf("url is not https, so that others could read along; allow_http = true permits it")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("url is neither https nor http")
	case u.User != nil:
		return fmt.Errorf("url has a user's name or password before an '@', which is not sent; leave it out")
	case strings.Contains(r.URL.Reveal(), "#"):
		return fmt.Errorf("url has a '#', and what follows that is never sent; leave it out")
	}
	return nil
}

// maxURL is longer than any webhook's address that is in use.
const maxURL = 2048

// NewWebhook makes a secret of a webhook's address; an empty one is not set. The
// error says what is wrong without the address.
func NewWebhook(address string) (Secret, error) {
	switch {
	case address == "":
		return Secret{}, nil
	case len(address) > maxURL:
		return Secret{}, fmt.Errorf("url is too long: at most %d characters are possible", maxURL)
	case strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' }):
		return Secret{}, fmt.Errorf("url has spaces, control characters or others than ASCII's; write them as %%XX")
	}
	return Secret{&address}, nil
}
