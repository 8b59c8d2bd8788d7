// Package live keeps one picture of all servers for all browsers. It holds one
// stream of events at the daemon, however many browsers watch, and one stream of
// each server's log that somebody reads.
package live
