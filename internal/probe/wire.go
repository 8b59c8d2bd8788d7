// Package probe is what left4med and left4med-probe say to each other: JSON over
// HTTP on a unix socket that root alone may open. The probe is the only part that
// speaks IP, and it reads what games and strangers send; so this side believes
// nothing of what it answers: each answer is bounded in size and time, and checked.
package probe

import "encoding/json"

// Socket is where left4med-probe listens (left4med-probe.socket).
const Socket = "/run/left4med/probe.sock"

// Routes of the probe, all of them POST. An answer other than 200 has a Fault as
// its body.
const (
	RouteQuery   = "/query"   // Query → Answer
	RouteRCON    = "/rcon"    // Command → Output
	RouteDeliver = "/deliver" // Delivery → Delivered
)

// Target is the game that is meant: what listens on 127.0.0.1 at this port and
// was opened by a process of this control group. The probe asks the kernel whose
// socket answers (INET_DIAG_CGROUP_ID of sock_diag(7), as `ss --cgroup` does).
// What is not the game's own is told nothing.
type Target struct {
	Port uint16 `json:"port"`
	// Cgroup is the inode number of the unit's directory in cgroup2's file system,
	// which is its id (kernfs). Never 0.
	Cgroup uint64 `json:"cgroup"`
}

// Query asks a game for A2S_INFO and, if Players is set, A2S_PLAYER.
type Query struct {
	Target
	Players bool `json:"players,omitempty"`
	// Password, with Players, is the game's RCON password: it is asked for its
	// `status` as well, which says who they are. Like a Command's it is sent only
	// once the connection is known to be the Target's.
	Password string `json:"password,omitempty"`
	// TimeoutMS bounds the whole query, repetitions included, in milliseconds;
	// from 1 to 5000, 0 is 1000.
	TimeoutMS int `json:"timeout_ms,omitempty"`
}

// Answer is what a game told. Text in it is as server.Visible makes it, and at
// most MaxName bytes long.
type Answer struct {
	PingMicros int64  `json:"ping_us"` // from the last A2S_INFO request to its answer
	Name       string `json:"name"`
	Map        string `json:"map"`
	Game       string `json:"game"`
	Version    string `json:"version"`
	Players    int    `json:"players"` // bots included, as the game counts
	MaxPlayers int    `json:"max_players"`
	Bots       int    `json:"bots"`
	Password   bool   `json:"password"` // joining needs one
	VAC        bool   `json:"vac"`
	// List has who plays, bots included; nil when it was not asked for, or not
	// answered (ListFault says why).
	List      []Player `json:"list,omitempty"`
	ListFault *Fault   `json:"list_fault,omitempty"`
	// Humans is how many of them are people, as `status` counts them; nil when it
	// was not asked for, or not answered (StatusFault says why).
	Humans      *int   `json:"humans,omitempty"`
	StatusFault *Fault `json:"status_fault,omitempty"`
}

// Player is one of A2S_PLAYER, and what `status` says of the same; who is in
// `status` alone, as one who is still connecting, stands after the others.
type Player struct {
	Name    string  `json:"name"` // empty while connecting
	Score   int32   `json:"score"`
	Seconds float64 `json:"seconds"` // since connecting

	// Of `status`, absent when it does not say.
	UserID  *int   `json:"userid,omitempty"`   // what `kickid` takes
	SteamID string `json:"steam_id,omitempty"` // as it is written there: STEAM_1:0:1, [U:1:2]
	Bot     bool   `json:"bot,omitempty"`
	Ping    *int   `json:"ping,omitempty"`  // ms
	Loss    *int   `json:"loss,omitempty"`  // percent
	State   string `json:"state,omitempty"` // active, spawning, connecting
}

// Bounds of an answer.
const (
	MaxName    = 1024    // bytes of any text
	MaxPlayers = 255     // A2S counts in one byte
	MaxOutput  = 1 << 20 // bytes of what RCON answers, before the rest is cut off
	MaxAnswer  = 4 << 20 // bytes of any answer of the probe
)

