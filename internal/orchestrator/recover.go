package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/store"
)

// recover finishes what an earlier run of the daemon began. It decides for all
// jobs before it lets the first of them change anything, so that none mistakes
// another's change for a foreign hand.
func (o *Orchestrator) recover(ctx context.Context) {
	o.thawLeft(ctx)
	if err := o.Files.Sweep(o.owned); err != nil {
		o.Log.Error().Err(err).Msg("cannot remove what unfinished creations left behind")
	}
	if err := o.Files.SweepOverlays(); err != nil {
		o.Log.Error().Err(err).Msg("cannot remove what is left of overlays")
	}
	o.repairFiles(ctx)
	if !o.Settings.JobsEnabled {
		o.Log.Warn().Msg("jobs are switched off; unfinished ones stay as they are")
		return
	}
	rows, err := o.Store.UnfinishedJobs(ctx)
	if err != nil {
		o.Log.Error().Err(err).Msg("cannot read the unfinished jobs; they are tried again at the next start")
		return
	}
	newest := newestOf(rows)
	var verdicts []error
	for i, row := range rows {
		if last := newest[placeOf(row)]; subjectOf(row) != 0 && last != row.ID {
			rows[i].SupersededBy = &last
			verdicts = append(verdicts, server.Errorf(server.CodeOvertaken, "another job for %s was asked for before this one's end was stored", about(row)))
			continue
		}
		verdicts = append(verdicts, o.mayResume(row))
	}
	var runs []*run
	for i, row := range rows {
		if verdicts[i] != nil {
			o.endUnresumed(ctx, row, verdicts[i])
			continue
		}
		o.mu.Lock()
		if rec := o.recordOf(row); rec != nil {
			runs = append(runs, o.newRun(rec, row))
		}
		o.mu.Unlock()
		o.logResumed(&row.Job)
	}
	if slices.ContainsFunc(runs, func(r *run) bool { return r.row.Step == stepLink }) {
		o.linker.reload() // the daemon may have ended between a change of links and this
	}
	o.mu.Lock()
	c := &cohort{linker: o.linker, missing: len(runs)}
	for _, r := range runs {
		r.cohort = c
	}
	o.launch(runs...)
	o.mu.Unlock()
}

// subjectOf tells the jobs of one server from those of another: its id, or -1 for
// the installation. Orphans' jobs, which are 0, are not told apart.
func subjectOf(row store.JobRow) int64 {
	if row.Kind.OfHost() {
		return -1
	}
	return row.ServerID
}

// place is what a server, or the installation, has one of: a job at work, and one
// that waits until nobody plays.
type place struct {
	subject int64
	waits   bool
}

func placeOf(row store.JobRow) place { return place{subjectOf(row), waits(row)} }

// newestOf tells of unfinished jobs, oldest first, which one counts in each place. One
// that waits is ended also by another that was asked for later.
func newestOf(rows []store.JobRow) map[place]int64 {
	newest := map[place]int64{}
	for _, row := range rows {
		p := placeOf(row)
		newest[p] = row.ID
		if row.Kind.EndsWait() {
			newest[place{p.subject, true}] = row.ID
		}
	}
	return newest
}

// about is what a stored job is about, in words.
func about(row store.JobRow) string {
	if row.Kind.OfHost() {
		return "the installation"
	}
	return string(row.Server)
}

// recordOf finds the server of a stored job, or what the job of an orphan works
// on. The caller holds o.mu.
func (o *Orchestrator) recordOf(row store.JobRow) *record {
	switch {
	case row.Kind == server.JobDisableOrphan:
		return o.orphanAgain(string(row.Server))
	case row.Kind.OfHost():
		return o.game.rec
	}
	if r := o.records[row.Server]; r != nil && r.row.ID == row.ServerID {
		return r
	}
	return nil
}

// orphanAgain is what the unfinished job of an orphan goes on with; nil when it
// is a server now. The caller holds o.mu for writing.
func (o *Orchestrator) orphanAgain(instance string) *record {
	if o.records[server.Name(instance)] != nil {
		return nil
	}
	n := o.orphans.known[instance]
	if n == nil {
		return orphanRecord(instance) // there is nothing left to do, and its job finds that out
	}
	if n.rec == nil {
		n.rec = orphanRecord(instance)
		n.rec.enabled = n.enabled
	}
	return n.rec
}

func (o *Orchestrator) owned(name server.Name) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	_, ok := o.records[name]
	return ok
}

// errDone says that a job had done its work and only its end was not stored.
var errDone = errors.New("done already")

