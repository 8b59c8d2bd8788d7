// Package journal reads the logs of a unit by running journalctl(1), so that a
// fault in reading the journal's files ends a child and not the daemon.
//
// Entries are chosen as journalctl --unit does: by fields that only journald
// sets (_SYSTEMD_UNIT), and what systemd itself and its coredump helper say of
// the unit. What a game wrote is hostile: it is cut to a length and passed
// through server.Visible before anyone sees it.
package journal
