package instance

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/left4med/left4med/internal/server"
	"golang.org/x/sys/unix"
)

// Found is what the files of an instance that no server owns say. Its settings
// are not checked.
type Found struct {
	Config  server.Config
	Foreign bool // another system's: an instance.env, and the directory need not be root's
	secrets secrets
}

// Adoptable reads what is needed to make a server of an instance's directory:
// the settings that left4med wrote, or the instance.env of the system before it.
// It changes nothing. The error's code is CodeNotAdoptable, or CodeInstanceFiles
// when there is nothing to read, and says why; it holds nothing of a file that
// may be another than it seems.
func (t *Tree) Adoptable(name server.Name) (Found, error) {
	doing := "adopt " + string(name)
	if _, err := server.ParseName(string(name)); err != nil {
		return Found{}, err
	}
	f, err := t.adoptable(name)
	return f, t.fail(doing, err)
}

func (t *Tree) adoptable(name server.Name) (f Found, err error) {
	if _, err := t.runtimeForeign(name); err != nil {
		return f, err
	}
	dir, err := t.openForeign(name)
	if err != nil {
		return f, err
	}
	defer dir.Close()
	own := t.plainDir(dir, ".") == nil
	if f.Foreign = !own || !exists(dir, settingsFile); f.Foreign {
		env, err := readUntrusted(dir, envFile)
		if err != nil {
			return f, err
		}
		f.Config, f.secrets, err = t.foreign(name, DecodeEnv(string(env)))
		return f, err
	}
	s, err := readSettings(dir, name)
	if err != nil {
		return f, err
	}
	f.Config = s.Config
	return f, nil
}

// RuntimeForeign says whether the instance's runtime directory, or the overlay's
// work directory in it, is another system's: then its unit AdoptUnit has to make it root's before Adopt.
func (t *Tree) RuntimeForeign(name server.Name) (bool, error) {
	foreign, err := t.runtimeForeign(name)
	return foreign, t.fail("adopt "+string(name), err)
}

func (t *Tree) runtimeForeign(name server.Name) (bool, error) {
	runtime, err := t.open(runtimeDir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer runtime.Close()
	info, err := runtime.Lstat(string(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, in(runtime, err)
	case !info.IsDir():
		return false, server.Errorf(server.CodeNotAdoptable, "%s is %s, not a directory; move it away", joined(runtime, string(name)), kind(info.Mode()))
	}
	if ownerOf(info) != t.uid {
		return true, nil
	}
	// Root empties it when the server is deleted. A unit that was cut short may
	// have taken over what is above it alone.
	work, err := runtime.Lstat(string(name) + "/work")
	return err == nil && ownerOf(work) != t.uid, nil
}

// openForeign opens an instance's directory, whoever it belongs to: instances/
// is root's, so that nobody can put a link in its place meanwhile.
func (t *Tree) openForeign(name server.Name) (*os.Root, error) {
	instances, err := t.open(instancesDir)
	if err != nil {
		return nil, err
	}
	defer instances.Close()
	info, err := instances.Lstat(string(name))
	if err != nil {
		return nil, in(instances, err)
	}
	if !info.IsDir() {
		return nil, server.Errorf(server.CodeNotAdoptable, "%s is %s, not a directory; move it away", joined(instances, string(name)), kind(info.Mode()))
	}
	dir, err := instances.OpenRoot(string(name))
	return dir, in(instances, err)
}

// maxForeign is how much of a file of another system is read.
const maxForeign = 64 << 10

// readUntrusted reads a file that anybody may have put there: only a plain one
// that has no other name, and is not long.
func readUntrusted(dir *os.Root, name string) ([]byte, error) {
	refuse := func(why string) error {
		return server.Errorf(server.CodeNotAdoptable, "%s %s; look at it, and put a plain file in its place", joined(dir, name), why)
	}
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, server.Errorf(server.CodeNotAdoptable, "there is no %s, so nothing says what server it was", joined(dir, name))
	case err != nil:
		return nil, in(dir, err)
	case !info.Mode().IsRegular():
		return nil, refuse("is " + kind(info.Mode()))
	}
	if st, ok := sysStat(info); ok && st.Nlink > 1 {
		return nil, refuse("has another name as well, so it may be any file of the host")
	}
	if info.Size() > maxForeign {
		return nil, refuse("is longer than 64 KiB")
	}
	data, err := readFile(dir, name, maxForeign)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, server.Errorf(server.CodeNotAdoptable, "left4med, which has no capabilities, may not read %s; `chmod a+rX %s` lets it", joined(dir, name), dir.Name())
	case err != nil:
		return nil, err
	case len(data) > maxForeign:
		return nil, refuse("is longer than 64 KiB")
	}
	return data, nil
}