// Command is to be run by a game over RCON. The password is sent only once the
// connection is known to be the Target's.
type Command struct {
	Target
	Password string `json:"password"`
	Command  string `json:"command"`
	// TimeoutMS bounds all of it, in milliseconds; from 1 to 30000, 0 is 5000.
	TimeoutMS int `json:"timeout_ms,omitempty"`
}

// Output is what a command printed.
type Output struct {
	Output    string `json:"output"` // as server.Visible makes each line; lines end with \n
	Truncated bool   `json:"truncated,omitempty"`
}

// Delivery is a body to be posted to a webhook.
type Delivery struct {
	URL  string          `json:"url"` // a secret: it stands in no log and no Fault
	Body json.RawMessage `json:"body"`
	// AllowHTTP permits a URL that is not https.
	AllowHTTP bool `json:"allow_http,omitempty"`
	// AllowPrivate permits an address that is loopback, private, link-local or
	// otherwise not of the internet.
	AllowPrivate bool `json:"allow_private,omitempty"`
	// TimeoutMS bounds all of it, in milliseconds; from 1 to 30000, 0 is 10000.
	TimeoutMS int `json:"timeout_ms,omitempty"`
}

// Delivered says what the webhook answered: a status of 200 to 299. Any other is
// a Fault with FaultStatus.
type Delivered struct {
	Status int `json:"status"`
}

// Fault is why the probe could not do something. Detail is a sentence for a
// person, without secrets and without anything a stranger sent that is not made
// visible.
type Fault struct {
	Code   FaultCode `json:"code"`
	Detail string    `json:"detail"`
	// Status is the webhook's, for FaultStatus.
	Status int `json:"status,omitempty"`
	// RetryAfterMS is how long the webhook asked to be left alone (Retry-After),
	// in milliseconds; at most an hour.
	RetryAfterMS int64 `json:"retry_after_ms,omitempty"`
	// Hung says, with FaultGone, that the probe took the request and let its time
	// pass. The client alone knows.
	Hung bool `json:"-"`
}

// Error makes a Fault an error.
func (f *Fault) Error() string { return f.Detail }

// FaultCode is the kind of a Fault.
type FaultCode string

// The kinds. FaultGone and FaultNonsense are not told by the probe but by the
// client: the first when it cannot be reached, hangs or dies, the second when what
// it answers cannot be.
const (
	FaultInvalid   FaultCode = "invalid"   // the request is not one
	FaultSilent    FaultCode = "silent"    // no answer in time
	FaultRefused   FaultCode = "refused"   // nothing listens there
	FaultStranger  FaultCode = "stranger"  // what listens or answers is not of the Target's control group
	FaultKernel    FaultCode = "kernel"    // the kernel does not tell whose a socket is, so nothing is sent
	FaultMalformed FaultCode = "malformed" // what it answers is not the protocol
	FaultPassword  FaultCode = "password"  // the game refused the RCON password
	FaultBanned    FaultCode = "banned"    // the game closed the connection before it answered, as it does to who is banned
	FaultAddress   FaultCode = "address"   // the webhook's address is not allowed
	FaultRedirect  FaultCode = "redirect"  // the webhook redirects, which is not followed
	FaultTLS       FaultCode = "tls"       // its certificate is not valid, or TLS failed
	FaultUnreached FaultCode = "unreached" // the webhook has no name or there is no way to it, so nothing was sent
	FaultNetwork   FaultCode = "network"   // the connection broke, or what came over it is not the protocol
	FaultStatus    FaultCode = "status"    // it answered with another status than 2xx
	FaultBusy      FaultCode = "busy"      // the probe has too much to do
	FaultGone      FaultCode = "gone"
	FaultNonsense  FaultCode = "nonsense"
)
