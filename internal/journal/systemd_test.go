package journal

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/left4med/left4med/test/machine"
)

// talk is what the unit of the test writes: escapes, bytes that are no UTF-8,
// a priority, and a last word. It lives until journald
// has taken that in: of a process that is gone, journald cannot tell the run any
// more (tried on 252: such entries have no _SYSTEMD_INVOCATION_ID).
const talk = `printf 'plain\n\033[31mred\033[0m\nbad \377 byte\n<3>an error\nlast word\n'; journalctl --sync`

func talked() []string {
	return []string{"plain", `\x1b[31mred\x1b[0m`, `bad \xff byte`, "an error", "last word"}
}

func TestRealJournal(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("boots machines")
	}
	if err := machine.CheckHost(); err != nil {
		t.Skip(err)
	}
	machine.Each(t, func(t *testing.T, release machine.Release) {
		m := machine.New(t, release)
		inside := m.Command(t.Context(), "journalctl")
		r := New(inside.Path, inside.Args[1:]...)
		run := func() {
			m.MustRun(t, "systemd-run", "--quiet", "--wait", "--unit=talker.service", "sh", "-c", talk)
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		// Whoever says so is not the unit.
		must(m.WriteFile(t.Context(), "/run/forged", []byte("MESSAGE=forged\nSYSLOG_IDENTIFIER=talker\nUNIT=talker.service\n_SYSTEMD_UNIT=talker.service\n"), 0o644))
		must(m.Run(t.Context(), "logger", "--journald=/run/forged"))
		run()
		run()

		lines, err := r.Tail(t.Context(), "talker.service", 100, time.Time{})
		must(err)
		if n := count(lines, "last word"); n != 2 || count(lines, "forged") != 0 {
			t.Errorf("Tail: %q", lines)
		}
		entries := readAll(t, r, Query{Unit: "talker.service"})
		runs := map[string][]string{}
		for _, e := range entries {
			if e.PID > 1 {
				runs[e.InvocationID] = append(runs[e.InvocationID], e.Message)
			}
			if want := map[bool]int{true: 3, false: 6}[e.Message == "an error"]; e.PID > 1 && e.Priority != want {
				t.Errorf("priority %d of %q", e.Priority, e.Message)
			}
		}
		if len(runs) != 2 {
			t.Fatalf("entries of %d runs: %v", len(runs), entries)
		}
		for id := range runs {
			var said []string
			fromSystemd := 0
			for _, e := range readAll(t, r, Query{Unit: "talker.service", Invocation: id}) {
				if e.InvocationID != id {
					t.Errorf("an entry of another run: %+v", e)
				}
				if e.PID == 1 {
					fromSystemd++
				} else {
					said = append(said, e.Message)
				}
			}
			if diff := cmp.Diff(talked(), said); diff != "" || fromSystemd == 0 {
				t.Errorf("run %s, %d entries of systemd's: %s", id, fromSystemd, diff)
			}
		}

		// From the last entry's time on there is that one, and no earlier.
		last := entries[len(entries)-1]
		if got := readAll(t, r, Query{Unit: "talker.service", Since: last.At}); len(got) == 0 || got[len(got)-1].Cursor != last.Cursor || got[0].At.Before(last.At) {
			t.Errorf("since %v: %v", last.At, got)
		}
		if got := readAll(t, r, Query{Unit: "talker.service", Lines: 2}); !cmp.Equal(got, entries[len(entries)-2:]) {
			t.Errorf("two lines: %v", got)
		}

		s, err := r.Open(t.Context(), Query{Unit: "talker.service", Follow: true, Lines: 1})
		must(err)
		defer s.Close()
		first, err := s.Next(t.Context())
		must(err)
		if first.Cursor != last.Cursor {
			t.Errorf("following begins with %+v", first)
		}
		run()
		for message := ""; message != "last word"; {
			e, err := s.Next(t.Context())
			must(err)
			message = e.Message
		}
	})
}

func count(lines []string, line string) int {
	n := 0
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

// readAll reads a query to its end.
func readAll(t *testing.T, r *Reader, q Query) []Entry {
	t.Helper()
	s, err := r.Open(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries, err := all(t, s)
	if !errors.Is(err, io.EOF) {
		t.Fatal(fmt.Errorf("%+v: %w", q, err))
	}
	return entries
}
