package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// HashCost is what one hash of a password takes.
type HashCost struct {
	MemoryKiB uint32
	Passes    uint32
	Threads   uint8
}

// defaultCost is what OWASP recommends at the least for argon2id
// (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html).
func defaultCost() HashCost { return HashCost{MemoryKiB: 19456, Passes: 2, Threads: 1} }

// What a stored hash may demand: one that was tampered with shall not take the
// host's memory.
const (
	maxMemoryKiB = 1 << 18
	maxPasses    = 64
	maxThreads   = 16
	minBytes     = 8
	maxBytes     = 64
	saltBytes    = 16
	keyBytes     = 32
)

// phc is a hashed password, with all it takes to hash another one likewise.
type phc struct {
	cost      HashCost
	salt, key []byte
}

// String writes it as PHC, "$argon2id$v=19$m=19456,t=2,p=1$SALT$KEY".
func (p phc) String() string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		p.cost.MemoryKiB, p.cost.Passes, p.cost.Threads, b.EncodeToString(p.salt), b.EncodeToString(p.key))
}

// parsePHC reads what String wrote, and nothing else.
func parsePHC(text string) (phc, error) {
	bad := func(what string) (phc, error) {
		return phc{}, fmt.Errorf("a stored password is not argon2id as left4med-web writes it: %s", what)
	}
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return bad("its form or version")
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return bad("its cost")
	}
	var n [3]uint64
	for i, bound := range []struct {
		key string
		max uint64
	}{{"m=", maxMemoryKiB}, {"t=", maxPasses}, {"p=", maxThreads}} {
		digits, ok := strings.CutPrefix(costs[i], bound.key)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || v < 1 || v > bound.max || strconv.FormatUint(v, 10) != digits {
			return bad("its cost")
		}
		n[i] = v
	}
	var raw [2][]byte
	for i, field := range parts[4:] {
		v, err := base64.RawStdEncoding.Strict().DecodeString(field)
		if err != nil || len(v) < minBytes || len(v) > maxBytes || strings.ContainsAny(field, "\r\n") {
			return bad("its salt or its key")
		}
		raw[i] = v
	}
	return phc{HashCost{uint32(n[0]), uint32(n[1]), uint8(n[2])}, raw[0], raw[1]}, nil
}

// hasher hashes passwords, two at a time in all: each takes 19 MiB and a
// processor. Whoever is known has a lane that strangers cannot fill.
type hasher struct {
	cost            HashCost
	decoy           phc // matches no password; takes as long as one that does
	known, stranger lane
}

func newHasher(cost HashCost) *hasher {
	if cost == (HashCost{}) {
		cost = defaultCost()
	}
	return &hasher{cost: cost, decoy: phc{cost, random(saltBytes), random(keyBytes)}, known: newLane(), stranger: newLane()}
}

// matches says whether the password is the hashed one, in the same time for
// each. A want of "" is matched by none.
func (h *hasher) matches(ctx context.Context, l lane, want, password string) (ok, outdated bool, err error) {
	p := h.decoy
	if want != "" {
		if p, err = parsePHC(want); err != nil {
			return false, false, &Error{Code: CodeInternal, Detail: "cannot check the password: the stored one is damaged; an administrator can set a new one (left4med-web user password)", Err: err}
		}
	}
	if err := l.enter(ctx); err != nil {
		return false, false, err
	}
	defer l.leave()
	key := argon2.IDKey([]byte(password), p.salt, p.cost.Passes, p.cost.MemoryKiB, p.cost.Threads, uint32(len(p.key)))
	ok = subtle.ConstantTimeCompare(key, p.key) == 1
	return ok && want != "", p.cost != h.cost, nil
}

// hash hashes a new password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.known.enter(ctx); err != nil {
		return "", err
	}
	defer h.known.leave()
	salt := random(saltBytes)
	key := argon2.IDKey([]byte(password), salt, h.cost.Passes, h.cost.MemoryKiB, h.cost.Threads, keyBytes)
	return phc{h.cost, salt, key}.String(), nil
}

// maxWaiting is how many may wait in a lane: some seconds' work.
const maxWaiting = 64

// lane lets one in at a time, in the order of their coming.
type lane struct {
	turn    chan struct{}
	waiting *atomic.Int32
}

func newLane() lane { return lane{make(chan struct{}, 1), new(atomic.Int32)} }

func (l lane) enter(ctx context.Context) error {
	if l.waiting.Add(1) > maxWaiting {
		l.waiting.Add(-1)
		const pause = 5 * time.Second
		return &Error{Code: CodeTooManyAttempts, RetryAfter: pause,
			Detail: fmt.Sprintf("too many are signing in at once; try again in %v", pause)}
	}
	defer l.waiting.Add(-1)
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l lane) leave() { <-l.turn }

// random is n bytes that nobody can guess.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails, by its documentation
	return b
}
