package store

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/left4med/left4med/internal/server"
	"github.com/rs/zerolog"
)

//go:embed testdata/v1.sql
var frozenV1 string

// bare runs statements on a file with the bare driver.
func bare(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	must(t, err)
	_, err = db.ExecContext(t.Context(), statements)
	must(t, err)
	must(t, db.Close())
}

func refused(t *testing.T, path string) error {
	t.Helper()
	s, err := Open(t.Context(), path, zerolog.Nop())
	if err == nil {
		s.Close()
		t.Fatal("it was opened")
	}
	return err
}

func TestOpenSetsUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b#?%.db")
	s := openAt(t, path)
	same(t, path, s.Path())
	same(t, len(migrations()), s.Schema())
	must(t, s.Ping(t.Context()))
	for pragma, want := range map[string]int{"synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000, "application_id": applicationID} {
		var got int
		must(t, s.conn.QueryRowContext(t.Context(), `PRAGMA `+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %d, want %d", pragma, got, want)
		}
	}
	create(t, s, "a", 27015)
	for _, end := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + end)
		must(t, err)
		same(t, os.FileMode(0o600), info.Mode())
	}
	if _, err := s.readers.ExecContext(t.Context(), `DELETE FROM jobs`); err == nil {
		t.Error("a reading connection can write")
	}
	must(t, s.Close())
	must(t, os.Chmod(path, 0o644))
	s = openAt(t, path)
	same(t, 1, len(servers(t, s)))
	info, err := os.Stat(path)
	must(t, err)
	same(t, os.FileMode(0o600), info.Mode())
}

func TestFrozenVersion1(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	bare(t, path, frozenV1)
	s := openAt(t, path)
	same(t, len(migrations()), s.Schema())
	at := func(sec int64) time.Time { return time.Unix(sec, 0).UTC() }
	same(t, []ServerRow{{
		ID: 4, Name: "versus-1", Phase: server.PhaseReady, Desired: server.DesiredRunning,
		ChangedInvocation: "0123456789abcdef0123456789abcdef", CreatedAt: at(1700000002),
		Config: server.Config{
			Port: 27015, Map: "c5m1_waterfront", GameMode: "versus", MaxPlayers: 8, Hostname: "Versus",
			Args: []string{"-nobots"}, Overlays: []string{"maps"}, CVars: map[string]string{"sv_gravity": "800"}, Heal: server.HealFailed,
		},
	}}, servers(t, s))
	jobs, err := s.Jobs(t.Context(), JobFilter{})
	must(t, err)
	nine := int64(9)
	same(t, []JobRow{
		{Job: server.Job{ID: 9, Server: "versus-1", ServerID: 4, Kind: server.JobStop, State: server.JobQueued,
			RequestedBy: server.Requester{Via: server.ViaDBus}, CreatedAt: at(1700000004)}},
		{Job: server.Job{ID: 8, Server: "versus-1", ServerID: 4, Kind: server.JobStart, State: server.JobCanceled, SupersededBy: &nine,
			RequestedBy: server.Requester{UID: 1000, User: "kim", Via: server.ViaHTTP, OnBehalfOf: "alice"},
			CreatedAt:   at(1700000003), StartedAt: at(1700000003).Add(time.Microsecond), FinishedAt: at(1700000004),
			Progress: &server.Progress{Done: 1, Total: 2, Text: "half"},
			Error:    &server.JobError{Code: server.CodeBusy, Detail: "why", Logs: []string{"a", "b"}}},
			Step: "enabled", Mark: []byte(`{"x":1}`), BootID: "boot-1"},
	}, jobs)
	first, err := s.ReserveEventIDs(t.Context(), 5)
	must(t, err)
	same(t, uint64(1700000000000), first)
	row, _ := create(t, s, "new", 27016)
	same(t, int64(5), row.ID)
}

