package instance

import (
	"errors"
	"io/fs"

	"github.com/left4med/left4med/internal/server"
)

// RetireRuntime moves what a game wrote out of the way as Retire does, and
// leaves the settings where they are. Done before, it does nothing. While the
// tree is mounted it is refused with code CodeInstanceFiles.
func (t *Tree) RetireRuntime(name server.Name) error {
	return t.fail("retire the runtime directory of "+string(name), t.retireFrom(name, runtimeDir))
}

// Renew gives an instance whose runtime directory was retired a new one with an
// empty upper layer, and then removes the retired one, whose upper layer must be
// empty by then, as for Remove. Doing it again does no harm.
func (t *Tree) Renew(name server.Name) error {
	doing := "renew the runtime directory of " + string(name)
	if _, err := server.ParseName(string(name)); err != nil {
		return err
	}
	// What is retired goes last: as long as it is there, a job that was cut off
	// can be told to have come this far.
	return t.fail(doing, errors.Join(t.makeRuntime(name, false), t.removeRuntime(name)))
}

// RemoveRuntime removes a runtime directory that was retired. Its upper layer
// must be empty, as for Remove. Done before, it does nothing.
func (t *Tree) RemoveRuntime(name server.Name) error {
	if _, err := server.ParseName(string(name)); err != nil {
		return err
	}
	return t.fail("remove the retired runtime directory of "+string(name), t.removeRuntime(name))
}

// Twice says whether a runtime directory stands in its place while an earlier
// one of the same server is retired and not removed yet, so that Retire has no
// place for it.
func (t *Tree) Twice(name server.Name) (bool, error) {
	runtime, err := t.open(runtimeDir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, t.fail("look for the runtime directories of "+string(name), err)
	}
	defer runtime.Close()
	return exists(runtime, string(name)) && exists(runtime, removedName(name)), nil
}
