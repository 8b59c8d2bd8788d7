package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// device names a browser in which a user has signed in before.
type device struct {
	user int64
	id   [deviceID]byte
}

const deviceID = 16

// cookie is the device as the browser keeps it: it and a proof that we made it.
func (d device) cookie(key []byte) string {
	raw := d.bytes()
	b := base64.RawURLEncoding
	return b.EncodeToString(raw) + "." + b.EncodeToString(sign(key, raw))
}

func (d device) bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(d.user)), d.id[:]...)
}

// parseDevice reads a cookie; ok is false for all that we did not make.
func parseDevice(key []byte, cookie string) (d device, ok bool) {
	if len(cookie) > 128 { // ours have 76
		return device{}, false
	}
	first, second, _ := strings.Cut(cookie, ".")
	b := base64.RawURLEncoding.Strict()
	raw, err1 := b.DecodeString(first)
	proof, err2 := b.DecodeString(second)
	if err1 != nil || err2 != nil || len(raw) != 8+deviceID || !hmac.Equal(proof, sign(key, raw)) {
		return device{}, false
	}
	d.user = int64(binary.BigEndian.Uint64(raw))
	copy(d.id[:], raw[8:])
	return d, true
}

func newDevice(user int64) device { return device{user, [deviceID]byte(random(deviceID))} }

func sign(key, raw []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(append([]byte("device\x00"), raw...))
	return h.Sum(nil)
}
