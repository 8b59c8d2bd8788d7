package steamcmd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/left4med/left4med/internal/server"
)

// Installer does what one run of the unit is asked for. All fields but Prompt
// are set by the caller.
type Installer struct {
	Root    string   // the data root: /var/lib/left4me
	Places  []string // where SteamCMD may be, when Request names no place
	Request Request
	Account Account
	Out     io.Writer // the unit's journal
	Now     func() time.Time
	Prompt  time.Duration // see promptAfter; 0 means that

	print *printer
}

// Places are where SteamCMD is looked for: Debian's package, and Valve's
// archive unpacked into its home.
func Places(root string) []string {
	return []string{"/usr/games/steamcmd", "/usr/bin/steamcmd", filepath.Join(root, home, "steamcmd.sh")}
}

func (i *Installer) home() string { return filepath.Join(i.Root, home) }

func (i *Installer) promptAfter() time.Duration {
	if i.Prompt > 0 {
		return i.Prompt
	}
	return promptAfter
}

// Update installs the game or brings it up to date. When that fails the
// installation is put back as it was, but for what the fault's status says. What
// an earlier run left that was cut off is put right first. A context that ends
// stops SteamCMD.
func (i *Installer) Update(ctx context.Context) *Fault {
	s, done, fault := i.begin(ctx, true)
	if fault != nil {
		return fault
	}
	defer done()
	program, fault := i.find()
	if fault != nil {
		return fault
	}
	if fault := i.save(s); fault != nil {
		return fault
	}
	fault = i.passes(ctx, s, program)
	if fault == nil {
		fault = i.whole(s)
	}
	if fault == nil {
		if err := s.sync(); err != nil {
			fault = unexpected("write the installation to the disk", err)
		}
	}
	if fault != nil {
		i.print.stepf("putting the installation back as it was")
		return i.putBack(s, fault)
	}
	if err := s.drop(); err != nil {
		return unexpected("remove the installation's snapshot", err)
	}
	i.installed(s)
	return nil
}

// Restore puts right what a run left that was cut off; without one it does
// nothing. A run that goes on is left alone.
func (i *Installer) Restore() *Fault {
	_, done, fault := i.begin(context.Background(), false)
	switch {
	case fault == nil:
		done()
	case fault.Text == busy:
		return nil
	}
	return fault
}

// begin is open, and puts back what an earlier run has left.
func (i *Installer) begin(ctx context.Context, wait bool) (s snapshots, done func(), fault *Fault) {
	s, done, fault = i.open(ctx, wait)
	if fault != nil {
		return s, nil, fault
	}
	left, err := s.exists()
	switch {
	case err != nil:
		fault = unexpected("look for a snapshot of the installation", err)
	case left:
		i.print.stepf("putting the installation back as it was before an update that was cut off")
		fault = i.putBack(s, nil)
	}
	if fault != nil {
		done()
	}
	return s, done, fault
}

// open opens the game data for one run alone, which done ends. For another
// run's end it waits, or that is a fault.
func (i *Installer) open(ctx context.Context, wait bool) (s snapshots, done func(), fault *Fault) {
	i.print = &printer{to: i.Out, now: i.Now, secret: i.Account.Password}
	root, err := os.OpenRoot(i.Root)
	if err != nil {
		return s, nil, unexpected("open the game data", err)
	}
	lock, err := root.OpenFile(home+"/lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		root.Close()
		return s, nil, unexpected("open the lock", err)
	}
	if fault := i.lock(ctx, lock, wait); fault != nil {
		lock.Close()
		root.Close()
		return s, nil, fault
	}
	return snapshots{root}, func() {
		_ = unix.Flock(int(lock.Fd()), unix.LOCK_UN) // a child that is being made holds the file, too
		lock.Close()
		root.Close()
	}, nil
}

// busy is the fault of a run that another one keeps from its work.
const busy = "SteamCMD is at work already; ask again when it has ended"

// lockEvery is how often a run looks whether another one has ended.
const lockEvery = 200 * time.Millisecond

// lock keeps two runs apart.
func (i *Installer) lock(ctx context.Context, lock *os.File, wait bool) *Fault {
	for told := false; ; told = true {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK):
			return unexpected("lock SteamCMD's home", err)
		case !wait:
			return &Fault{server.InstallUnexpected, busy}
		case !told:
			i.print.stepf("waiting for another run of SteamCMD")
		}
		select {
		case <-ctx.Done():
			return &Fault{server.InstallUnexpected, busy}
		case <-time.After(lockEvery):
		}
	}
}

