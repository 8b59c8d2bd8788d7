// Command left4me-adopt makes the directories around the upper layer of one
// instance root's, for the unit left4me-adopt@: on a host of the system before
// left4med they belong to the user under which its games run.
//
//	left4me-adopt NAME
//
// It exits with 0 when they are root's or do not exist, 1 when something is not
// as it must be and nothing was done, or could not be done, 2 on usage.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/left4med/left4med/internal/adopt"
)

// dataRoot is where the game data lies.
const dataRoot = "/var/lib/left4me"

// Exit statuses.
const (
	exitDone = iota
	exitFailed
	exitUsage
)

func main() { os.Exit(run(dataRoot, os.Args[1:], os.Stdout, os.Stderr)) }

func run(root string, args []string, stdout, stderr io.Writer) int {
	if len(args) != 1 || !plainName(args[0]) {
		fmt.Fprintln(stderr, "usage: left4me-adopt NAME")
		return exitUsage
	}
	changed, err := adopt.Runtime(root, args[0], adopt.Owner{UID: os.Getuid(), GID: os.Getgid()})
	for _, path := range changed {
		fmt.Fprintf(stdout, "%s is root's now\n", path)
	}
	if err != nil {
		fmt.Fprintf(stderr, "left4me-adopt: %v\n", err)
		return exitFailed
	}
	if len(changed) == 0 {
		fmt.Fprintf(stdout, "nothing to take over of %s\n", args[0])
	}
	return exitDone
}

// plainName keeps a name from being a path, and from being a place where left4med
// puts together or takes apart an instance.
func plainName(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsRune(name, '/')
}
