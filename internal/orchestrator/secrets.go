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
