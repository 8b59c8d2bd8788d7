package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/left4med/left4med/test/machine"
)

const (
	// quietSeconds is the quiet minute, shortened: some 400 answers of each kind
	// say as much.
	quietSeconds = 12
	fuzzSeconds  = 20

	// maxSlower is how many times as long an honest client may wait.
	maxSlower = 5
	// maxGrowth bounds the daemon's memory in kB: 512 connections of some 50 kB,
	// a few requests of at most 1 MiB, and what the collector lets lie.
	maxGrowth = 128 << 10
)

// TestAbuse sets 10,000 malformed requests on both doors at once, beside 1,000
// idle connections, slow ones and readers that never read. Not beside other tests,
// which would be measured, too.
func TestAbuse(t *testing.T) {
	program := filepath.Join(t.TempDir(), "abuse")
	build := exec.Command("go", "build", "-o", program, "../abuse")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	var alone sync.Mutex // two attacks at once would measure each other
	machine.Each(t, func(t *testing.T, release machine.Release) {
		l := newLab(t, release)
		if err := l.CopyIn(t.Context(), program, "/usr/local/bin/abuse"); err != nil {
			t.Fatal(err)
		}
		l.shell(t, "useradd --groups left4med-operators op; useradd mallory; useradd eve")
		l.running(t, "a", "b")
		l.create(t, "c")
		alone.Lock()
		defer alone.Unlock()
		abuse(t, l)
	})
}

func abuse(t *testing.T, l *lab) {
	honest := func() []*hand { return []*hand{l.hand(t, "op", "honest", "c"), l.hand(t, "nobody", "honest")} }
	before := l.daemon(t)

	quiet := map[string][]float64{}
	hands := honest()
	time.Sleep(quietSeconds * time.Second) // what is measured is time
	for _, h := range hands {
		h.line(t) // enough
	}
	for _, h := range hands {
		h.end(t, &quiet)
	}
	rested := l.daemon(t)

	holder := l.hand(t, "mallory", "hold")
	hands = honest()
	peak, stop := l.peak(t, before.PID)
	defer stop()
	var sent map[string]map[string]int
	// On a host systemd shares the CPU out between users and the daemon. Here
	// nobody is in a unit, so niceness does.
	began := time.Now()
	fuzzer := l.CommandAs(t.Context(), l.user(t, "eve"), "nice", "-n", "19", "abuse", "fuzz", fmt.Sprint(fuzzSeconds))
	out, err := machine.Output(fuzzer)
	if err == nil {
		err = json.Unmarshal([]byte(out), &sent)
	}
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	attacked := map[string][]float64{}
	for _, h := range hands {
		h.line(t)
		h.end(t, &attacked)
	}
	var held map[string]int
	holder.end(t, &held)
	stop()

	t.Logf("in %.0f s, sent: %v\nheld: %v", took.Seconds(), sent, held)
	total := 0
	for door, of := range sent {
		n := 0
		for _, count := range of {
			n += count
		}
		if total += n; n != 5000 {
			t.Errorf("%d malformed requests on %s", n, door)
		}
	}
	same(t, "malformed requests", 10_000, total)
	same(t, "idle connections", 1000, held["idle"])
	compareWaits(t, quiet, attacked)
	l.asBefore(t, before, rested, *peak)
}

// compareWaits wants no honest client to wait much longer than in quiet.
func compareWaits(t *testing.T, quiet, attacked map[string][]float64) {
	t.Helper()
	var table strings.Builder
	fmt.Fprintf(&table, "%-18s %6s %9s %9s %6s %9s %9s %6s %9s %9s\n", "ms", "quiet", "median", "p99", "attack", "median", "p99", "", "× median", "× p99")
	for _, what := range slices.Sorted(maps.Keys(quiet)) {
		q, a := quiet[what], attacked[what]
		if len(q) < 5 || len(a) < 5 {
			t.Errorf("%s was asked %d and %d times", what, len(q), len(a))
			continue
		}
		median := at(a, 0.5) / at(q, 0.5)
		fmt.Fprintf(&table, "%-18s %6d %9.2f %9.2f %6d %9.2f %9.2f %6s %9.1f %9.1f\n",
			what, len(q), at(q, 0.5), at(q, 0.99), len(a), at(a, 0.5), at(a, 0.99), "", median, at(a, 0.99)/at(q, 0.99))
		if median > maxSlower {
			t.Errorf("%s takes %.1f times as long under attack; at most %d are allowed", what, median, maxSlower)
		}
	}
	t.Log("how long honest clients wait\n" + table.String())
}

// at is a quantile.
func at(values []float64, q float64) float64 {
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

// hand is a program in the machine that works until its standard input ends.
type hand struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
	errs  strings.Builder
}

