package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/left4med/left4med/internal/instance"
	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/unitctl"
)

// restore gives the server the upper layer, the settings and the secrets of a
// backup. Until that is known to be whole and possible nothing is changed; then it
// goes on as a reset. It begins again at the top.
func (r *run) restore() error {
	name := r.rec.row.Name
	linked, err := r.o.Units.Linked(string(name))
	if err != nil {
		return err
	}
	if err := r.begin(linked); err != nil {
		return err
	}
	head, err := r.checkedBackup()
	if err == nil {
		_, _, err = r.restorable(head)
	}
	if err == nil {
		err = r.renewed(server.BackupBeforeRestore)
	}
	if err == nil {
		err = r.extract()
	}
	if err == nil {
		r.say("restoring the settings")
		err = r.restoreSettings(head)
	}
	if r.ctx.Err() != nil {
		return err
	}
	return errors.Join(err, r.o.Files.EndRestore(name))
}

// checkedBackup has the chosen backup read to its end.
func (r *run) checkedBackup() (instance.BackupHead, error) {
	name, id := r.rec.row.Name, r.mark.Backup
	for _, unit := range []string{name.VerifyUnit(), name.RestoreUnit()} { // of an earlier run of the daemon
		if err := r.endUnit(unit); err != nil {
			return instance.BackupHead{}, err
		}
	}
	head, err := r.o.Files.UseBackup(name, id)
	if err != nil {
		return head, err
	}
	r.say("checking the backup")
	result, err := r.runHelper(name.VerifyUnit())
	if err == nil && result != unitctl.JobDone {
		err = server.Errorf(server.CodeBackupDamaged, "the backup %d of %s is damaged, so nothing was changed; `journalctl -u %s` says where; choose another (`l4d2ctl show %s`)",
			id, name, name.VerifyUnit(), name)
	}
	return head, err
}

// extract has the backup extracted into the new upper layer.
func (r *run) extract() error {
	name := r.rec.row.Name
	r.say("restoring what the game wrote")
	result, err := r.runHelper(name.RestoreUnit())
	if err != nil || result == unitctl.JobDone {
		return err
	}
	err = r.failedFor(name.RestoreUnit(), result, fmt.Sprintf("the backup %d of %s could not be extracted", r.mark.Backup, name), true)
	if r.mark.Saved > 0 {
		err = errors.Join(server.Errorf(server.CodeJobFailed, "the restore of %s was not ended; what the server was before is its backup %d", name, r.mark.Saved), err)
	}
	return err
}

// restorable checks the settings of a backup as if they were newly given. A port
// that another server has by now, or that is none of ours any more, is left at the
// present one; kept says so.
func (r *run) restorable(head instance.BackupHead) (cfg server.Config, kept string, err error) {
	o := r.o
	cfg = head.Config.Clone()
	var why string
	o.mu.RLock()
	old := r.rec.row.Config
	for _, other := range o.order {
		if other != r.rec && other.row.Config.Port == cfg.Port {
			why = "belongs to " + string(other.row.Name)
		}
	}
	o.mu.RUnlock()
	present := old.Port
	if cfg.Port < o.Settings.Ports.Low || cfg.Port > o.Settings.Ports.High {
		why = "is none that servers may have"
	}
	if why != "" && cfg.Port != present {
		kept = fmt.Sprintf("; the port stays %d, because %d %s", present, cfg.Port, why)
		cfg.Port = present
	}
	err = o.checkConfig(old, cfg)
	var e *server.Error
	if errors.As(err, &e) {
		err = &server.Error{Code: e.Code, Err: e.Err, Detail: fmt.Sprintf("the settings in the backup %d of %s are not possible: %s", r.mark.Backup, r.rec.row.Name, e.Detail)}
	}
	return cfg, kept, err
}