// putBack restores the installation after a fault, if there was one, and
// answers what is to be told then.
func (i *Installer) putBack(s snapshots, fault *Fault) *Fault {
	why := "An update was cut off"
	if fault != nil {
		why = fault.Text
	}
	damaged, err := s.restore()
	if err != nil {
		return faultf(server.InstallDamaged, "%s. The installation could not be put back (%v): once that is mended, ask again", why, err)
	}
	if len(damaged) > 0 {
		return faultf(server.InstallDamaged, "%s. %d files of the installation were written in place and could not be put back (%s): l4d2ctl install --validate mends them",
			why, len(damaged), server.Quote(damaged[0], 100))
	}
	return fault
}

// save makes a snapshot of what there is, so that it can be put back.
func (i *Installer) save(s snapshots) *Fault {
	_, err := s.root.Stat(installation + "/" + program)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return unexpected("look at the installation", err)
	}
	if fresh {
		if fault := i.roomForFirst(s); fault != nil {
			return fault
		}
	} else {
		i.print.stepf("saving the present installation")
	}
	err = s.take(fresh)
	switch {
	case errors.Is(err, unix.EXDEV):
		return faultf(server.InstallUnexpected, "the installation cannot be saved before the update: %s is mounted from elsewhere; mount that at %s, with all that is there", filepath.Join(i.Root, installation), i.Root)
	case errors.Is(err, unix.EPERM):
		return faultf(server.InstallUnexpected, "the installation cannot be saved before the update (%v): a file of it is not left4me's; chown -R left4me:left4me %s", err, filepath.Join(i.Root, installation))
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return faultf(server.InstallNoSpace, "there is no space even to save the installation before the update; make room and ask again")
	case err != nil:
		return unexpected("save the installation before the update", err)
	}
	if fresh {
		err = s.takeUp()
	} else {
		err = s.root.RemoveAll(partial) // of a first installation that somebody else has brought to its end
	}
	if err != nil {
		return i.putBack(s, unexpected("go on with what there is of the download", err))
	}
	return nil
}

// passes runs SteamCMD as often as it takes. An account that does not own the
// game is refused the Linux files, unless the Windows ones are there.
func (i *Installer) passes(ctx context.Context, s snapshots, program string) *Fault {
	fault := i.pass(ctx, s, program, "", i.Request.Validate)
	if fault == nil || fault.Exit != server.InstallInvalidPlatform {
		return fault
	}
	i.print.stepf("Steam refuses the Linux files; fetching the Windows files first")
	if fault := i.pass(ctx, s, program, "windows", false); fault != nil {
		return fault
	}
	i.print.stepf("fetching the Linux files")
	return i.pass(ctx, s, program, "linux", i.Request.Validate)
}

// pass runs SteamCMD for one platform; "" is its own choice.
func (i *Installer) pass(ctx context.Context, s snapshots, program, platform string, validate bool) *Fault {
	room, err := i.room(s)
	if err != nil {
		return unexpected("see how much space is free", err)
	}
	command := "app_update " + App
	if validate {
		command += " validate"
	}
	commands := script(i.Account, platform, filepath.Join(i.Root, installation), command)
	for try := 0; ; try++ {
		end, fault := i.session(ctx, program, commands, func(text string, l line) *Fault {
			if l.Kind != kindProgress {
				i.print.own(text)
				return nil
			}
			i.print.progress(l.Progress)
			return room.enoughFor(l.Progress)
		})
		i.print.flush()
		if fault == nil {
			fault = i.judge(end)
		}
		// A SteamCMD that has not yet asked what the app is says so, once.
		if fault == nil || try > 0 || end.fault.Reason != "Missing configuration" {
			return fault
		}
		i.print.stepf("asking SteamCMD once more")
	}
}

// whole looks whether what SteamCMD calls installed can be started.
func (i *Installer) whole(s snapshots) *Fault {
	info, err := s.root.Stat(installation + "/" + program)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return faultf(server.InstallSteamCMDFailed, "SteamCMD calls the game installed, but there is no %s that can be run; ask again with --validate", filepath.Join(i.Root, installation, "srcds_run"))
	}
	return nil
}

// installed tells which build there is.
func (i *Installer) installed(s snapshots) {
	data, err := s.root.ReadFile(installation + "/" + appManifest)
	if err != nil {
		return
	}
	if id, ok := buildID(string(data), "AppState", "buildid"); ok {
		i.print.say("build", "installed "+id)
	}
}
