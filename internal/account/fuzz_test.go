package account

import (
	"strings"
	"testing"
)

func FuzzPHC(f *testing.F) {
	own := phc{tiny, random(saltBytes), random(keyBytes)}.String()
	for _, s := range []string{
		own, "", "$", own + "\n", own + "=", strings.Replace(own, "p=1", "p=01", 1), strings.Replace(own, "m=8", "m=4294967295", 1),
		strings.Replace(own, "t=1", "t=0", 1), strings.Replace(own, "argon2id", "argon2i", 1), "$argon2id$v=19$m=8,t=1,p=1$$",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePHC(text)
		if err != nil {
			if text == own {
				t.Fatal(err)
			}
			return
		}
		same(t, text, p.String())
		if c := p.cost; c.MemoryKiB > maxMemoryKiB || c.Passes < 1 || c.Passes > maxPasses || c.Threads < 1 || c.Threads > maxThreads {
			t.Errorf("cost %+v", c)
		}
	})
}

func FuzzDevice(f *testing.F) {
	key := []byte("0123456789abcdef0123456789abcdef")
	d := device{user: 7, id: [deviceID]byte{1, 2, 3}}
	own := d.cookie(key)
	for _, s := range []string{own, "", ".", own + ".", own + "A", own[1:], d.cookie([]byte("another key")), strings.Replace(own, ".", "..", 1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cookie string) {
		got, ok := parseDevice(key, cookie)
		if ok != (cookie == own) || ok && got != d {
			t.Errorf("%q is %+v, %v", cookie, got, ok)
		}
	})
}
