package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/left4med/left4med/client"
	"github.com/left4med/left4med/test/machine"
)

// TestUpperLayer is about what a game has written: that it does not beat what the
// operator set, and that it can be saved and given back.
func TestUpperLayer(t *testing.T) {
	t.Parallel()
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		l.MustCtl(t, "initialize", "a", "--port", "27500", "--hostname", "operators")
		l.MustCtl(t, "start", "a")
		for _, c := range []struct {
			name string
			test func(*testing.T, *lab)
		}{
			{"HidesNoSettings", hidesNoSettings},
			{"SavedAndRestored", savedAndRestored},
			{"NeverLeftFrozen", neverLeftFrozen},
			{"TakesTooLong", backupTakesTooLong},
			{"RestoreGoesOn", restoreGoesOn},
			{"DamagedBackup", damagedBackup},
			{"NoSpace", backupWithoutSpace},
			{"Deleted", backupsDeleted},
		} {
			if !t.Run(c.name, func(t *testing.T) { c.test(t, l) }) {
				break // the others build on it
			}
		}
	})
}

func hidesNoSettings(t *testing.T, l *lab) {
	for n, plant := range []string{
		`rm server.cfg left4med-secrets.cfg; echo 'hostname "planted"' >server.cfg; mkdir left4med-secrets.cfg; echo mine >user.cfg`,
		`rm server.cfg left4med-secrets.cfg; ln -s /etc/hostname left4med-secrets.cfg`,
		`cd ..; rm -r cfg; mkdir cfg; echo 'hostname "planted"' >cfg/server.cfg; echo mine >cfg/user.cfg`,
		`cd ..; rm -r cfg; ln -s maps cfg`,
	} {
		password := fmt.Sprintf("password-%d", n)
		same(t, "setting a secret", 0, l.setSecret(t, "a", "rcon", password).Code)
		l.asGame(t, "a", "cd left4dead2/cfg; "+plant)
		l.MustCtl(t, "start", "--restart", "a")
		contains(t, l.asGame(t, "a", "cat left4dead2/cfg/server.cfg"), `hostname "operators"`)
		same(t, "what the game is told after\n"+plant, []string{`rcon_password "` + password + `"`}, l.told(t, "a", "left4med-secrets.cfg"))
	}
	l.logged(t, "left4me-upper@a.service",
		`"left4dead2/cfg/server.cfg", which hid the settings, is now "left4dead2/cfg/server.cfg.hidden-1"`,
		`"left4dead2/cfg/server.cfg" had been removed by the game; it is there again`,
		`"left4dead2/cfg" hid what is below it in the lower layers (user.overlay.opaque); it does no more`,
		`"left4dead2/cfg", which hid the settings, is now "left4dead2/cfg.hidden-1"`)
	l.asGame(t, "a", `[ "$(readlink left4dead2/cfg.hidden-1)" = maps ]`)
}

