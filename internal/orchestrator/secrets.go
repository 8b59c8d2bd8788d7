package orchestrator

import (
	"context"

	"github.com/left4med/left4med/internal/server"
)

// writeSecret writes the files of a server with a secret changed.
type writeSecret func(ctx context.Context, name server.Name, id int64, cfg server.Config) error

// SetSecret gives a server a secret. It applies at the server's next start. One
// that is not set takes the secret away; for RCON a random one is made.
func (o *Orchestrator) SetSecret(ctx context.Context, name server.Name, which server.SecretName, value server.Secret, who server.Requester) (err error) {
	const what = "secret"
	defer o.noteRefused(who, what, name, &err)
	e, err := o.change(ctx, name, server.ConfigPatch{}, who, func(ctx context.Context, name server.Name, id int64, cfg server.Config) error {
		return o.Files.SetSecret(ctx, name, id, cfg, which, value)
	})
	if err != nil {
		return err
	}
	o.noteChange(ctx, server.HistoryEntry{Server: string(name), ServerID: e.ID, What: what, By: &who, Detail: string(which)})
	return nil
}

// completeSecrets has the game find its secrets at the start that follows.
func (r *run) completeSecrets() error {
	select {
	case r.rec.claimed <- struct{}{}: // no change of settings may run beside it
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	defer func() { <-r.rec.claimed }()
	r.o.mu.RLock()
	row := r.rec.row
	r.o.mu.RUnlock()
	return r.o.Files.Complete(r.ctx, row.Name, row.ID, row.Config)
}
