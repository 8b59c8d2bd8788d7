package service

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// TestTellsSystemd is about the environment that systemd sets, so it runs alone.
func TestTellsSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	heard := func() string {
		t.Helper()
		b := make([]byte, 100)
		if err := systemd.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := systemd.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	Ready(zerolog.Nop())
	Stopping(zerolog.Nop())
	if first, second := heard(), heard(); first != "READY=1" || second != "STOPPING=1" {
		t.Errorf("systemd heard %q, %q", first, second)
	}

	if err := Watchdog(t.Context(), zerolog.Nop(), nil); err != nil {
		t.Errorf("without a watchdog: %v", err)
	}
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, cancel := context.WithCancel(t.Context())
	sick, ended, checks := make(chan struct{}), make(chan error), 0
	go func() {
		ended <- Watchdog(ctx, zerolog.Nop(), func(context.Context) error {
			if checks++; checks == 2 {
				close(sick)
			}
			if checks >= 2 {
				return errors.New("stuck")
			}
			return nil
		})
	}()
	if got := heard(); got != "WATCHDOG=1" {
		t.Errorf("systemd heard %q", got)
	}
	<-sick // and nothing more is told
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := systemd.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := systemd.Read(make([]byte, 100)); err == nil {
		t.Errorf("systemd heard %d bytes more", n)
	}
}
