// Package sqlite opens SQLite files that must not lose what was acknowledged:
// WAL mode with synchronous=FULL, so that every commit is followed by fsync
// (https://www.sqlite.org/pragma.html#pragma_synchronous), one connection that
// writes and some that read beside it. It refuses files that are another
// program's, damaged, or from a newer version, before anything is written to
// them, brings their schema up to date, and turns what the disk or the driver
// said into errors that name the cure.
package sqlite