// mayResume decides whether a job goes on: not when the host was rebooted or
// somebody else changed the server's link since the job last wrote, for then
// going on would undo what came later.
func (o *Orchestrator) mayResume(row store.JobRow) error {
	o.mu.Lock()
	rec := o.recordOf(row)
	o.mu.Unlock()
	switch {
	case rec != nil:
	case row.Kind == server.JobDelete:
		return errDone
	case row.Kind == server.JobDisableOrphan:
		return server.Errorf(server.CodeOvertaken, "%s is a server's unit now", row.Server.Unit())
	default:
		return server.Errorf(server.CodeOvertaken, "the server %s was deleted before the job could go on", row.Server)
	}
	want := row.Kind == server.JobStart || row.Kind == server.JobRestart
	switch row.Kind {
	case server.JobInitialize, server.JobAdopt, server.JobBackup:
		return nil // they change no unit
	case server.JobRestore:
		var m mark
		if json.Unmarshal(row.Mark, &m) == nil && m.Saved != 0 {
			return nil // it may have begun to take the files away: then only its end is whole
		}
	case server.JobDelete, server.JobReset:
		if past, err := o.pastReturn(rec.row.Name); past || err != nil {
			return err
		}
	}
	if row.Kind != server.JobDelete && row.BootID != o.BootID {
		return server.Errorf(server.CodeOvertaken, "the host was rebooted before the %s of %s was done; ask again if it is still wanted", row.Kind, about(row))
	}
	if row.Kind.OfHost() {
		return nil // it touches no link
	}
	o.mu.RLock()
	masked := rec.masked
	o.mu.RUnlock()
	foreign, err := o.foreignHand(row, want, masked)
	if err != nil {
		return err
	}
	if foreign {
		return server.Errorf(server.CodeOvertaken, "%s was %s by somebody else before the %s job was done; ask again if it is still wanted", rec.row.Name.Unit(), enabledWord(!want), row.Kind)
	}
	return nil
}

// pastReturn says whether a deletion or a reset has begun to take the files
// away: then only its end is whole.
func (o *Orchestrator) pastReturn(name server.Name) (bool, error) {
	if !o.Files.Present(name) {
		return true, nil
	}
	removed, err := o.Files.Removed()
	return slices.Contains(removed, name), err
}

// foreignHand tells from a job's mark whether somebody else turned the link
// against it.
func (o *Orchestrator) foreignHand(row store.JobRow, want, masked bool) (bool, error) {
	linked, err := o.Units.Linked(string(row.Server))
	if err != nil || linked == want {
		return false, err
	}
	var m mark
	if err := json.Unmarshal(row.Mark, &m); err != nil {
		return false, nil // no mark: it had not begun
	}
	if m.Linked == want {
		return true, nil // it was as the job wants it, and is no more
	}
	if row.Step != stepLink {
		return false, nil // it was and is the other way; the job had not come to it
	}
	if masked && !want {
		return false, nil // systemd leaves a masked unit's link, whoever asks
	}
	// The job was about to turn it. If the links are as they were, it did not
	// come to it; else it did, and somebody turned it back.
	links, err := o.Units.LinksChanged()
	return links != m.Links, err
}

func enabledWord(enabled bool) string {
	if enabled {
		return "enabled"
	}
	return "disabled"
}

// endUnresumed stores the end of a job that does not go on. A deletion that was
// overtaken leaves its server as it was.
func (o *Orchestrator) endUnresumed(ctx context.Context, row store.JobRow, why error) {
	row.FinishedAt = time.Now().UTC()
	row.State, row.Error = server.JobCanceled, jobError(why)
	if errors.Is(why, errDone) {
		row.State, row.Error = server.JobSucceeded, nil
	} else if row.Kind == server.JobDelete && row.SupersededBy == nil {
		o.mu.RLock()
		rec := o.recordOf(row)
		o.mu.RUnlock()
		if rec != nil {
			if err := o.Store.SetPhase(ctx, rec.row.ID, server.PhaseReady); err != nil {
				o.Log.Error().Err(err).Msg("cannot take back a deletion")
				return
			}
			o.faults.pass("deletion taken back")
			o.setPhase(rec, server.PhaseReady)
		}
	}
	if err := o.Store.UpdateJob(ctx, row); err != nil {
		o.Log.Error().Err(err).Int64("JOB", row.ID).Msg("cannot store the end of a job")
		return
	}
	if errors.Is(why, errDone) {
		why = nil
	}
	o.logJob(&row.Job, why)
	o.mu.Lock()
	began := row.CreatedAt
	if waits(row) {
		began = time.Time{}
	}
	o.jobEnded(&row.Job, began)
	o.mu.Unlock()
}

// repairFiles writes the settings of a server anew where a crash fell between
// the store and the files.
func (o *Orchestrator) repairFiles(ctx context.Context) {
	o.mu.RLock()
	records := append([]*record{}, o.order...)
	o.mu.RUnlock()
	for _, r := range records {
		if r.row.Phase != server.PhaseReady {
			continue
		}
		on, err := o.Files.Read(r.row.Name)
		write := o.Files.Write
		if err == nil && on.Config.Equal(r.row.Config) {
			write = o.Files.Complete // an older version made them, or a crash left a secret untold
		}
		if errors.Is(err, &server.Error{Code: server.CodeInstanceFiles}) || err == nil && on.ID != r.row.ID {
			continue // gone or foreign: that is drift, and not ours to write over
		}
		if err := write(ctx, r.row.Name, r.row.ID, r.row.Config); err != nil {
			o.Log.Error().Err(err).Str("SERVER", string(r.row.Name)).Msg("cannot write the settings of a server")
		}
	}
}
