package adopt

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// old is the user who owns everything on a host of the old system, and runs all
// of its games.
const old = 980

// host lays out the game data as the package leaves it on such a host: the two
// directories at the top are root's, what is below is the old user's. Paths
// are below runtime/; "d/" is a directory, "l>target" a link, anything else a
// file; one that begins with "root:" is root's.
func host(t *testing.T, paths ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs CAP_CHOWN, as the unit has it")
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, os.Mkdir(filepath.Join(root, "runtime"), 0o711))
	for _, path := range paths {
		path, roots := strings.CutPrefix(path, "root:")
		name, target, isLink := strings.Cut(path, ">")
		full := filepath.Join(root, "runtime", name)
		switch {
		case isLink:
			must(t, os.Symlink(target, full))
		case strings.HasSuffix(path, "/"):
			must(t, os.Mkdir(full, 0o755))
		default:
			must(t, os.WriteFile(full, nil, 0o644))
		}
		if !roots {
			must(t, os.Lchown(full, old, old))
		}
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree says of each path below root who it belongs to, its mode, and which it is.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		all[strings.TrimPrefix(path, root)] = fmt.Sprintf("%d:%d %o inode %d", st.Uid, st.Gid, st.Mode, st.Ino)
		return nil
	}))
	return all
}

// owned is tree without the inodes.
func owned(t *testing.T, root string) map[string]string {
	t.Helper()
	all := tree(t, root)
	for path, text := range all {
		all[path], _, _ = strings.Cut(text, " inode")
	}
	return all
}

