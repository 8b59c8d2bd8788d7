package account

import (
	"context"
	"database/sql"
)

// Change gives a user another role, another password, or both at once or not at
// all; what is nil stays. A new password ends all sessions of the user.
func (b *Book) Change(ctx context.Context, name string, role *Role, password *string) error {
	if role != nil {
		if _, err := ParseRole(string(*role)); err != nil {
			return err
		}
	}
	var hash string
	if password != nil {
		if err := checkPassword("password", name, *password); err != nil {
			return err
		}
		var err error
		if hash, err = b.hasher.hash(ctx, *password); err != nil {
			return err
		}
	}
	return b.change(ctx, "change the user", name, func(tx *sql.Tx, id int64) error {
		if role != nil {
			if *role != RoleAdmin {
				if err := keepAdmin(ctx, tx, id, name); err != nil {
					return err
				}
			}
			if _, err := tx.ExecContext(ctx, `UPDATE users SET role = ? WHERE id = ?`, *role, id); err != nil {
				return err
			}
		}
		if password == nil {
			return nil
		}
		return newPassword(ctx, tx, id, hash, "")
	})
}
