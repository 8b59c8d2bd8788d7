package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// becomeOwner gives up root's rights for those of who owns the directory of the
// database: what root writes there, the service could not. Nothing of it can be
// taken back. Who is not root stays who it is.
func becomeOwner(state string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir := filepath.Dir(state)
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s; `systemctl start left4med-web` makes it", dir)
	}
	if err != nil {
		return fmt.Errorf("cannot find out whose the users are: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("cannot find out who owns %s", dir)
	}
	if owner.Uid == 0 {
		return nil
	}
	// Of all threads; Go sees to that.
	uid, gid := int(owner.Uid), int(owner.Gid)
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid)); err != nil {
		return fmt.Errorf("cannot become the owner of %s, uid %d: %w", dir, uid, err)
	}
	return nil
}
