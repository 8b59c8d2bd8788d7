package instance

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/left4med/left4med/internal/server"
	"golang.org/x/sys/unix"
)

// Backups lie in backups/NAME, as ID.tar.gz. All of it is root's; a game's uid
// writes to the one that is being made by a descriptor of systemd's alone.
const (
	backupsDir = "backups"

	// newBackup is the one that is being made, restoreBackup another name of the
	// one that is being restored: the units know them by these.
	newBackup     = ".new"
	restoreBackup = ".restore"

	backupSuffix = ".tar.gz"
)

// minFree is how many bytes must be free for a backup to be begun. How large it
// will be nobody knows: root does not look into the layer.
const minFree = 16 << 20

// BeginBackup begins the backup of an instance with its settings and secrets as
// they are stored; the unit adds the rest. One that was begun before is replaced.
// The error's code is CodeNoSpace when the disk is all but full.
func (t *Tree) BeginBackup(name server.Name, h BackupHead) error {
	doing := "begin a backup of " + string(name)
	if _, err := server.ParseName(string(name)); err != nil {
		return err
	}
	instance, err := t.open(instancesDir, string(name))
	if err != nil {
		return t.fail(doing, err)
	}
	defer instance.Close()
	if h.secrets, err = readSecrets(instance); err != nil {
		return t.fail(doing, err)
	}
	head, err := h.encode()
	if err != nil {
		return t.fail(doing, err)
	}
	dir, err := t.makeBackups(name)
	if err != nil {
		return t.fail(doing, err)
	}
	defer dir.Close()
	if err := t.room(dir); err != nil {
		return t.fail(doing, err)
	}
	return t.fail(doing, t.writeFile(dir, newBackup, head, 0o600))
}

// makeBackups opens the directory of an instance's backups, and makes it where it
// is missing.
func (t *Tree) makeBackups(name server.Name) (*os.Root, error) {
	all, err := t.parent(backupsDir)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	if err := t.makeDir(all, string(name), 0o700); err != nil {
		return nil, err
	}
	if err := syncDir(all); err != nil {
		return nil, err
	}
	return t.openIn(all, string(name))
}

// room returns an error with code CodeNoSpace when there is none left for an
// unprivileged process.
func (t *Tree) room(dir *os.Root) error {
	self, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer self.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(self.Fd()), &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir.Name(), Err: err}
	}
	if free := int64(st.Bavail) * st.Bsize; free < minFree {
		return server.Errorf(server.CodeNoSpace, "only %d MiB are free for %s; free some (df -h %s), or delete backups that nobody needs, and try again", free>>20, dir.Name(), t.root)
	}
	return nil
}

// Room returns an error with code CodeNoSpace when the disk of the backups, or
// with ofLayers that of the upper layers, is all but full.
func (t *Tree) Room(ofLayers bool) error {
	where := backupsDir
	if ofLayers {
		where = runtimeDir
	}
	dir, err := t.open(where)
	if err != nil {
		return t.fail("look for free space", err)
	}
	defer dir.Close()
	return t.fail("write what is needed", t.room(dir))
}

// KeepBackup gives the backup that was begun, and to which the unit has added the
// upper layer, its place and the id, or, where that is taken, the next one that is
// free. It answers that id once all of it is on the disk.
func (t *Tree) KeepBackup(name server.Name, id int64) (int64, error) {
	id, err := t.keepBackup(name, id)
	return id, t.fail("keep the backup of "+string(name), err)
}

