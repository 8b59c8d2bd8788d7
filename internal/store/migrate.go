package store

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
)

// migration brings a database from one version to the next.
type migration string

var (
	//go:embed schema/001.sql
	schema001 string
	//go:embed schema/002.sql
	schema002 string
	//go:embed schema/003.sql
	schema003 string
	//go:embed schema/004.sql
	schema004 string
)

// migrations lists the steps from an empty file on; the database's
// user_version counts those that were done. A step that was released is never
// changed again: the next change of the schema is a new step.
func migrations() []migration {
	return []migration{migration(schema001), migration(schema002), migration(schema003), migration(schema004)}
}

// migrate does the missing steps, each in a transaction of its own together
// with its number, and returns the version reached.
func migrate(ctx context.Context, conn *sql.Conn, ms []migration) (int, error) {
	var version int
	if err := conn.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return 0, err
	}
	for ; version < len(ms); version++ {
		if err := step(ctx, conn, ms[version], version+1); err != nil {
			return version, fmt.Errorf("cannot bring the schema to version %d: %w", version+1, err)
		}
	}
	return version, nil
}

func step(ctx context.Context, conn *sql.Conn, m migration, version int) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it has nothing to do
	// PRAGMA takes no parameters; both numbers are ours.
	stamp := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, version)
	for _, statement := range []string{string(m), stamp} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}
