package upper

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// archiveRoot is the directory in an archive below which the layer is. What the
// daemon writes before it, a file with the settings, stands beside it.
const archiveRoot = "upper"

const (
	// maxArchivePath is the longest path that is archived, in bytes. A game may
	// nest directories until no path to the last one can be used any more.
	maxArchivePath = 32 << 10
	// maxHoles is how many bytes of a file may be holes: a file of none but these,
	// which costs a game nothing, could keep an archive from ever ending.
	maxHoles = 64 << 20
)

const (
	paxXattr     = "SCHILY.xattr." // as GNU tar and bsdtar write attributes
	overlayXattr = "user.overlay." // of a mount with userxattr
)

// Contents is what an archive holds or what was extracted of one.
type Contents struct {
	Entries int
	Bytes   int64 // of files
	// Skipped are what was left out and why, a line each, safe to print.
	Skipped []string
}

// Archive writes the layer to out as a tar of what is below its top: files,
// directories, links, hard links as such, and of overlayfs' own whiteouts and
// extended attributes; with modes and times, without owners. What cannot be put
// into an archive or be made again without root is left out and named: sockets,
// pipes, devices, files of holes and what is nested too deep.
//
// Nothing may change the layer meanwhile; a file that does is an error. It holds
// one directory open at a time however deep the tree is. Files and directories
// without a mode to read them need CAP_DAC_READ_SEARCH.
func Archive(layer *os.Root, out io.Writer) (Contents, error) {
	a := &archiver{tar: tar.NewWriter(out), linked: map[fileID]string{}}
	top, err := layer.Open(".")
	if err == nil {
		err = a.walk(top)
	}
	if err == nil {
		err = a.tar.Close()
	}
	if err != nil {
		err = fmt.Errorf("cannot archive the upper layer: %w", err)
	}
	return a.done, err
}

type fileID struct{ dev, ino uint64 }

func idOf(st *unix.Stat_t) fileID { return fileID{st.Dev, st.Ino} }

type archiver struct {
	tar    *tar.Writer
	linked map[fileID]string // the first name of each file that has several
	done   Contents
}

// level is a directory on the way down: which it is, and what in it is still to
// be entered.
type level struct {
	id   fileID
	left []string
	path string
}

// walk archives what is below top, and closes it. Each directory's own entries
// come first, then one after the other the directories in it, whole.
func (a *archiver) walk(top *os.File) error {
	dir := top
	defer func() { dir.Close() }()
	here, err := a.directory(dir, archiveRoot)
	if err != nil {
		return err
	}
	for way := []level{here}; ; {
		here := &way[len(way)-1]
		if len(here.left) == 0 {
			if way = way[:len(way)-1]; len(way) == 0 {
				return nil
			}
			up, err := step(dir, "..", way[len(way)-1].id)
			if err != nil {
				return err
			}
			dir.Close()
			dir = up
			continue
		}
		name := here.left[len(here.left)-1]
		here.left = here.left[:len(here.left)-1]
		down, err := step(dir, name, fileID{})
		if err != nil {
			return err
		}
		dir.Close()
		dir = down
		next, err := a.directory(dir, here.path+"/"+name)
		if err != nil {
			return err
		}
		way = append(way, next)
	}
}

var errChanged = errors.New("the layer changed while it was worked on; stop the server first")

// step opens a directory beside or below dir, which must be the wanted one
// unless that is not known.
func step(dir *os.File, name string, want fileID) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || want != (fileID{}) && idOf(&st) != want {
		f.Close()
		return nil, errors.Join(err, errChanged)
	}
	return f, nil
}

// directory archives an open directory and all in it but directories, and returns
// these.
func (a *archiver) directory(dir *os.File, path string) (level, error) {
	here := level{path: path}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return here, err
	}
	here.id = idOf(&st)
	if path != archiveRoot {
		if err := a.header(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/"}, &st, int(dir.Fd())); err != nil {
			return here, err
		}
	}
	err := eachEntry(dir, func(entry fs.DirEntry) error {
		name := entry.Name()
		if len(path)+1+len(name) > maxArchivePath {
			a.skip(path+"/"+name, "is nested too deep")
			return nil
		}
		if entry.IsDir() {
			here.left = append(here.left, name)
			return nil
		}
		return a.entry(dir, path+"/"+name, name)
	})
	return here, err
}

