package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/left4med/left4med/internal/server"
	"github.com/rs/zerolog"
)

// helperEnv makes the test binary play a part in a process of its own.
const helperEnv = "STORE_TEST_PART"

func TestMain(m *testing.M) {
	parts := map[string]func(dir string) error{"write": partWrite, "alerts": partAlerts, "full": partFull, "read-only": partReadOnly}
	part, ok := parts[os.Getenv(helperEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := part(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// part starts the test binary in a part.
func part(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, dir)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// partWrite inserts jobs and reserves event ids from several goroutines and
// says of each what was acknowledged, until it is killed.
func partWrite(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, filepath.Join(dir, "state.db"), zerolog.Nop())
	if err != nil {
		return err
	}
	said := make(chan string)
	for range 8 {
		go func() {
			for {
				rows, err := s.InsertJobs(ctx, []NewJob{{Row: newJob(server.JobStart)}, {Row: newJob(server.JobStop)}})
				if err != nil {
					said <- err.Error()
					return
				}
				said <- fmt.Sprintf("job %d\njob %d", rows[0].ID, rows[1].ID)
				first, err := s.ReserveEventIDs(ctx, 10)
				if err != nil {
					said <- err.Error()
					return
				}
				said <- fmt.Sprintf("event %d", first)
			}
		}()
	}
	for line := range said {
		fmt.Println(line)
	}
	return nil
}

// Whatever was acknowledged is there after kill -9, and no event id comes
// twice.
func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	acknowledged, events := map[int64]bool{}, map[uint64]bool{}
	for range 8 {
		cmd := part(t, "write", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewReader(out)
		for n, end := 0, r.IntN(400); ; n++ {
			line, err := lines.ReadString('\n')
			if err != nil { // all that it said before it died was read
				break
			}
			if n == end {
				must(t, cmd.Process.Kill())
			}
			kind, number, _ := strings.Cut(strings.TrimSpace(line), " ")
			id, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				t.Fatalf("the writer said %q", line)
			}
			switch {
			case kind == "event" && events[id], kind == "job" && acknowledged[int64(id)]:
				t.Fatalf("%s was handed out twice", line)
			case kind == "event":
				events[id] = true
			default:
				acknowledged[int64(id)] = true
			}
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the writer ended by itself: %v", err)
		}
	}
	s := openAt(t, filepath.Join(dir, "state.db"))
	jobs, err := s.UnfinishedJobs(t.Context())
	must(t, err)
	for _, j := range jobs {
		delete(acknowledged, j.ID)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged jobs are gone: %v", len(acknowledged), acknowledged)
	}
	recorded := []int64{}
	for _, e := range history(t, s, server.HistoryFilter{Limit: 1 << 30}) {
		recorded = append(recorded, e.Job)
	}
	slices.Sort(recorded)
	same(t, ids(jobs), recorded)
	if len(jobs)%2 != 0 {
		t.Errorf("%d jobs: one was committed without the other of its call", len(jobs))
	}
}

// mountDisk puts a small file system of its own on dir, seen by this process
// alone: it was started with a mount namespace of its own.
func mountDisk(dir, size string) error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount("none", dir, "tmpfs", 0, "mode=0700,size="+size)
}

// partFull fills the disk under an open store and makes room again.
func partFull(dir string) error {
	ctx := context.Background()
	if err := mountDisk(dir, "1m"); err != nil {
		return err
	}
	s, err := Open(ctx, filepath.Join(dir, "state.db"), zerolog.Nop())
	if err != nil {
		return err
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make0(400<<10), 0o600); err != nil {
		return err
	}
	row := newJob(server.JobStart)
	row.Mark = []byte(`"` + string(make0(8<<10)) + `"`)
	var stored []int64
	for {
		rows, err := s.InsertJobs(ctx, []NewJob{{Row: row}})
		if err != nil {
			fmt.Println("full:", err)
			break
		}
		stored = append(stored, rows[0].ID)
	}
	if _, err := s.Jobs(ctx, JobFilter{}); err != nil {
		return fmt.Errorf("reading failed as well: %w", err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := s.Ping(ctx); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	rows, err := s.InsertJobs(ctx, []NewJob{{Row: newJob(server.JobStop)}})
	if err != nil {
		return err
	}
	stored = append(stored, rows[0].ID)
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(ctx, s.Path(), zerolog.Nop()); err != nil {
		return err
	}
	jobs, err := s.UnfinishedJobs(ctx)
	if err != nil {
		return err
	}
	if len(jobs) != len(stored) {
		return fmt.Errorf("%d of %d acknowledged jobs are there", len(jobs), len(stored))
	}
	return s.Close()
}

// partReadOnly opens a store on a disk that can no longer be written, and makes
// it so under an open one.
func partReadOnly(dir string) error {
	ctx := context.Background()
	if err := mountDisk(dir, "4m"); err != nil {
		return err
	}
	path := filepath.Join(dir, "state.db")
	s, err := Open(ctx, path, zerolog.Nop())
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if err := syscall.Mount("none", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	for _, p := range []string{path, filepath.Join(dir, "new.db")} {
		_, err = Open(ctx, p, zerolog.Nop())
		if err == nil {
			return errors.New("it was opened")
		}
		var e *server.Error
		if !errors.As(err, &e) {
			return err
		}
		fmt.Println(e.Code, e.Detail)
	}
	return nil
}

// private starts a part with a mount namespace of its own and returns what it
// said.
func private(t *testing.T, name string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk in a namespace of its own")
	}
	cmd := part(t, name, t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said, err := io.ReadAll(out)
	must(t, err)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v; it said:\n%s", err, said)
	}
	return string(said)
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	said := private(t, "full")
	for _, want := range []string{"full: cannot store the jobs", "no space left"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in:\n%s", want, said)
		}
	}
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	said := private(t, "read-only")
	if strings.Count(said, "storage cannot open the database") != 2 || strings.Count(said, "mounted read-only") != 2 {
		t.Errorf("it said:\n%s", said)
	}
}
