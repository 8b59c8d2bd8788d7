package steamcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

// room is the space that an update may take.
type room struct {
	free    int64 // bytes, with what the download has taken already
	checked bool
}

// margin is the space in bytes that an update must leave.
const margin = 64 << 20

func (i *Installer) room(s snapshots) (*room, error) {
	free, err := freeSpace(s.root, installation)
	if err != nil {
		return nil, err
	}
	taken, err := allocated(filepath.Join(i.Root, installation, "steamapps"))
	return &room{free: free + taken}, err
}

// enoughFor compares with the whole of the download, once that is known: what it
// has taken before counts as free.
func (r *room) enoughFor(at Progress) *Fault {
	if r.checked || at.Total == 0 || at.State != "preallocating" && at.State != "downloading" {
		return nil
	}
	r.checked = true
	if at.Total+margin <= r.free {
		return nil
	}
	return faultf(server.InstallNoSpace, "the update needs %s of disk and %s are free; make room and ask again", size(at.Total+margin), size(r.free))
}

// roomForFirst compares with what a first installation takes.
func (i *Installer) roomForFirst(s snapshots) *Fault {
	free, err := freeSpace(s.root, installation)
	if err != nil {
		return unexpected("see how much space is free", err)
	}
	have, err := allocated(filepath.Join(i.Root, partial))
	if err != nil {
		return unexpected("see how much is there of the download", err)
	}
	if need := i.Request.Space - have; free < need {
		return faultf(server.InstallNoSpace, "the game needs %s of disk at %s and %s are free; make room and ask again", size(need), filepath.Join(i.Root, installation), size(free))
	}
	return nil
}

// freeSpace is how many bytes the caller's user may still write.
func freeSpace(root *os.Root, name string) (int64, error) {
	dir, err := root.Open(name)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// allocated is how many bytes of disk a directory's files take; none when there
// is no such directory.
func allocated(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(name, &st)
		}
		if err == nil {
			sum += st.Blocks * 512
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return sum, err
}

// size words a number of bytes.
func size(n int64) string {
	const unit = 1 << 30
	if n < unit {
		return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20)
	}
	return strings.Replace(fmt.Sprintf("%.1f GiB", float64(n)/unit), ".0 ", " ", 1)
}
