package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func options(path string) Options {
	return Options{
		Path: path, ApplicationID: 7, Readers: 2,
		Migrations: []string{`CREATE TABLE a (x);`, `CREATE TABLE b (x); INSERT INTO b VALUES (1);`},
		Words:      Words{Program: "prog", Owner: "them", Directory: "make it", Loss: "all is lost"},
	}
}

func open(t *testing.T, o Options) *DB {
	t.Helper()
	d, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, o Options, parts ...string) {
	t.Helper()
	d, err := Open(t.Context(), o)
	if err == nil {
		t.Fatal(errors.Join(errors.New("it was opened"), d.Close()))
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T: %v", err, err)
	}
	for _, p := range parts {
		if !strings.Contains(e.Error(), p) {
			t.Errorf("%q is missing in: %v", p, e)
		}
	}
}

// Several open a new file at once; each step is done once, and what one writes
// all others see.
func TestShared(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b#?%.db")
	dbs := make([]*DB, 4)
	errs := make([]error, len(dbs))
	var group sync.WaitGroup
	for i := range dbs {
		group.Go(func() { dbs[i], errs[i] = Open(t.Context(), options(path)) })
	}
	group.Wait()
	must(t, errors.Join(errs...))
	for _, d := range dbs {
		_, err := d.Writer.ExecContext(t.Context(), `INSERT INTO b VALUES (2)`)
		must(t, err)
		if _, err := d.Readers.ExecContext(t.Context(), `DELETE FROM b`); err == nil {
			t.Error("a reading connection can write")
		}
	}
	for _, d := range dbs {
		var n int
		must(t, d.Readers.QueryRowContext(t.Context(), `SELECT count(*) FROM b`).Scan(&n))
		if diff := cmp.Diff([]int{2, 1 + len(dbs)}, []int{d.Schema(), n}); diff != "" {
			t.Error(diff)
		}
		must(t, d.Close())
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	must(t, os.Chmod(path, 0o644))
	open(t, options(path))
	if info, err = os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprintf("alone %v", alone), func(t *testing.T) {
			t.Parallel()
			o := func(path string) Options {
				o := options(path)
				o.Alone = alone
				return o
			}
			dir := t.TempDir()
			link := filepath.Join(dir, "link")
			must(t, os.Symlink("/etc/passwd", link))
			refused(t, o(link), "not a plain file", "move it away")
			refused(t, o(dir), "not a plain file")
			refused(t, o(filepath.Join(dir, "no", "x.db")), "does not exist; make it")
			zeros := filepath.Join(dir, "zeros")
			must(t, os.WriteFile(zeros, make([]byte, 10000), 0o600))
			refused(t, o(zeros), "damaged", "stop prog", "all is lost")

			path := filepath.Join(dir, "x.db")
			must(t, open(t, o(path)).Close())
			other := o(path)
			other.ApplicationID = 8
			refused(t, other, "belongs to another program", "prog will make a new one")
			newer := o(path)
			newer.Migrations = newer.Migrations[:1]
			refused(t, newer, "schema version 2 and this prog knows versions up to 1")
			bad := o(path)
			bad.Migrations = append(bad.Migrations, `CREATE TABLE c (x); nonsense`)
			refused(t, bad, "cannot open the database", "cannot bring the schema to version 3")
			d := open(t, o(path))
			if d.Schema() != 2 {
				t.Errorf("a step that failed left version %d", d.Schema())
			}
			if alone {
				refused(t, o(path), "another prog is using it", "systemctl stop prog")
			}
		})
	}
}
