package upper

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Verify reads an archive to its end and says whether Extract would take it. It
// makes nothing.
func Verify(in io.Reader) (Contents, error) {
	c, err := unpack(in, checker{})
	if err != nil {
		err = fmt.Errorf("the archive is damaged: %w", err)
	}
	return c, err
}

// Extract puts what is in an archive into a layer, which must be empty and
// belong to the caller. It writes nowhere else: it follows no link, and takes no
// path that leads up or out, no device but a whiteout, no attribute but
// overlayfs' own, and of modes none but those of reading, writing and running.
func Extract(in io.Reader, layer *os.Root) (Contents, error) {
	top, err := layer.Open(".")
	if err != nil {
		return Contents{}, fmt.Errorf("cannot open the upper layer: %w", err)
	}
	x := &extractor{top: top, dir: top}
	defer x.close()
	c, err := unpack(in, x)
	if err != nil {
		err = fmt.Errorf("cannot restore the upper layer: %w", err)
	}
	return c, err
}

// maker makes the entries of an archive, which were checked. down and up change
// the directory that the others work in.
type maker interface {
	down(h *tar.Header, name string) error
	up() error
	file(h *tar.Header, name string, body io.Reader) error
	link(h *tar.Header, name string, target []string) error
	symlink(h *tar.Header, name string) error
	whiteout(h *tar.Header, name string) error
}

// unpack reads an archive and has its entries made. Its first entry is the
// daemon's and is passed over. The others stand in the order of Archive: each
// directory before what is in it, and all of that before anything else.
func unpack(in io.Reader, m maker) (Contents, error) {
	u := &unpacker{make: m}
	whole := &ended{in: in}
	r := tar.NewReader(whole)
	if h, err := r.Next(); err != nil || h.Typeflag != tar.TypeReg {
		return u.done, errors.Join(err, errors.New("it does not begin with the settings"))
	}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = u.entry(h, r)
		}
		if err != nil {
			return u.done, err
		}
	}
	if whole.ended {
		return u.done, errors.New("its end is missing")
	}
	if err := onlyZeros(in); err != nil {
		return u.done, err
	}
	return u.done, u.climb(0)
}

// ended notes whether what it reads has ended: a whole tar ends by itself.
type ended struct {
	in    io.Reader
	ended bool
}

func (e *ended) Read(p []byte) (int, error) {
	n, err := e.in.Read(p)
	if n > 0 {
		return n, nil // an end that came with it comes again
	}
	e.ended = e.ended || errors.Is(err, io.EOF)
	return n, err
}

// onlyZeros reads to the end what fills up a tar, and with it the checksums.
func onlyZeros(in io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return errors.New("something follows its end")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type unpacker struct {
	make maker
	at   []string // the directory that is open
	done Contents
}

// entry checks an entry and has it made.
func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	refuse := func(why string) error { return fmt.Errorf("its entry %s %s", shownPath(h.Name), why) }
	path, ok := split(h.Name, h.Typeflag == tar.TypeDir)
	if !ok {
		return refuse("has no possible path")
	}
	for key := range h.PAXRecords {
		mark, isMark := strings.CutPrefix(key, paxXattr)
		if isMark && !validMark(mark) || !isMark && !slices.Contains([]string{"path", "linkpath", "size", "mtime"}, key) {
			return refuse("has attributes that are never archived")
		}
	}
	parent, name := path[:len(path)-1], path[len(path)-1]
	if len(parent) > len(u.at) || !slices.Equal(parent, u.at[:len(parent)]) {
		return refuse("is not where its directory is")
	}
	if err := u.climb(len(parent)); err != nil {
		return err
	}
	u.done.Entries++
	if h.Typeflag != tar.TypeReg && h.Size != 0 {
		return refuse("has contents")
	}
	switch h.Typeflag {
	case tar.TypeDir:
		u.at = append(u.at, name)
		return u.make.down(h, name)
	case tar.TypeReg:
		u.done.Bytes += h.Size
		return u.make.file(h, name, body)
	case tar.TypeLink:
		target, ok := split(h.Linkname, false)
		if !ok {
			return refuse("is another name of something impossible")
		}
		return u.make.link(h, name, target)
	case tar.TypeSymlink:
		if h.Linkname == "" || len(h.Linkname) >= unix.PathMax || strings.ContainsRune(h.Linkname, 0) {
			return refuse("is a link to nothing")
		}
		return u.make.symlink(h, name)
	case tar.TypeChar:
		if h.Devmajor != 0 || h.Devminor != 0 {
			return refuse("is a device")
		}
		return u.make.whiteout(h, name)
	}
	return refuse("is of no kind that is archived")
}

// climb goes up until so many directories are open.
func (u *unpacker) climb(depth int) error {
	for len(u.at) > depth {
		if err := u.make.up(); err != nil {
			return err
		}
		u.at = u.at[:len(u.at)-1]
	}
	return nil
}

