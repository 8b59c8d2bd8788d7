package client

import (
	"context"
	"net/http"
	"strconv"
)

// Backups lists a server's backups, the newest first.
func (c *Client) Backups(ctx context.Context, name string) ([]Backup, error) {
	list, err := one[struct {
		Backups []Backup `json:"backups"`
	}](ctx, c, request{method: http.MethodGet}, name, "/backups")
	if err != nil {
		return nil, err
	}
	return list.Backups, nil
}

// Backup archives what a server's game wrote, its settings and its secrets. A
// game that runs stands still meanwhile. The job is returned at once.
func (c *Client) Backup(ctx context.Context, name string) (*Job, error) {
	return one[Job](ctx, c, request{method: http.MethodPost}, name, "/backups")
}

// RestoreBackup disables and stops a server and gives it what one of its backups
// holds; what it is now is backed up before. The job is returned at once.
func (c *Client) RestoreBackup(ctx context.Context, name string, id int64) (*Job, error) {
	return one[Job](ctx, c, request{method: http.MethodPost}, name, backupPath(id)+"/restore")
}

// DeleteBackup deletes one of a server's backups.
func (c *Client) DeleteBackup(ctx context.Context, name string, id int64) error {
	n, err := ParseName(name)
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, request{method: http.MethodDelete, path: "/v1/servers/" + string(n) + backupPath(id)}, nil)
	return err
}

func backupPath(id int64) string { return "/backups/" + strconv.FormatInt(id, 10) }
