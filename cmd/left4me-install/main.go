// Command left4me-install installs and updates the game with SteamCMD, as the
// user left4me, for the units left4me-install and left4me-install-check.
//
//	left4me-install update    installs the game, or brings it up to date
//	left4me-install check     asks Steam which build is the newest
//	left4me-install restore   puts right what an update left that was killed
//
// What is wanted, and who logs in to Steam, it reads from the credentials
// "request" and "account". Its exit statuses are server.InstallExit; what it
// prints, package steamcmd says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/steamcmd"
)

// dataRoot is where the game data lies.
const dataRoot = "/var/lib/left4me"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(int(run(ctx, os.Args[1:], os.Getenv("CREDENTIALS_DIRECTORY"), os.Stdout, os.Stderr)))
}

func run(ctx context.Context, args []string, credentials string, stdout, stderr io.Writer) server.InstallExit {
	if len(args) != 1 || args[0] != "update" && args[0] != "check" && args[0] != "restore" {
		fmt.Fprintln(stderr, "usage: left4me-install update|check|restore")
		return server.InstallUsage
	}
	var request steamcmd.Request
	var account steamcmd.Account
	var err error
	if args[0] != "restore" { // which is to work whatever they say
		request, account, err = read(credentials)
	}
	if err != nil {
		fmt.Fprintf(stdout, "fault %s\n", server.Visible(err.Error()))
		return server.InstallUsage
	}
	i := &steamcmd.Installer{
		Root: dataRoot, Places: steamcmd.Places(dataRoot),
		Request: request, Account: account, Out: stdout, Now: time.Now,
	}
	var fault *steamcmd.Fault
	switch args[0] {
	case "update":
		fault = i.Update(ctx)
	case "check":
		fault = i.Check(ctx)
	case "restore":
		fault = i.Restore()
	}
	if fault == nil {
		return server.InstallDone
	}
	fmt.Fprintf(stdout, "fault %s\n", server.Visible(fault.Text))
	return fault.Exit
}

// read reads the credentials; one that is missing says nothing.
func read(dir string) (steamcmd.Request, steamcmd.Account, error) {
	request, err := credential(dir, "request", "{}")
	if err != nil {
		return steamcmd.Request{}, steamcmd.Account{}, err
	}
	account, err := credential(dir, "account", "")
	if err != nil {
		return steamcmd.Request{}, steamcmd.Account{}, err
	}
	r, err := steamcmd.ReadRequest(request)
	if err != nil {
		return r, steamcmd.Account{}, err
	}
	a, err := steamcmd.ReadAccount(account)
	return r, a, err
}

func credential(dir, name, instead string) ([]byte, error) {
	if dir == "" {
		return []byte(instead), nil
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return []byte(instead), nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the credential %s: %w", name, err)
	}
	return data, nil
}
