// Command srcds_run is the stand-in for the game's start script; see package
// standin. With --make-tree DIR it lays out an installation of itself instead, and
// under the name steamcmd it is the stand-in for SteamCMD.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/left4med/left4med/test/standin"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if filepath.Base(os.Args[0]) == "steamcmd" {
		steam := standin.SteamCMD{Home: os.Getenv("HOME"), Program: "/proc/self/exe", Out: os.Stdout}
		return steam.Run(args)
	}
	if len(args) == 2 && args[0] == "--make-tree" {
		if err := standin.Install(args[1], "/proc/self/exe"); err != nil {
			fmt.Fprintln(os.Stderr, "srcds_run:", err)
			return 1
		}
		return 0
	}
	// Hundreds run side by side, so memory counts. No memory limit: one below
	// what the runtime itself takes makes it collect without end, which was half
	// of what a start cost.
	debug.SetGCPercent(20)
	options, err := standin.ParseArgs(args)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	server := &standin.Server{
		Options: options,
		Dir:     ".",
		Console: os.Stdout,
		Leave:   os.Exit,
		Crash:   standin.DieBySegfault,
		Now:     time.Now,
	}
	return server.Run(context.Background(), stop)
}
