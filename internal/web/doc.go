// Package web serves the frontend to browsers: the page itself, who is signed
// in, and, behind a check of roles, what the daemon offers.
//
// The daemon lets the frontend's user do everything, so what is decided here is
// all that stands between a browser and the servers. The tables in routes.go say
// what there is and which role each route needs; nothing that is not in them is
// passed on, and what is passed on is built from the table, not from what a
// browser sent. Every request goes through the door (door.go).
package web