// hand starts one, and returns when it is at work.
func (l *lab) hand(t *testing.T, user string, args ...string) *hand {
	t.Helper()
	h := &hand{cmd: l.CommandAs(t.Context(), l.user(t, user), "sh", append([]string{"-c", `ulimit -n 4096; exec abuse "$@"`, "sh"}, args...)...)}
	h.cmd.Stderr = &h.errs
	stdin, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.stdin, h.out = stdin, bufio.NewReader(out)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.line(t)
	return h
}

// line waits for a line that it says on the way.
func (h *hand) line(t *testing.T) {
	t.Helper()
	if _, err := h.out.ReadString('\n'); err != nil {
		t.Fatalf("%v: %v\n%s", h.cmd.Args, err, h.errs.String())
	}
}

// end ends it and adds what it found out.
func (h *hand) end(t *testing.T, into any) {
	t.Helper()
	h.stdin.Close()
	out, err := io.ReadAll(h.out)
	if waited := h.cmd.Wait(); err == nil {
		err = waited
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s", h.cmd.Args, err, h.errs.String())
	}
	waits, ok := into.(*map[string][]float64)
	if !ok {
		err = json.Unmarshal(out, into)
	} else {
		var more map[string][]float64
		err = json.Unmarshal(out, &more)
		for what, values := range more {
			(*waits)[what] = append((*waits)[what], values...)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// process is what can be seen of the daemon from outside.
type process struct {
	PID, Restarts, Panics string
	RSS, HWM              int // kB: anonymous now, and the most ever
	Files                 int
}

func (l *lab) daemon(t *testing.T) process {
	t.Helper()
	p := process{
		PID:      strings.TrimSpace(l.systemctl(t, "show", "--value", "--property=MainPID", "left4med.service")),
		Restarts: strings.TrimSpace(l.systemctl(t, "show", "--value", "--property=NRestarts", "left4med.service")),
	}
	p.RSS, p.HWM = l.memory(t, p.PID)
	p.Files = len(strings.Fields(l.MustRun(t, "ls", "/proc/"+p.PID+"/fd")))
	return p
}

// memory reads /proc/PID/status (proc_pid_status(5)).
func (l *lab) memory(t *testing.T, pid string) (rss, hwm int) {
	status, err := os.ReadFile(l.Path("/proc/" + pid + "/status"))
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 {
			switch n, _ := strconv.Atoi(f[1]); f[0] {
			case "RssAnon:":
				rss = n
			case "VmHWM:":
				hwm = n
			}
		}
	}
	return rss, hwm
}

// peak looks at the daemon's memory again and again until stop.
func (l *lab) peak(t *testing.T, pid string) (peak *int, stop func()) {
	peak = new(int)
	end := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for tick := time.Tick(50 * time.Millisecond); ; {
			select {
			case <-end:
				return
			case <-tick:
				rss, _ := l.memory(t, pid)
				*peak = max(*peak, rss)
			}
		}
	})
	return peak, sync.OnceFunc(func() { close(end); looking.Wait() })
}

// asBefore wants the daemon to be the same process, in as much room.
func (l *lab) asBefore(t *testing.T, before, rested process, peak int) {
	t.Helper()
	ctx := within(t, "the files of the daemon to be closed again")
	after := l.daemon(t)
	for after.Files > rested.Files+8 && ctx.Err() == nil { // an idle connection of ours, a database's
		time.Sleep(100 * time.Millisecond)
		after = l.daemon(t)
	}
	t.Logf("RssAnon in kB: %d before, %d after the quiet time, %d at most, %d afterwards; VmHWM %d, then %d; open files %d, %d, %d",
		before.RSS, rested.RSS, peak, after.RSS, before.HWM, after.HWM, before.Files, rested.Files, after.Files)
	if after.Files > rested.Files+8 {
		t.Errorf("%d files are open, %d were before\n%s", after.Files, rested.Files, l.MustRun(t, "ls", "-l", "/proc/"+after.PID+"/fd"))
	}
	if after.HWM > rested.HWM+maxGrowth || peak > rested.RSS+maxGrowth {
		t.Errorf("memory grew from %d to %d kB; at most %d more are allowed", rested.RSS, max(peak, after.HWM), maxGrowth)
	}
	same(t, "the process", []string{before.PID, "0"}, []string{after.PID, after.Restarts})
	for _, e := range l.journal(t) {
		if strings.Contains(e.Message, "panic") || strings.Contains(e.Message, "mistake of ours") || strings.Contains(e.Message, "connection to the bus was lost") {
			t.Errorf("the journal says %s", e.Message)
		}
	}
	l.agree(t, "a")
	if c := l.ctl(t, "doctor"); c.Code != 0 {
		t.Errorf("doctor: %+v", c)
	}
}
