// Package store keeps what must outlive the daemon: servers, jobs, the
// history and the reservation of event ids, in one SQLite file (left4med's state.db).
//
// A write that returned nil is on the disk: the database runs in WAL mode with
// synchronous=FULL, so every commit is followed by fsync
// (https://www.sqlite.org/pragma.html#pragma_synchronous). Because an fsync
// is what a write costs, one goroutine takes all writes that wait and commits
// them together. Reads run beside it on connections of their own.
//
// Errors are *server.Error: CodeStorage for what the disk or the file did,
// the code of the rule that was broken otherwise. A context's error is returned
// as it is.
package store