// restoreSettings writes the settings and secrets of a backup, and tells of what
// was restored.
func (r *run) restoreSettings(head instance.BackupHead) error {
	return r.alone(func() error {
		o, name := r.o, r.rec.row.Name
		o.overlays.RLock() // what was checked stays until it is stored, and the port free
		defer o.overlays.RUnlock()
		o.creating.Lock()
		defer o.creating.Unlock()
		cfg, kept, err := r.restorable(head)
		if err != nil {
			return err
		}
		if err := o.Store.SetConfig(r.ctx, r.rec.row.ID, cfg, ""); err != nil {
			return err
		}
		o.mu.Lock()
		r.rec.row.Config, r.rec.row.ChangedInvocation, r.rec.config = cfg, "", &cfg
		o.publish(r.rec, server.ByJob)
		o.mu.Unlock()
		if err := o.Files.WriteRestored(r.ctx, name, r.rec.row.ID, cfg, head); err != nil {
			return err
		}
		if err := o.fitUnit(r.ctx, name, cfg); err != nil {
			o.Log.Warn().Err(err).Str("SERVER", string(name)).Msg("cannot set the ports and limits of a server; its next start tries again")
		}
		who := r.row.RequestedBy
		o.noteChange(r.ctx, server.HistoryEntry{Server: string(name), ServerID: r.rec.row.ID, What: "restore", Job: r.row.ID, By: &who,
			Detail: fmt.Sprintf("from backup %d%s%s", r.mark.Backup, r.savedAs(), kept)})
		return nil
	})
}

func (r *run) savedAs() string {
	if r.mark.Saved <= 0 {
		return ""
	}
	return fmt.Sprintf(", after backup %d", r.mark.Saved)
}

// Backups lists a server's backups, the newest first.
func (o *Orchestrator) Backups(_ context.Context, name server.Name) ([]server.Backup, error) {
	if _, _, err := o.Get(name); err != nil {
		return nil, err
	}
	return o.Files.Backups(name)
}

// Restore asks for a server to be given the state of one of its backups. Asked
// for twice it is one job; while another backup is restored it is refused.
func (o *Orchestrator) Restore(ctx context.Context, name server.Name, id int64, who server.Requester) (_ *server.Job, err error) {
	defer o.noteRefused(who, string(server.JobRestore), name, &err)
	if err := o.writable(); err != nil {
		return nil, err
	}
	rec, release, err := o.claimOne(ctx, name)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := o.hasBackup(name, id); err != nil {
		return nil, err
	}
	p := o.plan(server.JobRestore, "", []*record{rec}, who)
	if job := p.jobs[name]; job != nil && !o.restores(rec, id) {
		return nil, errBusy(name, job)
	}
	for i := range p.insert {
		p.insert[i].Row.Mark = withBackup(p.insert[i].Row.Mark, id)
	}
	if err := o.insertJobs(ctx, p); err != nil {
		return nil, err
	}
	o.engage(p)
	jobs, more := p.answer([]server.Name{name})
	if len(more) > 0 {
		return nil, more[0].Err
	}
	return jobs[0], nil
}

// withBackup adds to a mark what is to be restored.
func withBackup(encoded []byte, id int64) []byte {
	var m mark
	_ = json.Unmarshal(encoded, &m) // written by encode
	m.Backup = id
	return m.encode()
}

// restores says whether the server's job restores this backup.
func (o *Orchestrator) restores(rec *record, id int64) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return rec.run != nil && rec.run.row.Kind == server.JobRestore && rec.run.chosen == id
}

func (o *Orchestrator) hasBackup(name server.Name, id int64) error {
	backups, err := o.Files.Backups(name)
	if err != nil {
		return err
	}
	for _, b := range backups {
		if b.ID == id {
			return nil
		}
	}
	return instance.ErrNoBackup(name, id)
}

// DeleteBackup removes one of a server's backups.
func (o *Orchestrator) DeleteBackup(ctx context.Context, name server.Name, id int64, who server.Requester) (err error) {
	const what = "delete-backup"
	defer o.noteRefused(who, what, name, &err)
	if err := o.writable(); err != nil {
		return err
	}
	rec, release, err := o.claimOne(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	o.mu.RLock()
	current, verdict := rec.judged("", server.Judge)
	o.mu.RUnlock()
	if verdict == server.Busy && (current.Kind == server.JobRestore || current.Kind == server.JobDelete) {
		return errBusy(name, current)
	}
	if err := o.Files.DeleteBackup(name, id); err != nil {
		return err
	}
	o.noteChange(ctx, server.HistoryEntry{Server: string(name), ServerID: rec.row.ID, What: what, By: &who, Detail: fmt.Sprintf("backup %d", id)})
	return nil
}
