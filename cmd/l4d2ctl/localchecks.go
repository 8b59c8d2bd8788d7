package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/left4med/left4med/client"
)

// template is the unit template of the games, and templateDir where the package
// puts it.
const (
	template    = "left4me-server@.service"
	templateDir = "/usr/lib/systemd/system"
)

// reinstall brings lost files of the package back.
const reinstall = "apt-get install --reinstall left4med"

// unitPath is where systemd looks for units, the first that has one wins
// (systemd.unit(5), "Unit File Load Path").
var unitPath = [...]string{
	"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
	"/run/systemd/generator.early", "/etc/systemd/system", "/etc/systemd/system.attached",
	"/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

// localChecks looks for the reason why the daemon cannot be reached, with
// nothing but the file system to ask.
func (a *app) localChecks(why error) []client.Check {
	return []client.Check{
		a.checkSystemd(),
		a.checkInstalled(),
		a.checkSocket(why),
		a.checkTemplate(),
	}
}

func (a *app) exists(path string) bool {
	_, err := os.Stat(filepath.Join(a.root, path))
	return err == nil
}

// checkSystemd is sd_booted(3): the directory is there when systemd is PID 1.
func (a *app) checkSystemd() client.Check {
	if a.exists("/run/systemd/system") {
		return client.Check{Name: "systemd", OK: true, LookedAt: "process 1", Found: "it is PID 1"}
	}
	return client.Check{
		Name: "systemd", LookedAt: "process 1",
		Found: "this host was not booted with systemd (it may be a container without one); left4med needs a host or a machine whose PID 1 it is",
	}
}

func (a *app) checkInstalled() client.Check {
	if a.exists("/usr/sbin/left4med") {
		return client.Check{Name: "package", OK: true, LookedAt: "/usr/sbin/left4med", Found: "left4med is installed"}
	}
	return client.Check{
		Name: "package", LookedAt: "/usr/sbin/left4med", Found: "it is not there: the package is not installed, or not wholly",
		Cure: reinstall,
	}
}

func (a *app) checkSocket(why error) client.Check {
	path := a.socketPath()
	c := client.Check{Name: "socket", LookedAt: path}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Found, c.Cure = "it does not exist", "systemctl enable --now left4med.socket left4med.service"
	case errors.Is(err, fs.ErrPermission), errors.Is(why, fs.ErrPermission):
		c.Found, c.Cure = "this user may not open it; as left4med.socket makes it everybody may", "systemctl restart left4med.socket"
	case err != nil:
		c.Found, c.Cure = err.Error(), "systemctl status left4med.socket"
	case info.Mode()&fs.ModeSocket == 0:
		c.Found, c.Cure = "it is no socket", "rm '"+strings.ReplaceAll(path, "'", `'\''`)+"' && systemctl restart left4med.socket"
	case errors.Is(why, syscall.ECONNREFUSED):
		c.Found, c.Cure = "nobody listens on it", "systemctl restart left4med.socket left4med.service"
	default:
		c.Found, c.Cure = "it can be opened, but left4med does not answer: "+why.Error(),
			"journalctl -u left4med.service"
	}
	return c
}

// checkTemplate finds the unit template that systemd would use. One in front of
// the package's replaces all of its limits and its hardening.
func (a *app) checkTemplate() client.Check {
	c := client.Check{Name: "template", LookedAt: template + " where systemd looks for units"}
	for _, dir := range unitPath {
		path := filepath.Join(dir, template)
		full := filepath.Join(a.root, path)
		info, err := os.Lstat(full)
		if err != nil {
			continue
		}
		target, _ := os.Readlink(full)
		switch {
		case target == "/dev/null":
			c.Found, c.Cure = path+" masks it", "systemctl unmask "+template
		case info.Mode().IsRegular() && info.Size() == 0:
			c.Found, c.Cure = path+" is empty, which masks it", "rm "+path+" && systemctl daemon-reload"
		case dir == templateDir, dir == strings.TrimPrefix(templateDir, "/usr"):
			c.OK, c.Found = true, path
		default:
			c.Found = path + " stands in front of the package's own; changes of your own belong into /etc/systemd/system/" + template + ".d/"
			c.Cure = "rm " + path + " && systemctl daemon-reload"
		}
		return c
	}
	c.Found, c.Cure = "systemd has none", reinstall
	return c
}
