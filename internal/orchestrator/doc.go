// Package orchestrator is the single owner of the truth about every server.
//
// Two streams meet in it. Observations (systemd's signals, the answers of the
// resync and what a job read) change what is known of a unit; requests become
// jobs, which change the host through unitctl and instance. Both end in one
// place, publish, which derives a server's state and drift, replaces its
// immutable Entry and appends an Event to the feed. Readers never wait for
// systemd: they get entries from memory.
//
// One mutex guards the records. It is held for memory alone, never across a
// call to systemd, to the disk or to the database; jobs run in goroutines of
// their own and take it for moments.
package orchestrator
