package steamcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/creack/pty"

	"github.com/left4med/left4med/internal/server"
)

// promptAfter is how long SteamCMD must be silent in the middle of a line before
// that counts as a question. A line may come in two pieces.
const promptAfter = time.Second

// ending is how a SteamCMD ended.
type ending struct {
	fault   line   // the first line that tells of a fault; Kind is kindOther when there was none
	ok      bool   // it said that the app is installed
	confirm bool   // it waited for the login to be confirmed elsewhere
	how     string // "with status 8", "by signal: killed"
}

// note takes a line into account.
func (e *ending) note(l line) {
	switch l.Kind {
	case kindOther, kindProgress:
		return
	case kindInstalled:
		e.ok = true
		return
	case kindConfirm:
		e.confirm = true
		return
	case kindOffline, kindLoginRefused:
		if e.confirm { // nobody did
			l.Kind = kindGuard
		}
	}
	if e.fault.Kind == kindOther {
		e.fault = l
	}
}

// session runs SteamCMD once, with a file of commands, on a terminal: to a pipe
// it writes its progress in blocks, minutes late. Each line is given to each,
// which answers with a fault to end SteamCMD early.
func (i *Installer) session(ctx context.Context, program, commands string, each func(string, line) *Fault) (ending, *Fault) {
	scratch, err := os.MkdirTemp("", "left4me-install")
	if err != nil {
		return ending{}, unexpected("make a place for SteamCMD's commands", err)
	}
	defer os.RemoveAll(scratch)
	file := filepath.Join(scratch, "commands.txt")
	if err := os.WriteFile(file, []byte(commands), 0o600); err != nil {
		return ending{}, unexpected("write SteamCMD's commands", err)
	}
	cmd := exec.Command(program, "+runscript", file)
	cmd.Dir = i.home()
	cmd.Env = []string{
		"HOME=" + i.home(), "USER=left4me", "LOGNAME=left4me", "LANG=C.UTF-8", "TERM=dumb",
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/games",
	}
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 500})
	if err != nil {
		return ending{}, faultf(server.InstallSteamCMDFailed, "%s cannot be run: %v; on a 64-bit system it needs the 32-bit libraries (lib32gcc-s1)", program, err)
	}
	defer terminal.Close()
	return i.follow(ctx, cmd, terminal, each)
}

// follow reads what a SteamCMD prints until it has ended with all its children.
func (i *Installer) follow(ctx context.Context, cmd *exec.Cmd, terminal *os.File, each func(string, line) *Fault) (ending, *Fault) {
	var end ending
	var fault *Fault
	// SteamCMD leads a session of its own: its group is all that it started.
	kill := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	split := &splitter{each: func(text string) {
		l := parseLine(text)
		end.note(l)
		if f := each(text, l); f != nil && fault == nil {
			fault = f
			kill()
		}
	}}
	chunks, over := readAll(terminal), waitFor(cmd)
	quiet := time.NewTimer(i.promptAfter())
	defer quiet.Stop()
	stop := ctx.Done()
	for chunks != nil {
		select {
		case data, open := <-chunks:
			if !open {
				chunks = nil
				break
			}
			split.write(data)
			quiet.Reset(i.promptAfter())
		case <-quiet.C:
			if l := parsePrompt(split.begun()); l.Kind != kindOther {
				end.note(l)
				kill()
			}
		case <-stop:
			stop = nil
			fault = faultf(server.InstallSteamCMDFailed, "the update was stopped by another hand; ask again to go on with it")
			kill()
		case <-over.done:
			over.done = nil
			kill() // what it left running would write on
		}
	}
	split.flush()
	if over.done != nil {
		<-over.done
	}
	end.how = howEnded(*over.err)
	return end, fault
}

// readAll hands on what a terminal says until nobody can write to it any more.
func readAll(terminal *os.File) <-chan []byte {
	chunks := make(chan []byte)
	go func() {
		defer close(chunks)
		for {
			data := make([]byte, 4096)
			n, err := terminal.Read(data)
			if n > 0 {
				chunks <- data[:n]
			}
			if err != nil { // EIO: the last one has closed it, or who leads the session has ended
				return
			}
		}
	}()
	return chunks
}

// waiting is a child that is waited for; err is set once done is closed.
type waiting struct {
	done <-chan struct{}
	err  *error
}

func waitFor(cmd *exec.Cmd) waiting {
	done, err := make(chan struct{}), new(error)
	go func() {
		defer close(done)
		*err = cmd.Wait()
	}()
	return waiting{done, err}
}

// howEnded words how a process ended.
func howEnded(err error) string {
	if err == nil {
		return "with status 0"
	}
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return "by signal: " + status.Signal().String()
		}
		return fmt.Sprintf("with status %d", failed.ExitCode())
	}
	return err.Error()
}

// unexpected is a fault of the host that nothing here knows a cure for.
func unexpected(what string, err error) *Fault {
	return faultf(server.InstallUnexpected, "cannot %s: %v", what, err)
}