// Adopt makes an instance found by Adoptable the server's with an id: its files
// are written anew, in a directory that is root's. What another system wrote is
// kept beside it, as .NAME.origin. A game that runs notices nothing. Doing it
// again does no harm.
func (t *Tree) Adopt(ctx context.Context, name server.Name, id int64, f Found) error {
	doing := "adopt " + string(name)
	if err := ctx.Err(); err != nil {
		return err
	}
	s := Settings{ID: id, Name: name, Config: f.Config.Clone(), Layer: 1}
	if err := t.writable(s); err != nil {
		return t.fail(doing, err)
	}
	instances, err := t.open(instancesDir)
	if err != nil {
		return t.fail(doing, err)
	}
	defer instances.Close()
	if f.Foreign {
		return t.fail(doing, t.replace(instances, s, f.secrets))
	}
	dir, err := t.openIn(instances, string(name))
	if err != nil {
		return t.fail(doing, err)
	}
	defer dir.Close()
	return t.fail(doing, t.renew(dir, s, nil))
}

// originName is where the directory of another system goes.
func originName(name server.Name) string { return "." + string(name) + ".origin" }

// replace puts a directory of ours in the place of another system's, at once:
// its unit may read its environment at any moment. The two change places, so
// that at no time one of them is called something that a sweep removes.
func (t *Tree) replace(instances *os.Root, s Settings, found secrets) error {
	if err := t.clearOrigin(instances, s); err != nil {
		return err
	}
	dir, err := t.begin(instances, s.Name)
	if err != nil {
		return err
	}
	defer dir.Close()
	take := func(kept secrets) {
		for name, secret := range found {
			kept.set(name, secret)
		}
	}
	if err := t.fill(dir, s, take); err != nil {
		return err
	}
	if err := t.makeRuntime(s.Name, false); err != nil {
		return err
	}
	if err := t.rename(instances, newName(string(s.Name)), originName(s.Name)); err != nil {
		return err
	}
	self, err := instances.Open(".")
	if err != nil {
		return err
	}
	defer self.Close()
	t.step("exchange " + string(s.Name))
	fd := int(self.Fd())
	if err := unix.Renameat2(fd, originName(s.Name), fd, string(s.Name), unix.RENAME_EXCHANGE); err != nil {
		return &fs.PathError{Op: "renameat2", Path: joined(instances, string(s.Name)), Err: err}
	}
	return self.Sync()
}

// clearOrigin makes room for the other system's directory. What is there may be
// ours, of an adoption that was cut short before the two changed places.
func (t *Tree) clearOrigin(instances *os.Root, s Settings) error {
	name := originName(s.Name)
	if !exists(instances, name) {
		return nil
	}
	if t.plainDir(instances, name) == nil {
		dir, err := t.openIn(instances, name)
		if err != nil {
			return err
		}
		defer dir.Close()
		if left, err := readSettings(dir, s.Name); err == nil && left.ID == s.ID {
			return t.removeAll(instances, name)
		}
	}
	return server.Errorf(server.CodeNotAdoptable, "%s is left of an earlier adoption; move it away", joined(instances, name))
}
