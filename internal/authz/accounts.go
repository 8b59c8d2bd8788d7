package authz

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Accounts knows this host's users and groups from passwd(5) and group(5).
// Both files are read again when they change. It is safe for concurrent use.
type Accounts struct {
	users, groups colonFile
}

// NewAccounts reads from the given files, usually /etc/passwd and /etc/group.
// A file that cannot be read has no entries: then nobody is in any group.
func NewAccounts(passwd, group string) *Accounts {
	return &Accounts{users: colonFile{path: passwd}, groups: colonFile{path: group}}
}

// SystemAccounts reads /etc/passwd and /etc/group.
func SystemAccounts() *Accounts { return NewAccounts("/etc/passwd", "/etc/group") }

// User is the name of a uid, or "" when it has none.
func (a *Accounts) User(uid uint32) string { return a.users.read().names[uid] }

// UID is the uid of a user.
func (a *Accounts) UID(user string) (uint32, bool) {
	id, ok := a.users.read().ids[user]
	return id, ok
}

// GID is the gid of a group.
func (a *Accounts) GID(group string) (uint32, bool) {
	id, ok := a.groups.read().ids[group]
	return id, ok
}

// colonFile is a file with lines of the form name:password:id:…
type colonFile struct {
	path string

	mu    sync.Mutex
	stamp stamp
	table table
}

// table is one reading of a file; it never changes.
type table struct {
	ids   map[string]uint32
	names map[uint32]string // the first name of an id, as getpwuid(3) answers
}

// stamp tells two versions of a file apart.
type stamp struct {
	device, inode     uint64
	size              int64
	modified, changed int64 // mtime and ctime in ns
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), modified: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode, s.changed = uint64(st.Dev), st.Ino, st.Ctim.Nano()
	}
	return s
}

// read returns the file's content, from memory when the file is the same.
func (f *colonFile) read() table {
	info, err := os.Stat(f.path)
	if err != nil {
		return table{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := stampOf(info); now != f.stamp {
		version, content, err := load(f.path)
		if err != nil {
			return table{}
		}
		f.stamp, f.table = version, content
	}
	return f.table
}

func load(path string) (stamp, table, error) {
	file, err := os.Open(path)
	if err != nil {
		return stamp{}, table{}, fmt.Errorf("cannot open %s: %w", path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return stamp{}, table{}, fmt.Errorf("cannot look at %s: %w", path, err)
	}
	t := table{ids: map[string]uint32{}, names: map[uint32]string{}}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20) // a group's line lists its members
	for lines.Scan() {
		t.add(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return stamp{}, table{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return stampOf(info), t, nil
}

func (t table) add(line string) {
	fields := strings.SplitN(line, ":", 4)
	if len(fields) < 3 || fields[0] == "" || fields[0][0] == '#' {
		return
	}
	n, err := strconv.ParseUint(fields[2], 10, 32)
	if err != nil {
		return
	}
	if _, ok := t.ids[fields[0]]; !ok {
		t.ids[fields[0]] = uint32(n)
	}
	if _, ok := t.names[uint32(n)]; !ok {
		t.names[uint32(n)] = fields[0]
	}
}
