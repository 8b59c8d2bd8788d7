// Package account keeps who may use the frontend: users with roles, their
// sessions, and how often somebody may try to sign in. It is one SQLite file,
// which `left4med-web user` changes beside the running frontend, so nothing that
// is in it is kept in memory from one call to the next.
//
// Passwords are stored as argon2id, tokens as SHA-256: who reads the file can
// sign in as nobody. A disk that refuses to be written keeps nobody out and
// nobody in: sessions begin and end in memory (see pending) until it takes them.
//
// Errors are *Error, ErrNoSession, or a context's.
package account
