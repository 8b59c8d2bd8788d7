// Package journal reads the logs of a unit.
package journal
