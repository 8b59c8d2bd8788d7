package upper_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/upper"
)

// facts tells of everything below dir what an archive has to keep of it.
func facts(t *testing.T, dir string) map[string]string {
	t.Helper()
	found, names := map[string]string{}, map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		fact := fmt.Sprintf("%o", st.Mode)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, _ := os.Readlink(path)
			fact += " to " + target
		case unix.S_IFREG:
			text, _ := os.ReadFile(path)
			fact += fmt.Sprintf(" %q", text)
			if first := names[st.Ino]; first != "" {
				fact += " is " + first
			}
			names[st.Ino] = name
		case unix.S_IFCHR:
			fact = fmt.Sprintf("device %d", st.Rdev)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFCHR {
			fact += fmt.Sprintf(" %d", st.Mtim.Nano())
		}
		found[name] = strings.Join(append([]string{fact}, marks(t, path)...), " ")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// archived is a layer's archive as a backup holds it, after the daemon's entry.
func archived(t *testing.T, layer string) (*bytes.Buffer, upper.Contents) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	writeEntry(t, w, &tar.Header{Name: "left4med.json", Typeflag: tar.TypeReg, Mode: 0o600, Size: 2}, "{}")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	c, err := upper.Archive(openRoot(t, layer), &b)
	if err != nil {
		t.Fatal(err)
	}
	return &b, c
}