// split takes the path of an entry apart, below the layer's top.
func split(path string, dir bool) ([]string, bool) {
	rest, ok := strings.CutPrefix(path, archiveRoot+"/")
	if dir {
		rest = strings.TrimSuffix(rest, "/")
	}
	if !ok || rest == "" || len(path) > maxArchivePath+1 || strings.ContainsRune(rest, 0) {
		return nil, false
	}
	names := strings.Split(rest, "/")
	for _, name := range names {
		if name == "" || name == "." || name == ".." || len(name) > unix.NAME_MAX {
			return nil, false
		}
	}
	return names, true
}

// checker makes nothing, and reads what there is to read.
type checker struct{}

func (checker) down(*tar.Header, string) error           { return nil }
func (checker) up() error                                { return nil }
func (checker) link(*tar.Header, string, []string) error { return nil }
func (checker) symlink(*tar.Header, string) error        { return nil }
func (checker) whiteout(*tar.Header, string) error       { return nil }
func (checker) file(_ *tar.Header, _ string, body io.Reader) error {
	_, err := io.Copy(io.Discard, body)
	return err
}

// extractor makes what it is told, in one open directory at a time.
type extractor struct {
	top, dir *os.File
	way      []made // from the top to dir
}

// made is a directory that gets its mode and time once all in it is made.
type made struct {
	parent fileID
	mode   uint32
	time   time.Time
}

func (x *extractor) close() {
	if x.dir != x.top {
		x.dir.Close()
	}
	x.top.Close()
}

func (x *extractor) fd() int { return int(x.dir.Fd()) }

func (x *extractor) change(to *os.File) {
	if x.dir != x.top {
		x.dir.Close()
	}
	x.dir = to
}

func (x *extractor) down(h *tar.Header, name string) error {
	if err := unix.Mkdirat(x.fd(), name, dirMode); err != nil {
		return failed("mkdir", h, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(x.fd(), &st); err != nil {
		return failed("stat", h, err)
	}
	sub, err := step(x.dir, name, fileID{})
	if err != nil {
		return err
	}
	x.change(sub)
	x.way = append(x.way, made{idOf(&st), mode(h), h.ModTime})
	return x.marks(h, x.fd())
}

func (x *extractor) up() error {
	last := x.way[len(x.way)-1]
	x.way = x.way[:len(x.way)-1]
	parent, err := step(x.dir, "..", last.parent)
	if err != nil {
		return err
	}
	if err = finish(x.fd(), last.mode, last.time); err != nil {
		parent.Close()
		return &fs.PathError{Op: "give its mode and time to", Path: x.dir.Name(), Err: err}
	}
	x.change(parent)
	return nil
}

func (x *extractor) file(h *tar.Header, name string, body io.Reader) error {
	fd, err := unix.Openat(x.fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return failed("create", h, err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = io.Copy(f, body)
	if err == nil {
		err = x.marks(h, fd)
	}
	if err == nil {
		err = finish(fd, mode(h), h.ModTime)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return failed("write", h, err)
	}
	return nil
}

// link gives a file that was made a further name.
func (x *extractor) link(h *tar.Header, name string, target []string) error {
	at, err := x.top, error(nil)
	for _, elem := range target[:len(target)-1] {
		next, err := step(at, elem, fileID{})
		if at != x.top {
			at.Close()
		}
		if err != nil {
			return failed("find the file of", h, err)
		}
		at = next
	}
	if at != x.top {
		defer at.Close()
	}
	last := target[len(target)-1]
	var st unix.Stat_t
	err = unix.Fstatat(int(at.Fd()), last, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("that is no file")
	}
	if err == nil {
		err = unix.Linkat(int(at.Fd()), last, x.fd(), name, 0)
	}
	return failed("link", h, err)
}

func (x *extractor) symlink(h *tar.Header, name string) error {
	err := unix.Symlinkat(h.Linkname, x.fd(), name)
	if err == nil {
		err = unix.UtimesNanoAt(x.fd(), name, times(h.ModTime), unix.AT_SYMLINK_NOFOLLOW)
	}
	return failed("link", h, err)
}

func (x *extractor) whiteout(h *tar.Header, name string) error {
	// Any user may make one: vfs_mknod in fs/namei.c, since Linux 5.8.
	return failed("mknod", h, unix.Mknodat(x.fd(), name, unix.S_IFCHR, 0))
}

func (x *extractor) marks(h *tar.Header, fd int) error {
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, paxXattr); ok {
			if err := unix.Fsetxattr(fd, name, []byte(value), 0); err != nil {
				return failed("mark", h, err)
			}
		}
	}
	return nil
}

func mode(h *tar.Header) uint32 { return uint32(h.Mode & 0o777) }

// finish gives an open file its mode and time.
func finish(fd int, mode uint32, at time.Time) error {
	return errors.Join(unix.Fchmod(fd, mode), unix.UtimesNanoAt(fd, "", times(at), unix.AT_EMPTY_PATH))
}

// times are those of an entry: it was read when it was written.
func times(at time.Time) []unix.Timespec {
	ts := unix.Timespec{Sec: at.Unix(), Nsec: int64(at.Nanosecond())}
	return []unix.Timespec{ts, ts}
}

func failed(op string, h *tar.Header, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s %s: %w", op, shownPath(h.Name), err)
}
