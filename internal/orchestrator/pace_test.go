package orchestrator

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	for _, step := range []struct {
		second int
		line   string
		want   *server.Progress
	}{
		{0, "steamcmd: Loading Steam API...OK", nil},
		{0, "step saving the present installation", &server.Progress{Text: "saving the present installation"}},
		{1, "progress reconfiguring 0 0", &server.Progress{Text: "reconfiguring"}},
		{2, "progress downloading 0 9000000000", &server.Progress{Done: 0, Total: 9e9, Text: "downloading 0.0 %"}},
		{3, "progress downloading 10000000 9000000000", &server.Progress{Done: 1e7, Total: 9e9, Text: "downloading 0.1 %, 10.0 MB/s, 15 min left"}},
		{4, "progress downloading 10000000 9000000000", &server.Progress{Done: 1e7, Total: 9e9, Text: "downloading 0.1 %, 5.0 MB/s, 30 min left"}},
		{12, "progress downloading 4104000000 9000000000", &server.Progress{Done: 4104e6, Total: 9e9, Text: "downloading 45.6 %, 410.4 MB/s, 12 s left"}},
		{13, "progress downloading 9000000000 9000000000", &server.Progress{Done: 9e9, Total: 9e9, Text: "downloading 100.0 %, 899.0 MB/s"}},
		{13, "progress verifying 5 10", &server.Progress{Done: 5, Total: 10, Text: "verifying 50.0 %"}},
		// A second pass begins anew, and a clock that was set back tells no speed.
		{9, "progress verifying 1 10", &server.Progress{Done: 1, Total: 10, Text: "verifying 10.0 %"}},
		{8, "progress verifying 2 10", &server.Progress{Done: 2, Total: 10, Text: "verifying 20.0 %"}},
	} {
		got := p.add(timedLine{time.Unix(int64(step.second), 0), server.ParseInstallLine(step.line)})
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%d s, %s (-want +got):\n%s", step.second, step.line, diff)
		}
	}
}
