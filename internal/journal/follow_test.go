package journal

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

const followed = `cat <<'E'
{"__REALTIME_TIMESTAMP":"1000000","MESSAGE":"of ours","_SYSTEMD_INVOCATION_ID":"0123456789abcdef0123456789abcdef"}
{"__REALTIME_TIMESTAMP":"2000000","MESSAGE":"of another","_SYSTEMD_INVOCATION_ID":"ffffffffffffffffffffffffffffffff"}
{"__REALTIME_TIMESTAMP":"3000000","MESSAGE":"of none"}
E
`

// Follow leaves out other runs, until it is told to end or journalctl does.
func TestFollow(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := map[string]time.Time{}
	err := fake(t, followed+"sleep 1000").Follow(ctx, "a.service", "0123456789abcdef0123456789abcdef", 10, time.Time{}, func(at time.Time, message string) {
		if got[message] = at; len(got) == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if diff := cmp.Diff(map[string]time.Time{"of ours": time.Unix(1, 0).UTC(), "of none": time.Unix(3, 0).UTC()}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	err = fake(t, followed).Follow(t.Context(), "a.service", "", 10, time.Time{}, func(time.Time, string) {})
	if !errors.Is(err, &server.Error{Code: server.CodeInternal}) {
		t.Errorf("journalctl ended: %v", err)
	}
}
