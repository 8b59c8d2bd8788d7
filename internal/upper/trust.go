package upper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Trust returns an error unless root, path below it and each directory between the
// two belongs to uid and can be changed by nobody else: only then is what stands
// there uid's word.
func Trust(root, path string, uid int) error {
	at := root
	for elem := range strings.SplitSeq("./"+path, "/") {
		at = filepath.Join(at, elem)
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case !info.IsDir():
			return fmt.Errorf("%s is no directory", at)
		case !ok || int(stat.Uid) != uid:
			return fmt.Errorf("%s belongs to uid %d", at, stat.Uid)
		case info.Mode().Perm()&0o022 != 0:
			return fmt.Errorf("%s can be changed by others than its owner", at)
		}
	}
	return nil
}
