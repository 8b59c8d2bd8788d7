package orchestrator

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// A stop that was cut off finds the link of its server there.
func TestForeignHand(t *testing.T) {
	t.Parallel()
	o, _ := deskBench(t)
	wants := filepath.Join(filepath.Dir(o.Files.Root()), "etc/systemd/system/multi-user.target.wants")
	if err := os.Symlink("/x/"+server.Template, filepath.Join(wants, server.Name("a").Unit())); err != nil {
		t.Fatal(err)
	}
	now, err := o.Units.LinksChanged()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for name, c := range map[string]struct {
		step   string
		mark   mark
		masked bool
	}{
		"not begun":                           {"", mark{Linked: true, Links: now}, false},
		"no link when it began":               {stepBegun, mark{Linked: false, Links: now}, false},
		"did not come to it":                  {stepLink, mark{Linked: true, Links: now}, false},
		"turned it, and it was turned back":   {stepLink, mark{Linked: true, Links: now - 1}, false},
		"systemd left it, others were turned": {stepLink, mark{Linked: true, Links: now - 1}, true},
		"masked, and no link when it began":   {stepBegun, mark{Linked: false, Links: now}, true},
	} {
		row := store.JobRow{Job: server.Job{Server: "a", Kind: server.JobStop}, Step: c.step, Mark: c.mark.encode()}
		if got[name], err = o.foreignHand(row, false, c.masked); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	want := map[string]bool{
		"not begun": false, "no link when it began": true, "did not come to it": false,
		"turned it, and it was turned back": true, "systemd left it, others were turned": false,
		"masked, and no link when it began": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another hand (-want +got):\n%s", diff)
	}
}
