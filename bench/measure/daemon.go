package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/left4med/left4med/client"
)

// Daemon is what left4med itself costs while nothing happens.
type Daemon struct {
	Idle     time.Duration   `json:"idle"`      // how long nobody asked it anything
	CPU      time.Duration   `json:"cpu"`       // processor time meanwhile, in steps of 10 ms
	RSS      int64           `json:"rss"`       // resident memory afterwards, bytes
	PeakRSS  int64           `json:"peak_rss"`  // the most it ever was, bytes
	Resync   []time.Duration `json:"resync"`    // POST /v1/resync
	List     []time.Duration `json:"list"`      // GET /v1/servers, one after the other on one connection
	ListSize int64           `json:"list_size"` // bytes of the answer
	Running  int             `json:"running"`   // servers, to say what all this is for
}

// MeasureDaemon measures the daemon at rest, then how long a resync takes and
// how fast the list is.
func MeasureDaemon(ctx context.Context, idle, listing time.Duration, resyncs int) (Daemon, error) {
	var d Daemon
	calls, err := dialBus(nil)
	if err != nil {
		return d, err
	}
	defer calls.Close()
	var pid uint32
	if err := calls.call(unitPath("left4med.service"), properties+".Get", &pid, serviceFace, "MainPID"); err != nil {
		return d, fmt.Errorf("cannot ask for the pid of left4med: %w", err)
	}
	if err := d.rest(ctx, int(pid), idle); err != nil {
		return d, err
	}
	c := client.New(client.Options{})
	defer c.Close()
	snap, err := c.Servers(ctx)
	if err != nil {
		return d, err
	}
	for _, s := range snap.Servers {
		if s.State == client.StateRunning {
			d.Running++
		}
	}
	for range resyncs {
		begin := time.Now()
		if err := c.Resync(ctx); err != nil {
			return d, err
		}
		d.Resync = append(d.Resync, time.Since(begin))
	}
	return d, d.list(ctx, listing)
}

// rest measures for so long what the process takes.
func (d *Daemon) rest(ctx context.Context, pid int, idle time.Duration) error {
	before, err := cpuTime(pid)
	if err != nil {
		return err
	}
	begin := time.Now()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idle):
	}
	after, err := cpuTime(pid)
	if err != nil {
		return err
	}
	d.Idle, d.CPU = time.Since(begin), after-before
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	d.RSS, d.PeakRSS = kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")
	return nil
}

// tick is the unit of times in /proc/PID/stat: USER_HZ, 100 on every Linux that
// Debian ships.
const tick = 10 * time.Millisecond

// cpuTime is what a process has used so far: utime and stime of proc(5).
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("cannot understand /proc/%d/stat", pid)
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

func kilobytes(status []byte, field string) int64 {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(field)); ok {
			n, _ := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			return n << 10
		}
	}
	return 0
}

// list reads the list again and again without decoding it.
func (d *Daemon) list(ctx context.Context, listing time.Duration) error {
	var dialer net.Dialer
	h := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", client.DefaultSocket)
		},
	}}
	defer h.CloseIdleConnections()
	for end := time.Now().Add(listing); time.Now().Before(end); {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://left4med/v1/servers", nil)
		if err != nil {
			return err
		}
		begin := time.Now()
		resp, err := h.Do(req)
		if err != nil {
			return err
		}
		d.ListSize, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GET /v1/servers: %s", resp.Status)
		}
		d.List = append(d.List, time.Since(begin))
	}
	return nil
}
