package instance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/left4med/left4med/internal/server"
)

// A reset that was cut short anywhere and is done again ends as if it had not
// been: with the settings it had and nothing of what the game wrote.
func TestRenewalConverges(t *testing.T) {
	t.Parallel()
	want := newTree(t)
	must(t, want.Create(t.Context(), "a", 7, testConfig()))
	written := func(tree *Tree) {
		must(t, tree.Create(t.Context(), "a", 7, testConfig()))
		must(t, os.WriteFile(filepath.Join(tree.root, "runtime/a/upper/kept"), []byte("x"), 0o600))
		must(t, os.MkdirAll(filepath.Join(tree.root, "runtime/a/work/work"), 0o000))
	}
	cleared := func(tree *Tree) error { // as the game's own uid does
		err := os.Remove(filepath.Join(tree.root, "runtime/.a.removed/upper/kept"))
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	reset := func(tree *Tree) error {
		twice, err := tree.Twice("a")
		if err != nil {
			return err
		}
		if twice {
			must(t, cleared(tree))
			if err := tree.RemoveRuntime("a"); err != nil {
				return err
			}
		}
		if err := tree.RetireRuntime("a"); err != nil {
			return err
		}
		must(t, cleared(tree))
		return tree.Renew("a")
	}
	crashes(t, written, reset, func(tree *Tree, at string) {
		must(t, reset(tree))
		must(t, tree.Check("a"))
		if removed, err := tree.Removed(); err != nil || len(removed) != 0 {
			t.Errorf("crash before %q: %v is left, %v", at, removed, err)
		}
		same(t, files(t, want), files(t, tree))
	})
}

// What could not be emptied keeps its place, and does not keep the server from
// being given a new one, reset once more or removed.
func TestRenewalRefusesAFullLayer(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	must(t, tree.Create(t.Context(), "a", 7, testConfig()))
	must(t, os.WriteFile(filepath.Join(tree.root, "runtime/a/upper/kept"), []byte("x"), 0o600))
	must(t, tree.RetireRuntime("a"))
	fails(t, tree.Renew("a"), server.CodeInstanceFiles, "upper is not empty")
	must(t, tree.Check("a"))
	fails(t, tree.RetireRuntime("a"), server.CodeInstanceFiles, "left of an earlier")
	twice, err := tree.Twice("a")
	must(t, err)
	same(t, true, twice)
	must(t, os.Remove(filepath.Join(tree.root, "runtime/.a.removed/upper/kept")))
	must(t, tree.RemoveRuntime("a"))
	must(t, tree.RetireRuntime("a"))
	must(t, tree.Renew("a"))
	must(t, tree.Check("a"))
}
