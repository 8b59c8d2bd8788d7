package machine

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestCacheDir(t *testing.T) {
	for _, test := range []struct{ cache, xdg, home, want string }{
		{"/c", "/x", "/h", "/c"},
		{"", "/x", "/h", "/x/left4med"},
		{"", "", "/h", "/h/.cache/left4med"},
		{"", "", "", "/var/cache/left4med"},
	} {
		t.Setenv("LEFT4MED_CACHE", test.cache)
		t.Setenv("XDG_CACHE_HOME", test.xdg)
		t.Setenv("HOME", test.home)
		if got, err := CacheDir(); err != nil || got != test.want {
			t.Errorf("%+v: got %q, %v", test, got, err)
		}
	}
}

func TestMissingProgramsAreNamedWithTheirCure(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := CheckHost()
	const want = "not on this host: mmdebstrap, mount, nsenter, systemd-nspawn, unshare; " +
		"install with: apt-get install mmdebstrap mount systemd-container util-linux"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := Boot(t.Context(), Options{Release: Bookworm}); err == nil {
		t.Error("booted without programs")
	}
	if _, err := ensureTree(t.Context(), t.TempDir(), baseTree(Bookworm), io.Discard); err == nil {
		t.Error("built without programs")
	}
}

func TestUnknownReleaseIsRefused(t *testing.T) {
	t.Parallel()
	_, err := Boot(t.Context(), Options{Release: "../x"})
	if err == nil || !strings.Contains(err.Error(), "one of bookworm, trixie") {
		t.Errorf("got %v", err)
	}
}

func TestLockWaitsForItsContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	held, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	held.Close()
	again, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	buffer := &tail{limit: 5}
	for _, text := range []string{"abc", "", "defg", "h"} {
		if n, err := buffer.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
	if got := buffer.String(); got != "defgh" {
		t.Errorf("got %q", got)
	}
}
