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

	"github.com/left4med/left4med/internal/server"
)

// Accounts knows this host's users from passwd(5), which is read again when it
// changes. It is safe for concurrent use.
type Accounts struct {
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

// NewAccounts reads from the given file, usually /etc/passwd. One that cannot be
// read has no entries.
func NewAccounts(passwd string) *Accounts { return &Accounts{path: passwd} }

// SystemAccounts reads /etc/passwd.
func SystemAccounts() *Accounts { return NewAccounts("/etc/passwd") }

// User is the name of a uid, or "" when it has none.
func (a *Accounts) User(uid uint32) string { return a.read().names[uid] }

// UID is the uid of a user.
func (a *Accounts) UID(user string) (uint32, bool) {
	id, ok := a.read().ids[user]
	return id, ok
}

// Requester is the peer as the record of a request shows it.
func (a *Accounts) Requester(p Peer) server.Requester {
	via := server.ViaHTTP
	if p.BusName != "" {
		via = server.ViaDBus
	}
	return server.Requester{UID: p.UID, User: server.Visible(a.User(p.UID)), Via: via}
}

// read returns the file's content, from memory when the file is the same.
func (a *Accounts) read() table {
	info, err := os.Stat(a.path)
	if err != nil {
		return table{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := stampOf(info); now != a.stamp {
		version, content, err := load(a.path)
		if err != nil {
			return table{}
		}
		a.stamp, a.table = version, content
	}
	return a.table
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
	lines.Buffer(nil, 1<<20)
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