func (a *archiver) skip(path, why string) {
	const most = 100 // a game may have made any number
	if len(a.done.Skipped) < most {
		a.done.Skipped = append(a.done.Skipped, fmt.Sprintf("%s %s; it is not in the archive", shownPath(path), why))
	}
}

// shownPath is a path of the game's for the journal, cut and escaped.
func shownPath(path string) string {
	const most = 200
	path = strings.TrimPrefix(path, archiveRoot+"/")
	if len(path) > most {
		return fmt.Sprintf("%q… (%d bytes)", path[:most], len(path))
	}
	return fmt.Sprintf("%q", path)
}

// entry archives what is no directory.
func (a *archiver) entry(dir *os.File, path, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	h := &tar.Header{Name: path}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFREG && a.linked[idOf(&st)] != "":
		h.Typeflag, h.Linkname = tar.TypeLink, a.linked[idOf(&st)]
		return a.header(h, &st, -1)
	case kind == unix.S_IFREG:
		return a.file(dir, h, name, &st)
	case kind == unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(int(dir.Fd()), name, target)
		if err != nil {
			return &fs.PathError{Op: "readlink", Path: path, Err: err}
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, string(target[:n])
		return a.header(h, &st, -1)
	case kind == unix.S_IFCHR && st.Rdev == 0:
		h.Typeflag = tar.TypeChar
		return a.header(h, &st, -1)
	}
	a.skip(path, "is no file, directory or link")
	return nil
}

// file archives a regular file.
func (a *archiver) file(dir *os.File, h *tar.Header, name string, st *unix.Stat_t) error {
	if st.Size-st.Blocks*512 > maxHoles {
		a.skip(h.Name, fmt.Sprintf("is %d bytes long and takes %d on the disk", st.Size, st.Blocks*512))
		return nil
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: h.Name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := unix.Fstat(fd, st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(err, errChanged)
	}
	h.Typeflag, h.Size = tar.TypeReg, st.Size
	if err := a.header(h, st, fd); err != nil {
		return err
	}
	n, err := io.CopyN(a.tar, f, st.Size)
	a.done.Bytes += n
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s became shorter while it was read; stop the server first", shownPath(h.Name))
	}
	if err != nil {
		return err
	}
	if st.Nlink > 1 {
		a.linked[idOf(st)] = h.Name
	}
	return nil
}

// header writes an entry's header; fd is where it has extended attributes, -1
// for none.
func (a *archiver) header(h *tar.Header, st *unix.Stat_t, fd int) error {
	h.Format, h.Mode = tar.FormatPAX, int64(st.Mode&0o777)
	h.ModTime = time.Unix(st.Mtim.Unix())
	if fd >= 0 {
		marks, err := overlayMarks(fd)
		if err != nil {
			return &fs.PathError{Op: "read the extended attributes of", Path: h.Name, Err: err}
		}
		h.PAXRecords = marks
	}
	a.done.Entries++
	return a.tar.WriteHeader(h)
}

// overlayMarks reads what overlayfs has noted at a file, as records of a tar.
func overlayMarks(fd int) (map[string]string, error) {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(fd, list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var marks map[string]string
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if !strings.HasPrefix(name, overlayXattr) {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(fd, name, value)
		if err != nil {
			return nil, err
		}
		if !validMark(name) {
			continue // its name cannot stand in a record
		}
		if marks == nil {
			marks = map[string]string{}
		}
		marks[paxXattr+name] = string(value[:n])
	}
	return marks, nil
}

// validMark says whether an attribute is one of overlayfs' that may be given: not
// those that lead elsewhere, which the overlay as it is mounted refuses to follow.
func validMark(name string) bool {
	rest, ok := strings.CutPrefix(name, overlayXattr)
	return ok && rest != "redirect" && rest != "metacopy" && rest != "" && !strings.ContainsAny(rest, "=\x00")
}