// The frozen database and a new one have the same schema.
func TestSchemaMatchesFrozen(t *testing.T) {
	t.Parallel()
	schema := func(s *Store) map[string][]string {
		columns := map[string][]string{}
		rows, err := s.readers.QueryContext(t.Context(), `SELECT m.name, c.name || ' ' || c.type || ' ' || c."notnull"
			FROM sqlite_schema AS m, pragma_table_info(m.name) AS c ORDER BY m.name, c.cid`)
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			var table, column string
			must(t, rows.Scan(&table, &column))
			columns[table] = append(columns[table], column)
		}
		must(t, rows.Err())
		return columns
	}
	path := filepath.Join(t.TempDir(), "frozen.db")
	bare(t, path, frozenV1)
	same(t, schema(openAt(t, path)), schema(newStore(t)))
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	bare(t, path, frozenV1)
	add := append(migrations(), `ALTER TABLE servers ADD COLUMN note TEXT NOT NULL DEFAULT 'none'; UPDATE servers SET note = name;`)
	bad := append(add, `CREATE TABLE third (x); SELECT nonsense;`)

	// One that fails leaves the version before it.
	_, err := open(t.Context(), path, zerolog.Nop(), bad)
	fails(t, err, server.CodeStorage, "cannot open the database")
	s, err := open(t.Context(), path, zerolog.Nop(), add)
	must(t, err)
	same(t, len(add), s.Schema())
	var note string
	must(t, s.readers.QueryRowContext(t.Context(), `SELECT note FROM servers WHERE id = 4`).Scan(&note))
	same(t, "versus-1", note)
	must(t, s.release())
	fails(t, refused(t, path), server.CodeStorage, fmt.Sprintf("schema version %d", len(add)), fmt.Sprintf("up to %d", len(add)-1), "newer left4med", "install that version again")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	at := func(t *testing.T) string { return filepath.Join(t.TempDir(), "state.db") }
	t.Run("another program's database", func(t *testing.T) {
		t.Parallel()
		path := at(t)
		bare(t, path, `CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)`)
		before, err := os.ReadFile(path)
		must(t, err)
		fails(t, refused(t, path), server.CodeStorage, "belongs to another program", "move it away")
		after, err := os.ReadFile(path)
		must(t, err)
		same(t, before, after)
	})
	t.Run("no database", func(t *testing.T) {
		t.Parallel()
		path := at(t)
		must(t, os.WriteFile(path, make0(10000), 0o600))
		fails(t, refused(t, path), server.CodeStorage, "damaged")
	})
	t.Run("a damaged database", func(t *testing.T) {
		t.Parallel()
		path := at(t)
		s := openAt(t, path)
		create(t, s, "a", 27015)
		must(t, s.Close())
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		info, err := f.Stat()
		must(t, err)
		_, err = f.WriteAt(make0(int(info.Size())-4096), 4096) // all but the first page
		must(t, err)
		must(t, f.Close())
		fails(t, refused(t, path), server.CodeStorage, "damaged", path+"-wal")
	})
	t.Run("a missing directory", func(t *testing.T) {
		t.Parallel()
		fails(t, refused(t, filepath.Join(t.TempDir(), "no", "state.db")), server.CodeStorage, "does not exist")
	})
	t.Run("a link", func(t *testing.T) {
		t.Parallel()
		path := at(t)
		must(t, os.Symlink("/etc/passwd", path))
		fails(t, refused(t, path), server.CodeStorage, "not a plain file")
	})
	t.Run("a directory", func(t *testing.T) {
		t.Parallel()
		fails(t, refused(t, t.TempDir()), server.CodeStorage, "not a plain file")
	})
	t.Run("one in use", func(t *testing.T) {
		t.Parallel()
		path := at(t)
		s := openAt(t, path)
		fails(t, refused(t, path), server.CodeStorage, "another left4med is using it")
		create(t, s, "a", 27015) // the first one is none the worse
	})
	t.Run("a context that ended", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Open(ctx, at(t), zerolog.Nop()); err == nil {
			t.Error("it was opened")
		}
	})
}

// A file that was created and left empty, as by a crash at the first start, is
// set up.
func TestOpenEmptyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	must(t, os.WriteFile(path, nil, 0o600))
	create(t, openAt(t, path), "a", 27015)
}