func writeEntry(t testing.TB, w *tar.Writer, h *tar.Header, body string) {
	t.Helper()
	err := w.WriteHeader(h)
	if err == nil {
		_, err = io.WriteString(w, body)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestArchiveAndExtract(t *testing.T) {
	t.Parallel()
	layer := tree(t, "a/b/c", "a/empty/", "z", "link>../../etc/passwd", "-rf", "new\nline/x", "bad\xff/\xfe", "sp ace", strings.Repeat("n", 255)+"/"+strings.Repeat("m", 255), "upper/left4med.json", "replaced/own.bsp", "shut/x")
	for name, text := range map[string]string{"a/b/c": "hello", "z": strings.Repeat("long", 100_000)} {
		if err := os.WriteFile(filepath.Join(layer, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	makeWhiteout(t, layer+"/a/gone")
	mark(t, layer+"/replaced", "user.overlay.opaque", "y")
	mark(t, layer+"/a/b", "user.overlay.redirect", "/elsewhere") // leads nowhere, and is left out
	for _, err := range []error{
		os.Link(layer+"/a/b/c", layer+"/zz"),
		os.Chmod(layer+"/z", 0o751), os.Chmod(layer+"/shut", 0o500),
		unix.Mkfifo(layer+"/pipe", 0o600),
		os.Chtimes(layer+"/a/b", time.Now(), time.Unix(1234567890, 123456789)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	holes, err := os.Create(layer + "/a/holes")
	if err != nil {
		t.Fatal(err)
	}
	defer holes.Close()
	if err := holes.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	b, done := archived(t, layer)
	skipped := []string{
		fmt.Sprintf(`"a/holes" is %d bytes long and takes 0 on the disk; it is not in the archive`, int64(1)<<40),
		`"pipe" is no file, directory or link; it is not in the archive`,
	}
	if len(done.Skipped) == 2 && done.Skipped[0] > done.Skipped[1] {
		done.Skipped[0], done.Skipped[1] = done.Skipped[1], done.Skipped[0]
	}
	if diff := cmp.Diff(skipped, done.Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	for _, name := range []string{"/a/holes", "/pipe"} {
		stamp := modTime(t, filepath.Dir(layer+name))
		if err := errors.Join(os.Remove(layer+name), os.Chtimes(filepath.Dir(layer+name), stamp, stamp)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Lremovexattr(layer+"/a/b", "user.overlay.redirect"); err != nil {
		t.Fatal(err)
	}
	checked, err := upper.Verify(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	into := t.TempDir()
	made, err := upper.Extract(bytes.NewReader(b.Bytes()), openRoot(t, into))
	if err != nil {
		t.Fatal(err)
	}
	done.Skipped = nil
	if diff := cmp.Diff([]upper.Contents{done, done}, []upper.Contents{checked, made}); diff != "" {
		t.Errorf("checked and made (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(facts(t, layer), facts(t, into)); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	for n := 0; n < b.Len()/512; n += 1 + n/8 { // whatever is cut off at a block is missed
		if _, err := upper.Verify(bytes.NewReader(b.Bytes()[:n*512])); err == nil {
			t.Fatalf("an archive that ends after %d of %d bytes is taken", n*512, b.Len())
		}
	}
}

func modTime(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

func TestArchiveDeepTree(t *testing.T) {
	t.Parallel()
	layer := tree(t)
	dir := openRoot(t, layer)
	name := strings.Repeat("d", 200)
	for range 170 { // a little longer than any path that is archived
		if err := dir.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
		sub, err := dir.OpenRoot(name)
		if err != nil {
			t.Fatal(err)
		}
		dir.Close()
		dir = sub
	}
	dir.Close()
	b, done := archived(t, layer)
	if len(done.Skipped) != 1 || !strings.Contains(done.Skipped[0], "is nested too deep") || len(done.Skipped[0]) > 500 {
		t.Errorf("skipped: %q", done.Skipped)
	}
	made, err := upper.Extract(b, openRoot(t, t.TempDir()))
	if err != nil || made.Entries != done.Entries {
		t.Errorf("%d of %d directories made, %v", made.Entries, done.Entries, err)
	}
	if _, err := upper.Clear(openRoot(t, layer), self()); err != nil {
		t.Error(err)
	}
}

// hostileEntries are what no layer's archive has.
func hostileEntries() map[string][]*tar.Header {
	file := func(name string) *tar.Header { return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	dir := func(name string) *tar.Header { return &tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755} }
	return map[string][]*tar.Header{
		"an absolute path":         {file("/etc/passwd")},
		"a path that leads up":     {file("upper/../x")},
		"one that leads out":       {dir("upper/a/"), file("upper/a/../../../x")},
		"beside the layer":         {file("lower/x")},
		"the top itself":           {dir("upper/")},
		"no directory before it":   {file("upper/a/x")},
		"a directory left before":  {dir("upper/a/"), dir("upper/b/"), file("upper/a/x")},
		"through a link":           {{Name: "upper/a", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, file("upper/a/x")},
		"the same directory twice": {dir("upper/a/"), dir("upper/a/")},
		"the same file twice":      {file("upper/a"), file("upper/a")},
		"a device":                 {{Name: "upper/mem", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 1}},
		"a disk":                   {{Name: "upper/sda", Typeflag: tar.TypeBlock}},
		"a pipe":                   {{Name: "upper/pipe", Typeflag: tar.TypeFifo}},
		"a link to a file outside": {{Name: "upper/x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"another name of a link":   {{Name: "upper/a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, {Name: "upper/b", Typeflag: tar.TypeLink, Linkname: "upper/a"}},
		"of something not there":   {{Name: "upper/x", Typeflag: tar.TypeLink, Linkname: "upper/y"}},
		"an attribute of security": {{Name: "upper/x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "x"}}},
		"an attribute that leads":  {{Name: "upper/x", Typeflag: tar.TypeDir, PAXRecords: map[string]string{"SCHILY.xattr.user.overlay.redirect": "/etc"}}},
		"an access list":           {{Name: "upper/x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.system.posix_acl_access": "x"}}},
	}
}

func packed(t testing.TB, entries ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range append([]*tar.Header{{Name: "left4med.json", Typeflag: tar.TypeReg}}, entries...) {
		writeEntry(t, w, h, "")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHostileArchives(t *testing.T) {
	t.Parallel()
	for what, entries := range hostileEntries() {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			around := t.TempDir()
			if err := os.Mkdir(around+"/layer", 0o700); err != nil {
				t.Fatal(err)
			}
			_, err := upper.Extract(bytes.NewReader(packed(t, entries...)), openRoot(t, around+"/layer"))
			if err == nil {
				t.Error("it was extracted")
			}
			if diff := cmp.Diff([]string{"layer/"}, list(t, around)[:1]); diff != "" {
				t.Errorf("what is beside the layer (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("modes", func(t *testing.T) {
		t.Parallel()
		layer := t.TempDir()
		if _, err := upper.Extract(bytes.NewReader(packed(t, &tar.Header{Name: "upper/su", Typeflag: tar.TypeReg, Mode: 0o6755, Uid: 0})), openRoot(t, layer)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(layer + "/su")
		if err != nil || info.Mode() != 0o755 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	})
	t.Run("something follows", func(t *testing.T) {
		t.Parallel()
		if _, err := upper.Verify(bytes.NewReader(append(packed(t), 'x'))); err == nil {
			t.Error("it was taken")
		}
	})
}

// What Verify takes Extract can make, or says why not, and nothing lands beside
// the layer.
func FuzzExtract(f *testing.F) {
	for _, entries := range hostileEntries() {
		f.Add(packed(f, entries...))
	}
	f.Add(packed(f, &tar.Header{Name: "upper/d/", Typeflag: tar.TypeDir, Mode: 0o755}, &tar.Header{Name: "upper/d/gone", Typeflag: tar.TypeChar}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		around := t.TempDir()
		if err := os.Mkdir(around+"/layer", 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(around + "/layer")
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		_, checked := upper.Verify(bytes.NewReader(data))
		_, made := upper.Extract(bytes.NewReader(data), root)
		if checked != nil && made == nil {
			t.Errorf("extracted although %v", checked)
		}
		entries, err := os.ReadDir(around)
		if err != nil || len(entries) != 1 {
			t.Errorf("beside the layer: %v, %v", entries, err)
		}
		if _, err := upper.Clear(root, self()); err != nil {
			t.Error(err)
		}
	})
}
