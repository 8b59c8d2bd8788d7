// Package server is the domain of left4med: what a server is called, what it
// may be set to, which state it is in, where intent and truth disagree, what a
// job is and which jobs exclude each other.
//
// It is pure: it reads no file, opens no connection and imports nothing else
// of this module. Every other room imports it; it imports none of them.
package server