func TestRuntime(t *testing.T) {
	t.Parallel()
	root := host(t, "a/", "a/upper/", "a/upper/kept", "a/upper/deep/", "a/work/", "root:a/work/work/", "a/merged/",
		"b/", "b/upper/")
	must(t, os.Chmod(filepath.Join(root, "runtime/a/work"), 0))
	must(t, os.Chmod(filepath.Join(root, "runtime/b"), 0o777))
	want := [][]string{{"runtime/a", "runtime/a/work", "runtime/a/merged"}, nil, {"runtime/b"}, nil}
	var got [][]string
	for _, name := range []string{"a", "a", "b", "none"} {
		changed, err := Runtime(root, name, Owner{})
		must(t, err)
		got = append(got, changed)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	owners := map[string]string{
		"": "0:0 40755", "/runtime": "0:0 40711",
		"/runtime/a": "0:0 40711", "/runtime/a/work": "0:0 40700", "/runtime/a/work/work": "0:0 40755", "/runtime/a/merged": "0:0 40755",
		"/runtime/a/upper": "980:980 40755", "/runtime/a/upper/kept": "980:980 100644", "/runtime/a/upper/deep": "980:980 40755",
		"/runtime/b": "0:0 40711", "/runtime/b/upper": "980:980 40755",
	}
	if diff := cmp.Diff(owners, owned(t, root)); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

func TestRefusedAndUnchanged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		paths []string
		says  string
	}{
		"a link in its place":       {[]string{"other/", "a>other"}, "runtime/a is no directory"},
		"a file in its place":       {[]string{"a"}, "runtime/a is no directory"},
		"upper is a link":           {[]string{"a/", "a/upper>/etc", "a/work/"}, "upper is no directory"},
		"work is a link":            {[]string{"a/", "a/upper/", "a/work>/etc"}, "work is no directory"},
		"merged is a link":          {[]string{"a/", "a/upper/", "a/merged>/etc"}, "merged is no directory"},
		"merged is a file":          {[]string{"a/", "a/upper/", "a/merged"}, "merged is no directory"},
		"something else is there":   {[]string{"a/", "a/upper/", "a/x\n"}, `"x\n", which does not belong there`},
		"work is the user's":        {[]string{"a/", "a/work/", "a/work/work/"}, "not what the kernel made"},
		"a link in work":            {[]string{"a/", "a/work/", "root:a/work/index>/etc"}, "not what the kernel made"},
		"something else is in work": {[]string{"a/", "a/work/", "a/work/mine/"}, `"mine", which does not belong there`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := host(t, test.paths...)
			before := tree(t, root)
			changed, err := Runtime(root, "a", Owner{})
			if err == nil || !strings.Contains(err.Error(), test.says) || changed != nil {
				t.Errorf("changed %q, error %v; want none, and %q", changed, err, test.says)
			}
			if diff := cmp.Diff(before, tree(t, root)); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestTheWayThereMustBeOurs(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(root string) error{
		"root is another's":    func(root string) error { return os.Chown(root, old, old) },
		"runtime is another's": func(root string) error { return os.Chown(root+"/runtime", old, old) },
		"all may write":        func(root string) error { return os.Chmod(root+"/runtime", 0o777) },
		"runtime is a link": func(root string) error {
			if err := os.Rename(root+"/runtime", root+"/elsewhere"); err != nil {
				return err
			}
			return os.Symlink("elsewhere", root+"/runtime")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := host(t, "a/", "a/upper/")
			must(t, spoil(root))
			before := tree(t, root)
			if _, err := Runtime(root, "a", Owner{}); err == nil {
				t.Error("it was taken over")
			}
			if diff := cmp.Diff(before, tree(t, root)); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestExchanged has the old user exchange what was looked at, at the last moment
// at which it can: nothing outside changes, and what is done is done to what was
// looked at or not at all.
func TestExchanged(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"upper", "work", "merged"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := host(t, "a/", "a/upper/", "a/work/", "a/merged/")
			outside := host(t, "victim/", "victim/file")
			before := tree(t, outside)
			tk := &taker{root: root, step: func(what string) {
				if what != "looked" {
					return
				}
				at := filepath.Join(root, "runtime/a", name)
				must(t, os.Rename(at, filepath.Join(root, "runtime/a.old")))
				must(t, os.Symlink(filepath.Join(outside, "runtime/victim"), at))
			}}
			err := tk.run("a")
			if err == nil || !strings.Contains(err.Error(), name+" is no directory") {
				t.Errorf("error %v, want one that says what became of %s", err, name)
			}
			if diff := cmp.Diff(before, tree(t, outside)); diff != "" {
				t.Errorf("what the link leads to changed (-before +after):\n%s", diff)
			}
		})
		t.Run(name+" by another directory", func(t *testing.T) {
			t.Parallel()
			root := host(t, "a/", "a/upper/", "a/work/", "a/merged/", "b/")
			tk := &taker{root: root, step: func(what string) {
				if what == "looked" {
					at := filepath.Join(root, "runtime/a", name)
					must(t, os.Rename(at, filepath.Join(root, "runtime/a.old")))
					must(t, os.Rename(filepath.Join(root, "runtime/b"), at))
				}
			}}
			if err := tk.run("a"); err == nil || !strings.Contains(err.Error(), "exchanged meanwhile") {
				t.Errorf("error %v, want one that says that something was exchanged", err)
			}
			if got := owned(t, root)["/runtime/a/"+name]; got != "980:980 40755" {
				t.Errorf("what was put there is %s now", got)
			}
		})
	}
	t.Run("the whole", func(t *testing.T) {
		t.Parallel()
		root := host(t, "a/", "a/upper/", "b/", "b/upper/")
		tk := &taker{root: root, step: func(what string) {
			if what == "looked" {
				must(t, os.Rename(filepath.Join(root, "runtime/a"), filepath.Join(root, "runtime/a.old")))
				must(t, os.Symlink("b", filepath.Join(root, "runtime/a")))
			}
		}}
		must(t, tk.run("a"))
		got := owned(t, root)
		want := map[string]string{"/runtime/a.old": "0:0 40711", "/runtime/b": "980:980 40755"}
		if diff := cmp.Diff(want, map[string]string{"/runtime/a.old": got["/runtime/a.old"], "/runtime/b": got["/runtime/b"]}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A list of rights on a directory would let its old owner in again, or be handed
// on to what is made in it.
func TestListsOfRightsEnd(t *testing.T) {
	t.Parallel()
	root := host(t, "a/", "a/upper/", "a/work/")
	// Version 2; user::rwx, user:980:rwx, group::rwx, mask::rwx, other::rwx, as in
	// linux/posix_acl_xattr.h.
	list := []byte("\x02\x00\x00\x00" +
		"\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\xd4\x03\x00\x00" + "\x04\x00\x07\x00\xff\xff\xff\xff" +
		"\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x07\x00\xff\xff\xff\xff")
	const access, inherit = "system.posix_acl_access", "system.posix_acl_default"
	top := filepath.Join(root, "runtime/a")
	for _, name := range []string{access, inherit} {
		if err := unix.Setxattr(top, name, list, 0); err != nil {
			t.Skip("this file system has no lists of rights: ", err)
		}
	}
	_, err := Runtime(root, "a", Owner{})
	must(t, err)
	for _, name := range []string{access, inherit} {
		if _, err := unix.Getxattr(top, name, nil); err != unix.ENODATA {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := owned(t, root)["/runtime/a"]; got != "0:0 40711" {
		t.Error(got)
	}
}
