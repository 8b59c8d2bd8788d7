package instance

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/left4med/left4med/internal/server"
)

// fail turns an error of the file system into one that says what could not be
// done and names the cure. doing completes "cannot …"; an error that is one
// already keeps its code, and its detail follows.
func (t *Tree) fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	var known *server.Error
	if errors.As(err, &known) {
		e := *known
		e.Detail = fmt.Sprintf("cannot %s: %s", doing, known.Detail)
		return &e
	}
	code, why := t.cause(err)
	return &server.Error{Code: code, Err: err, Detail: fmt.Sprintf("cannot %s: %s", doing, why)}
}

func (t *Tree) cause(err error) (server.Code, string) {
	what := t.role(err)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return server.CodeStorage, fmt.Sprintf("there is no space left for %s; free some (df -h %s) and try again", what, t.root)
	case errors.Is(err, syscall.EROFS):
		return server.CodeStorage, fmt.Sprintf("%s cannot be written: the file system of %s is read-only; mount it writable and try again", what, t.root)
	case errors.Is(err, syscall.EIO):
		return server.CodeStorage, fmt.Sprintf("the disk does not read or write %s; look at the kernel's messages (journalctl -k)", what)
	case errors.Is(err, fs.ErrNotExist):
		return server.CodeInstanceFiles, fmt.Sprintf("%s is missing; restore it, have it written anew (`l4d2ctl initialize NAME`, which needs the instance's directory), or delete the server", what)
	case errors.Is(err, fs.ErrPermission):
		return server.CodeInstanceFiles, fmt.Sprintf("access to %s is denied; it must belong to root, and left4med must run as root", what)
	}
	return server.CodeInstanceFiles, fmt.Sprintf("%s cannot be used; the log of left4med.service has the cause", what)
}

// role names what an error is about: its path, and what it is there for.
func (t *Tree) role(err error) string {
	var at *fs.PathError
	path := ""
	if errors.As(err, &at) {
		path = at.Path
	}
	role := "a file of the instance"
	for _, r := range []struct{ part, role string }{
		{backupsDir, "a backup"},
		{settingsFile, "the settings"},
		{envFile, "the environment file"},
		{layersDir, "the settings layer"},
		{"server.cfg", "the settings layer"},
		{"upper", "the upper layer"},
		{"work", "the overlay's work directory"},
		{"merged", "the mount point"},
		{"runtime", "the runtime directory"},
		{secretsFile, "the secrets"},
		{"instances", "the instance's directory"},
	} {
		if strings.Contains(path, r.part) {
			role = r.role
			break
		}
	}
	if filepath.IsAbs(path) {
		return role + " (" + path + ")"
	}
	return role + " (below " + t.root + ")"
}
