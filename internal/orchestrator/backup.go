package orchestrator

import (
	"context"
	"errors"
	"time"

	"github.com/left4med/left4med/internal/instance"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// thawPatience is how long a game's thawing is tried, also while the daemon ends.
const thawPatience = 5 * time.Second

// noSaved in the place of a backup's id says that there was nothing to save.
const noSaved = -1

// backup archives the upper layer and the settings of the server. Its game stands
// still meanwhile, if it runs.
func (r *run) backup() error {
	linked, err := r.o.Units.Linked(string(r.rec.row.Name))
	if err != nil {
		return err
	}
	if err := r.begin(linked); err != nil {
		return err
	}
	before, err := r.readAgain()
	if err != nil {
		return err
	}
	switch state := server.DeriveState(before); {
	case state == server.StateRunning:
		_, err = r.archiveFrozen(server.BackupAsked)
	case state.Live():
		return server.Errorf(server.CodeJobFailed, "the server %s is %s, so what its game writes is not whole; ask again when it runs, or stop it first", r.rec.row.Name, state)
	default:
		_, err = r.archive(r.ctx, server.BackupAsked)
	}
	return err
}

// savable says before anything of the server is changed whether it can be saved.
func (r *run) savable(reason server.BackupReason) error {
	if needed, err := r.toSave(); err != nil || !needed {
		return err
	}
	return r.beginArchive(reason)
}

// toSave says whether the upper layer is still to be saved.
func (r *run) toSave() (bool, error) {
	if r.mark.Saved != 0 {
		return false, nil
	}
	untouched, err := r.o.Files.Untouched(r.rec.row.Name)
	return !untouched, err
}

// save takes a backup of a server that was taken down, and notes that: a job that
// begins again must not save what it has emptied.
func (r *run) save(reason server.BackupReason) error {
	needed, err := r.toSave()
	if err != nil {
		return err
	}
	switch {
	case needed:
		if r.mark.Saved, err = r.archive(r.ctx, reason); err != nil {
			return err
		}
	case r.mark.Saved == 0:
		r.mark.Saved = noSaved
	}
	return r.note(r.row.Step, false)
}

// archiveFrozen takes a backup of a game that runs. It stands still for a limited
// time: sooner or later its players are thrown out.
func (r *run) archiveFrozen(reason server.BackupReason) (int64, error) {
	name := r.rec.row.Name
	if !r.mayFreeze() {
		return 0, errShutdown
	}
	defer r.o.frozen.Done()
	defer r.o.thaw(name) // also when it is not known whether it was frozen
	if err := r.reach(func() error { return r.o.Units.Freeze(r.ctx, name.Unit()) }); err != nil {
		return 0, err
	}
	slow := server.Errorf(server.CodeJobFailed, "the backup of %s was given up after %s, because its game stands still meanwhile: it has written too much for that; stop it first, then ask again", name, r.o.Settings.FrozenAtMost)
	ctx, cancel := context.WithTimeoutCause(r.ctx, r.o.Settings.FrozenAtMost, slow)
	defer cancel()
	id, err := r.archive(ctx, reason)
	if err != nil && context.Cause(ctx) == slow {
		err = errors.Join(slow, r.endUnit(name.BackupUnit()), r.o.Files.DropBackup(name))
	}
	return id, err
}

// mayFreeze keeps the daemon from ending before what was frozen is thawed.
func (r *run) mayFreeze() bool {
	r.o.mu.Lock()
	defer r.o.mu.Unlock()
	if r.o.closing {
		return false
	}
	r.o.frozen.Add(1)
	return true
}

// thaw lets a game go on, whatever became of the job that had it frozen.
func (o *Orchestrator) thaw(name server.Name) {
	ctx, cancel := context.WithTimeout(context.Background(), thawPatience)
	defer cancel()
	for {
		err := o.Units.Thaw(ctx, name.Unit())
		if err == nil {
			return
		}
		if !unreached(err) || ctx.Err() != nil {
			o.Log.Error().Err(err).Str("SERVER", string(name)).Msg("cannot let a game go on that was frozen for its backup; `systemctl thaw` does it")
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// thawLeft lets the games go on that an earlier run of the daemon left frozen.
func (o *Orchestrator) thawLeft(ctx context.Context) {
	rows, err := o.Store.UnfinishedJobs(ctx)
	if err != nil {
		return // whoever needs them says so
	}
	for _, row := range rows {
		if row.Kind == server.JobBackup {
			o.thaw(row.Server)
		}
	}
}

// archive has the unit archive the upper layer, beside the settings, and keeps
// what came of it. It answers the backup's id.
func (r *run) archive(ctx context.Context, reason server.BackupReason) (int64, error) {
	name, files := r.rec.row.Name, r.o.Files
	before, err := r.readAgain()
	if err != nil {
		return 0, err
	}
	r.say("archiving what the game wrote")
	var result unitctl.JobResult
	err = r.reach(func() error { // from the start: what was begun may hold a part already
		if err := r.beginArchive(reason); err != nil {
			return err
		}
		result, err = r.o.Units.Start(ctx, name.BackupUnit())
		return err
	})
	if err == nil && result != unitctl.JobDone {
		_ = r.o.Units.ResetFailed(r.ctx, name.BackupUnit())
		err = r.failedFor(name.BackupUnit(), result, "what the game of "+string(name)+" wrote could not be archived", false)
	}
	if err != nil {
		return 0, errors.Join(err, r.dropUnlessInterrupted())
	}
	after, err := r.readAgain()
	if err != nil {
		return 0, err
	}
	if anotherRun(before, after) {
		return 0, errors.Join(server.Errorf(server.CodeJobFailed, "the server %s was started or stopped by another hand while its backup was taken, so that is not whole; ask again", name), files.DropBackup(name))
	}
	id, err := files.KeepBackup(name, r.row.ID)
	if err != nil {
		return 0, errors.Join(err, files.DropBackup(name))
	}
	r.o.faults.pass("backup kept")
	if err := files.PruneBackups(name, r.o.Settings.KeepBackups); err != nil {
		r.o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot remove old backups")
	}
	return id, nil
}

// anotherRun says whether a unit was started or stopped between two looks. Of one
// that stopped systemd forgets the last run soon.
func anotherRun(before, after server.Unit) bool {
	return after.InvocationID != "" && after.InvocationID != before.InvocationID ||
		server.DeriveState(before).Live() != server.DeriveState(after).Live()
}

// dropUnlessInterrupted leaves what an interrupted job began to the unit that may
// still be writing to it.
func (r *run) dropUnlessInterrupted() error {
	if r.ctx.Err() != nil {
		return nil
	}
	return r.o.Files.DropBackup(r.rec.row.Name)
}

// beginArchive writes the first part of a backup. A unit that an earlier run of
// the daemon started would add the layer a second time.
func (r *run) beginArchive(reason server.BackupReason) error {
	name := r.rec.row.Name
	if err := r.endUnit(name.BackupUnit()); err != nil {
		return err
	}
	return r.alone(func() error {
		return r.o.Files.BeginBackup(name, instance.BackupHead{
			ServerID: r.rec.row.ID, Name: name, CreatedAt: time.Now().UTC(), Reason: reason, Config: r.rec.row.Config,
		})
	})
}

// failedFor words the failure of a helper's unit: for want of space, if there is
// none where it writes.
func (r *run) failedFor(unit string, result unitctl.JobResult, what string, ofLayers bool) error {
	if err := r.o.Files.Room(ofLayers); errors.Is(err, &server.Error{Code: server.CodeNoSpace}) {
		return err
	}
	return server.Errorf(server.CodeInstanceFiles, "%s: %s ended as %q; `journalctl -u %s` says why, then ask again", what, unit, result, unit)
}
