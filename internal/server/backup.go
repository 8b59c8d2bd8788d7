package server

import "time"

// BackupReason says why a backup was taken.
type BackupReason string

// The reasons. Those that are taken by themselves are kept in a limited number.
const (
	BackupAsked         BackupReason = "asked"
	BackupBeforeReset   BackupReason = "before-reset"
	BackupBeforeRestore BackupReason = "before-restore"
	BackupUnknown       BackupReason = "unknown" // it does not say, so it is damaged
)

// Automatic says whether left4med takes backups for the reason by itself.
func (r BackupReason) Automatic() bool {
	return r == BackupBeforeReset || r == BackupBeforeRestore
}

// Backup is an archive of what a server's game wrote, of its settings and of its
// secrets.
type Backup struct {
	ID        int64        `json:"id" doc:"The job's that took it, unless another backup of the server had that."`
	CreatedAt time.Time    `json:"created_at"`
	Reason    BackupReason `json:"reason" enum:"asked,before-reset,before-restore,unknown"`
	Size      int64        `json:"size" doc:"Bytes on the disk."`
}
