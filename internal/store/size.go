package store

import "os"

// Size is how many bytes the database takes on the disk: the file and what waits
// to be merged into it, its write-ahead log. A file that cannot be looked at
// counts as empty.
func (s *Store) Size() (bytes int64) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.Path() + suffix); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}