func (t *Tree) keepBackup(name server.Name, id int64) (int64, error) {
	dir, err := t.open(backupsDir, string(name))
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(newBackup, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0, in(dir, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	head, err := readBackup(f)
	if err == nil && head.length >= info.Size() {
		err = errors.New("the unit added nothing to the settings")
	}
	if err != nil {
		return 0, &server.Error{Code: server.CodeInternal, Err: err, Detail: "it is not as it was written; `journalctl -u left4med` tells more"}
	}
	if err := f.Sync(); err != nil {
		return 0, in(dir, err)
	}
	for exists(dir, backupFile(id)) {
		id++ // of jobs of a database that is lost
	}
	return id, t.rename(dir, newBackup, backupFile(id))
}

// DropBackup removes a backup that was begun and not kept.
func (t *Tree) DropBackup(name server.Name) error { return t.dropBackup(name, newBackup) }

// EndRestore lets go of the backup that was chosen with UseBackup.
func (t *Tree) EndRestore(name server.Name) error { return t.dropBackup(name, restoreBackup) }

// DeleteBackup removes a backup. The error's code is CodeBackupNotFound when
// there is none with that id.
func (t *Tree) DeleteBackup(name server.Name, id int64) error {
	dir, err := t.open(backupsDir, string(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoBackup(name, id)
	}
	if err == nil {
		defer dir.Close()
		if !exists(dir, backupFile(id)) {
			return ErrNoBackup(name, id)
		}
		err = t.removeAll(dir, backupFile(id))
	}
	return t.fail(fmt.Sprintf("delete the backup %d of %s", id, name), err)
}

func (t *Tree) dropBackup(name server.Name, file string) error {
	dir, err := t.open(backupsDir, string(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer dir.Close()
		err = t.removeAll(dir, file)
	}
	return t.fail("remove what is left of a backup of "+string(name), err)
}

// ErrNoBackup is the error of code CodeBackupNotFound.
func ErrNoBackup(name server.Name, id int64) *server.Error {
	return server.Errorf(server.CodeBackupNotFound, "%s has no backup %d; `l4d2ctl show %s` lists those it has", name, id, name)
}

func backupFile(id int64) string { return strconv.FormatInt(id, 10) + backupSuffix }

func backupID(file string) (int64, bool) {
	digits, ok := strings.CutSuffix(file, backupSuffix)
	id, err := strconv.ParseInt(digits, 10, 64)
	return id, ok && err == nil && id > 0 && backupFile(id) == file
}

// Backups lists an instance's backups, the newest first. What they say of
// themselves is read from them; one that says nothing has the time of its file.
func (t *Tree) Backups(name server.Name) ([]server.Backup, error) {
	backups, err := t.backups(name)
	return backups, t.fail("list the backups of "+string(name), err)
}

func (t *Tree) backups(name server.Name) ([]server.Backup, error) {
	dir, err := t.open(backupsDir, string(name))
	if errors.Is(err, fs.ErrNotExist) {
		return []server.Backup{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	found := []server.Backup{}
	for _, e := range entries {
		id, ok := backupID(e.Name())
		info, err := e.Info()
		if !ok || err != nil || !info.Mode().IsRegular() {
			continue
		}
		b := server.Backup{ID: id, CreatedAt: info.ModTime().UTC(), Reason: server.BackupUnknown, Size: info.Size()}
		if h, err := openBackup(dir, e.Name()); err == nil {
			b.CreatedAt, b.Reason = h.CreatedAt.UTC(), h.Reason
		}
		found = append(found, b)
	}
	slices.SortFunc(found, func(a, b server.Backup) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return cmp.Compare(b.ID, a.ID)
	})
	return found, nil
}

// PruneBackups removes all but the newest of those that were taken by themselves.
func (t *Tree) PruneBackups(name server.Name, keep int) error {
	backups, err := t.Backups(name)
	if err != nil {
		return err
	}
	for _, b := range backups {
		if !b.Reason.Automatic() {
			continue
		}
		if keep--; keep < 0 {
			if err := t.DeleteBackup(name, b.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// RemoveBackups removes all backups of an instance. Done before, it does nothing.
func (t *Tree) RemoveBackups(name server.Name) error {
	if _, err := server.ParseName(string(name)); err != nil {
		return err
	}
	dir, err := t.open(backupsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer dir.Close()
		err = t.removeAll(dir, string(name))
	}
	return t.fail("remove the backups of "+string(name), err)
}

// UseBackup chooses a backup for the units that check and restore it, and returns
// what it says of itself. The error's code is CodeBackupNotFound or
// CodeBackupDamaged.
func (t *Tree) UseBackup(name server.Name, id int64) (BackupHead, error) {
	doing := fmt.Sprintf("use the backup %d of %s", id, name)
	dir, err := t.open(backupsDir, string(name))
	if errors.Is(err, fs.ErrNotExist) {
		return BackupHead{}, ErrNoBackup(name, id)
	}
	if err != nil {
		return BackupHead{}, t.fail(doing, err)
	}
	defer dir.Close()
	if !exists(dir, backupFile(id)) {
		return BackupHead{}, ErrNoBackup(name, id)
	}
	head, err := openBackup(dir, backupFile(id))
	if err == nil && head.Name != name {
		err = fmt.Errorf("it is of %q", head.Name)
	}
	if err != nil {
		return BackupHead{}, &server.Error{Code: server.CodeBackupDamaged, Err: err,
			Detail: fmt.Sprintf("the backup %d of %s is damaged: its settings cannot be read; choose another (`l4d2ctl show %s`)", id, name, name)}
	}
	if err := t.removeAll(dir, restoreBackup); err != nil {
		return BackupHead{}, t.fail(doing, err)
	}
	t.step("link " + restoreBackup)
	return head, t.fail(doing, in(dir, dir.Link(backupFile(id), restoreBackup)))
}

// Untouched says whether no game has ever had the instance's upper layer: then
// there is nothing in it.
func (t *Tree) Untouched(name server.Name) (bool, error) {
	const doing = "look at the upper layer"
	dir, err := t.open(runtimeDir, string(name))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, t.fail(doing, err)
	}
	defer dir.Close()
	info, err := dir.Lstat("upper")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, t.fail(doing, in(dir, err))
	case !info.IsDir():
		return false, server.Errorf(server.CodeInstanceFiles, "%s is not a directory (%s); move it away", filepath.Join(dir.Name(), "upper"), kind(info.Mode()))
	case ownerOf(info) != t.uid:
		return false, nil
	}
	empty, err := emptyDir(dir, "upper")
	return empty, t.fail(doing, in(dir, err))
}