// reasons are those of a server's backups, the newest first.
func (l *lab) reasons(t *testing.T) (reasons []client.BackupReason) {
	t.Helper()
	backups, err := l.api(t).Backups(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range backups {
		reasons = append(reasons, b.Reason)
	}
	return reasons
}

// newest is the newest backup.
func (l *lab) newest(t *testing.T) client.Backup {
	t.Helper()
	backups, err := l.api(t).Backups(t.Context(), "a")
	if err != nil || len(backups) == 0 {
		t.Fatalf("backups %v, %v", backups, err)
	}
	return backups[0]
}

// until waits until a property of a unit has a value, of which nobody is told.
func (l *lab) until(t *testing.T, unit, property, value string) {
	t.Helper()
	ctx := within(t, fmt.Sprintf("%s of %s is %s", property, unit, value))
	for {
		now := strings.TrimSpace(l.systemctl(t, "show", "--value", "--property="+property, unit))
		if now == value {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%v; it is %q", context.Cause(ctx), now)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const changedByGame = `rm left4dead2/motd.txt; rm -r left4dead2/maps; mkdir left4dead2/maps; echo own >left4dead2/maps/own.bsp
	mkdir -p shut/in; echo x >shut/in/file; chmod 000 shut/in/file shut; ln -s /etc/passwd left4dead2/link; echo x >"$(printf 'new\nline')"`

const asChanged = `[ ! -e left4dead2/motd.txt ]; [ "$(ls left4dead2/maps)" = own.bsp ]; [ "$(cat left4dead2/cfg/kept.txt)" = before ]
	[ "$(readlink left4dead2/link)" = /etc/passwd ]; chmod 700 shut; chmod 600 shut/in/file; cat shut/in/file; chmod 000 shut/in/file shut; ls "$(printf 'new\nline')"`

func savedAndRestored(t *testing.T, l *lab) {
	l.MustCtl(t, "initialize", "a", "--set", "sv_alltalk=1")
	same(t, "a secret", 0, l.setSecret(t, "a", "password", "of-the-backup").Code)
	l.keep(t, "a", "before")
	l.asGame(t, "a", changedByGame)
	secrets, running := l.secrets(t, "a"), l.shown(t, "a")
	l.MustCtl(t, "initialize", "a", "--backup")
	same(t, "the game after its backup", running, l.shown(t, "a"))
	same(t, "it stands still", "running\n", l.systemctl(t, "show", "--value", "--property=FreezerState", unit("a")))
	l.inUnit(t, "a", "true") // and answers
	backup := l.newest(t)
	file := fmt.Sprintf("/var/lib/left4me/backups/a/%d.tar.gz", backup.ID)
	same(t, "whose it is", "700 root\n600 root\n", l.shell(t, "stat --format='%a %U' /var/lib/left4me/backups/a "+file))
	contains(t, l.MustRun(t, "tar", "--list", "--gzip", "--file", file), "left4med.json\n", "upper/left4dead2/motd.txt\n", "upper/left4dead2/maps/own.bsp\n", "upper/shut/in/file\n")
	contains(t, l.MustCtl(t, "show", "a", "--backups"), fmt.Sprintf("%d\t", backup.ID), "\tasked\t")

	l.keep(t, "a", "after")
	l.MustCtl(t, "initialize", "a", "--set", "sv_alltalk=0", "--port", "27600")
	same(t, "another secret", 0, l.setSecret(t, "a", "password", "of-later").Code)
	l.MustCtl(t, "initialize", "b", "--port", "27500")
	l.MustCtl(t, "initialize", "--reset", "--yes", "a")
	same(t, "the backups after a reset", []client.BackupReason{"before-reset", "asked"}, l.reasons(t))
	l.MustCtl(t, "initialize", "--reset", "--yes", "a")
	same(t, "the backups after a reset of nothing", []client.BackupReason{"before-reset", "asked"}, l.reasons(t))

	l.MustCtl(t, "initialize", "a", "--restore", fmt.Sprint(backup.ID), "--yes")
	restored := l.awaitMoment(t, "a", down)
	same(t, "the port, which another has by now", 27600, restored.Config.Port)
	same(t, "the cvars", map[string]string{"sv_alltalk": "1"}, restored.Config.CVars)
	same(t, "the secrets", secrets, l.secrets(t, "a"))
	contains(t, l.MustCtl(t, "history", "a", "--json"), fmt.Sprintf("from backup %d; the port stays 27600, because 27500 belongs to b", backup.ID))
	l.MustCtl(t, "start", "a")
	l.asGame(t, "a", asChanged)
	same(t, "what the game is told", []string{`rcon_password "` + secrets["rcon"] + `"`, `sv_password "of-the-backup"`}, l.told(t, "a", "left4med-secrets.cfg"))
	l.agree(t, "a")
	l.MustCtl(t, "delete", "--yes", "b")
}

// held has a helper's unit of the server wait before it does anything.
func (l *lab) held(t *testing.T, unit string) (release func()) {
	t.Helper()
	dropIn := "/etc/systemd/system/" + unit + ".d/test.conf"
	l.write(t, dropIn, "[Service]\nExecStartPre=/bin/sleep 1000\n")
	l.systemctl(t, "daemon-reload")
	return func() {
		t.Helper()
		l.MustRun(t, "rm", dropIn)
		l.systemctl(t, "daemon-reload")
	}
}

func neverLeftFrozen(t *testing.T, l *lab) {
	running := l.shown(t, "a")
	for name, end := range map[string]func(){
		"killed":  func() { l.systemctl(t, "kill", "--signal=KILL", "left4med.service") },
		"stopped": func() { l.systemctl(t, "stop", "left4med.service") },
	} {
		t.Run(name, func(t *testing.T) {
			release := l.held(t, "left4me-backup@a.service")
			job, err := l.api(t).Backup(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			l.until(t, unit("a"), "FreezerState", "frozen")
			same(t, "the server that stands still", client.StateRunning, l.server(t, "a").State)
			release()
			end()
			l.until(t, unit("a"), "FreezerState", "running")
			l.systemctl(t, "start", "left4med.service")
			l.succeeded(t, l.ended(t, job, nil), nil)
			l.until(t, unit("a"), "FreezerState", "running")
			same(t, "the game after its backup", running, l.shown(t, "a"))
			same(t, "the backup", client.BackupAsked, l.newest(t).Reason)
		})
	}
}

func backupTakesTooLong(t *testing.T, l *lab) {
	l.configure(t, "[start]\nsettle = \"1s\"\n[backups]\nfrozen = \"1s\"\n")
	running, reasons := l.agree(t, "a"), l.reasons(t)
	release := l.held(t, "left4me-backup@a.service")
	r := l.ctl(t, "initialize", "a", "--backup")
	release()
	same(t, "a backup that takes too long", 6, r.Code)
	contains(t, r.Stderr, "the backup of a was given up after 1s, because its game stands still meanwhile")
	l.until(t, unit("a"), "FreezerState", "running")
	same(t, "the game", told(running), told(l.agree(t, "a")))
	same(t, "the backups", reasons, l.reasons(t))
	l.configure(t, "[start]\nsettle = \"1s\"\n")
}

func restoreGoesOn(t *testing.T, l *lab) {
	backup := l.newest(t)
	l.keep(t, "a", "after")
	release := l.held(t, "left4me-restore@a.service")
	job, err := l.api(t).RestoreBackup(t.Context(), "a", backup.ID)
	if err != nil {
		t.Fatal(err)
	}
	l.until(t, "left4me-restore@a.service", "ActiveState", "activating")
	_, err = l.api(t).RestoreBackup(t.Context(), "a", backup.ID+1000)
	refused(t, err, refusal{404, client.CodeBackupNotFound, ""})
	release()
	l.systemctl(t, "kill", "--signal=KILL", "left4med.service")
	l.succeeded(t, l.ended(t, job, nil), nil)
	same(t, "the newest backup", client.BackupBeforeRestore, l.newest(t).Reason)
	l.awaitMoment(t, "a", down)
	l.MustCtl(t, "start", "a")
	l.asGame(t, "a", asChanged)
}

func damagedBackup(t *testing.T, l *lab) {
	l.MustCtl(t, "initialize", "a", "--backup")
	id, running, reasons := l.newest(t).ID, l.agree(t, "a"), l.reasons(t)
	for at, spoil := range map[string]string{
		"at its end": `truncate -s -5 "$1"`,
		"inside":     `printf x | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") - 60)) conv=notrunc status=none`,
		"its head":   `printf xxxx | dd of="$1" bs=1 seek=40 conv=notrunc status=none`,
	} {
		file := fmt.Sprintf("/var/lib/left4me/backups/a/%d.tar.gz", id)
		l.MustRun(t, "cp", file, "/root/whole")
		l.MustRun(t, "sh", "-euc", spoil, "sh", file)
		r := l.ctl(t, "initialize", "a", "--restore", fmt.Sprint(id), "--yes")
		same(t, "a restore of what is damaged "+at, 6, r.Code)
		contains(t, r.Stderr, fmt.Sprintf("the backup %d of a is damaged", id))
		l.MustRun(t, "mv", "/root/whole", file)
	}
	same(t, "the game", told(running), told(l.agree(t, "a")))
	same(t, "the backups", reasons, l.reasons(t))
	same(t, "what is beside them", "", l.shell(t, "ls -d /var/lib/left4me/backups/a/.[!.]* 2>/dev/null || true"))
}

func backupWithoutSpace(t *testing.T, l *lab) {
	running := l.agree(t, "a")
	l.MustRun(t, "mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", "/var/lib/left4me/backups/a")
	for _, args := range [][]string{{"--backup"}, {"--reset", "--yes"}} {
		r := l.ctl(t, append([]string{"initialize", "a"}, args...)...)
		same(t, "without space", 6, r.Code)
		contains(t, r.Stderr, "MiB are free for /var/lib/left4me/backups/a")
	}
	l.MustRun(t, "umount", "/var/lib/left4me/backups/a")
	same(t, "the game", told(running), told(l.agree(t, "a")))
}

func backupsDeleted(t *testing.T, l *lab) {
	before := l.reasons(t)
	l.MustCtl(t, "delete", "a", "--backup", fmt.Sprint(l.newest(t).ID))
	same(t, "the others", before[1:], l.reasons(t))
	r := l.ctl(t, "delete", "a", "--backup", "9999")
	same(t, "one that is not there", 1, r.Code)
	contains(t, r.Stderr, "a has no backup 9999")
	l.MustCtl(t, "delete", "--yes", "a")
	same(t, "what is left", "", l.shell(t, "ls -A /var/lib/left4me/backups"))
}
