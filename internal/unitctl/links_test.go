package unitctl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

// tree is a root to put files into.
type tree string

func (r tree) path(p string) string { return filepath.Join(string(r), p) }

func (r tree) link(t testing.TB, target, p string) {
	t.Helper()
	r.dir(t, filepath.Dir(p))
	if err := os.Symlink(target, r.path(p)); err != nil {
		t.Fatal(err)
	}
}

func (r tree) file(t testing.TB, content, p string) {
	t.Helper()
	r.dir(t, filepath.Dir(p))
	if err := os.WriteFile(r.path(p), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r tree) dir(t testing.TB, p string) {
	t.Helper()
	if err := os.MkdirAll(r.path(p), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (r tree) remove(t testing.TB, p string) {
	t.Helper()
	if err := os.RemoveAll(r.path(p)); err != nil {
		t.Fatal(err)
	}
}

const (
	etc   = "etc/systemd/system/"
	wants = etc + "multi-user.target.wants/"
	lib   = "usr/lib/systemd/system/"
)

// oddLinks fills a tree with every kind of entry, and says what Links must make
// of it.
func oddLinks(t testing.TB, r tree) Links {
	t.Helper()
	template := "/" + lib + server.Template
	r.file(t, testTemplate, lib+server.Template)
	r.link(t, template, wants+unit("plain"))
	r.link(t, "../"+server.Template, wants+unit("relative"))
	r.link(t, "/nowhere/"+unit("own-name"), wants+unit("own-name"))
	r.link(t, "/nowhere/else.service", wants+unit("other-target"))
	r.link(t, "/dev/null", wants+unit("null"))
	r.file(t, "", etc+"empty")
	r.link(t, "../empty", wants+unit("empty-target"))
	r.file(t, "[Unit]", wants+unit("no-link"))
	r.dir(t, wants+unit("a-directory"))
	r.link(t, template, wants+unit("Odd.Name:x"))
	r.link(t, template, wants+server.Template)
	r.link(t, template, wants+"ssh.service")
	r.link(t, template, etc+"games.target.requires/"+unit("required"))
	r.link(t, "/dev/null", etc+"games.target.wants/"+unit("plain")) // enabled elsewhere
	r.link(t, template, etc+"games.target.d/"+unit("drop-in"))
	r.file(t, "", etc+"file.wants")
	r.link(t, template, "run/systemd/system/multi-user.target.wants/"+unit("runtime"))
	r.link(t, "/dev/null", etc+unit("masked"))
	r.file(t, "", etc+unit("masked-empty"))
	r.link(t, "/dev/null", "run/systemd/system/"+unit("masked-runtime"))
	r.link(t, "/dev/null", "run/systemd/system/"+unit("etc-wins"))
	r.file(t, "[Service]", etc+unit("etc-wins"))
	r.link(t, "/nowhere", etc+unit("dangling"))
	return Links{
		Enabled: map[string]bool{"plain": true, "relative": true, "own-name": true, "other-target": true, "Odd.Name:x": true, "required": true},
		Masked:  map[string]bool{"masked": true, "masked-empty": true, "masked-runtime": true, "etc-wins": false, "dangling": false},
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	r := tree(t.TempDir())
	want := oddLinks(t, r)
	m := New(Options{Root: string(r)})
	got, err := m.Links()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, instance := range []string{"plain", "relative", "own-name", "other-target", "null", "empty-target", "no-link", "a-directory", "Odd.Name:x", "required", "runtime", "masked", "absent"} {
		linked, err := m.Linked(instance)
		if err != nil || linked != want.Enabled[instance] {
			t.Errorf("Linked(%s): %v, %v", instance, linked, err)
		}
	}
	if _, err := m.Linked(""); err == nil {
		t.Error("the template was asked for")
	}
}

func TestLinksOfNothing(t *testing.T) {
	t.Parallel()
	m := New(Options{Root: t.TempDir()})
	got, err := m.Links()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Links{Enabled: map[string]bool{}, Masked: map[string]bool{}}, got); diff != "" {
		t.Error(diff)
	}
	if used, shadowed := m.TemplatePaths(); used != "" || shadowed != nil {
		t.Errorf("template: %q, %q", used, shadowed)
	}
	if at, err := m.LinksChanged(); at != 0 || err != nil {
		t.Errorf("LinksChanged: %d, %v", at, err)
	}
	if linked, err := m.Linked("a"); linked || err != nil {
		t.Errorf("Linked: %v, %v", linked, err)
	}
}

func TestTemplateMasked(t *testing.T) {
	t.Parallel()
	r := tree(t.TempDir())
	r.file(t, testTemplate, lib+server.Template)
	r.link(t, "/dev/null", "run/systemd/system/"+server.Template)
	r.file(t, "[Service]", etc+unit("own"))
	m := New(Options{Root: string(r)})
	check := func(masked bool) {
		t.Helper()
		l, err := m.Links()
		if err != nil {
			t.Fatal(err)
		}
		if l.TemplateMasked != masked || l.IsMasked("a") != masked || l.IsMasked("own") {
			t.Errorf("masked: %v; %+v", masked, l)
		}
	}
	check(true)
	r.file(t, testTemplate, etc+server.Template) // before /run in the search path
	check(false)
	r.file(t, "", etc+server.Template)
	check(true)
}

func TestTemplatePaths(t *testing.T) {
	t.Parallel()
	r := tree(t.TempDir())
	r.link(t, "usr/lib", "lib") // the same directory twice
	r.file(t, testTemplate, lib+server.Template)
	m := New(Options{Root: string(r)})
	check := func(wantUsed string, wantShadowed ...string) {
		t.Helper()
		used, shadowed := m.TemplatePaths()
		for i := range wantShadowed {
			wantShadowed[i] = r.path(wantShadowed[i])
		}
		if diff := cmp.Diff(wantShadowed, shadowed); used != r.path(wantUsed) || diff != "" {
			t.Errorf("%s\n%s", used, diff)
		}
	}
	check(lib + server.Template)
	r.file(t, testTemplate, "usr/local/lib/systemd/system/"+server.Template)
	r.link(t, "/dev/null", etc+server.Template)
	check(etc+server.Template, "usr/local/lib/systemd/system/"+server.Template, lib+server.Template)
}

// Nothing shows that a directory was written to the disk; what is no directory, or
// gone in the meantime, must not fail the change that was made.
func TestSyncLinks(t *testing.T) {
	t.Parallel()
	r := tree(t.TempDir())
	m := New(Options{Root: string(r)})
	for _, there := range []func(){
		func() {},
		func() { r.dir(t, etc) },
		func() { r.link(t, "/x", wants+"left4me-server@a.service"); r.file(t, "", etc+"odd.wants") },
	} {
		there()
		if err := m.SyncLinks(); err != nil {
			t.Error(err)
		}
	}
}

func TestLinksChanged(t *testing.T) {
	t.Parallel()
	r := tree(t.TempDir())
	r.dir(t, wants)
	at := time.Unix(1_700_000_000, 5)
	if err := os.Chtimes(r.path(wants), at, at); err != nil {
		t.Fatal(err)
	}
	m := New(Options{Root: string(r)})
	if got, err := m.LinksChanged(); err != nil || got != at.UnixNano() {
		t.Errorf("%d, %v", got, err)
	}
	r.link(t, "x", wants+unit("a"))
	if got, err := m.LinksChanged(); err != nil || got == at.UnixNano() {
		t.Errorf("%d, %v", got, err)
	}
}

func BenchmarkLinks1000(b *testing.B) {
	r := tree(b.TempDir())
	for i := range 1000 {
		r.link(b, "/"+lib+server.Template, wants+unit(fmt.Sprintf("server-%d", i)))
	}
	m := New(Options{Root: string(r)})
	for b.Loop() {
		if l, err := m.Links(); err != nil || len(l.Enabled) != 1000 {
			b.Fatal(len(l.Enabled), err)
		}
	}
}

// Links made and removed by hand are told, also in directories that come and go.
func TestWatchFiles(t *testing.T) {
	t.Parallel()
	r := tree(t.TempDir())
	r.dir(t, etc)
	m := New(Options{Root: string(r)})
	rec := run(t, m)
	isFiles := func(e Event) bool { return e.Kind == UnitFilesChanged }
	rec.after(t, 0, "the watch stands", isFiles)

	steps := []struct {
		name string
		do   func()
		want map[string]bool
	}{
		{"a first link in a new directory", func() { r.link(t, "x/"+server.Template, wants+unit("a")) }, map[string]bool{"a": true}},
		{"a second link", func() { r.link(t, "x/"+server.Template, wants+unit("b")) }, map[string]bool{"a": true, "b": true}},
		{"one replaced by rename", func() {
			r.link(t, "/dev/null", etc+"tmp")
			if err := os.Rename(r.path(etc+"tmp"), r.path(wants+unit("b"))); err != nil {
				t.Fatal(err)
			}
		}, map[string]bool{"a": true}},
		{"the directory removed", func() { r.remove(t, wants) }, map[string]bool{}},
		{"and made again", func() { r.link(t, "x/"+server.Template, wants+unit("c")) }, map[string]bool{"c": true}},
		{"another in its place", func() {
			r.link(t, "x/"+server.Template, "new/"+unit("d"))
			if err := os.Rename(r.path(wants), r.path("old")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(r.path("new"), r.path(wants)); err != nil {
				t.Fatal(err)
			}
		}, map[string]bool{"d": true}},
		{"a link in that one", func() { r.link(t, "x/"+server.Template, wants+unit("e")) }, map[string]bool{"d": true, "e": true}},
		{"a .requires directory", func() { r.link(t, "x/"+server.Template, etc+"x.target.requires/"+unit("f")) }, map[string]bool{"d": true, "e": true, "f": true}},
		{"a link removed", func() { r.remove(t, wants+unit("d")) }, map[string]bool{"e": true, "f": true}},
	}
	for _, step := range steps {
		mark := rec.mark()
		step.do()
		// Several events may tell of one step: read at each until it is there.
		rec.after(t, mark, step.name, func(e Event) bool {
			if !isFiles(e) {
				return false
			}
			l, err := m.Links()
			return err == nil && cmp.Equal(step.want, l.Enabled)
		})
	}

	mark := rec.mark()
	r.link(t, "/dev/null", etc+unit("a"))
	rec.after(t, mark, "a mask", isFiles)
	mark = rec.mark()
	r.link(t, "/dev/null", etc+server.Template)
	rec.after(t, mark, "the template masked", isFiles)
}

// Without systemd there is one Disconnected event, and every verb says what is
// wrong at once.
func TestNoSystemd(t *testing.T) {
	t.Parallel()
	m := New(Options{Root: t.TempDir()})
	rec := run(t, m)
	e := rec.after(t, 0, "disconnected", func(e Event) bool { return e.Kind == Disconnected })
	if e.Err == nil || m.Connected() {
		t.Errorf("%+v", e)
	}
	_, err := m.Start(t.Context(), unit("a"))
	if !isCode(err, server.CodeSystemdUnavailable) {
		t.Errorf("start: %v", err)
	}
	if err := m.Run(t.Context(), func(Event) {}); err == nil {
		t.Error("it ran twice")
	}
}

func TestRunAgain(t *testing.T) {
	t.Parallel()
	m := New(Options{Root: t.TempDir()})
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		if err := m.Run(ctx, func(e Event) {
			if e.Kind == Disconnected {
				cancel()
			}
		}); err != nil {
			t.Error(err)
		}
	}
}
