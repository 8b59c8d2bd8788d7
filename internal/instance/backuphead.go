package instance

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"github.com/left4med/left4med/internal/server"
	"golang.org/x/sys/unix"
)

// BackupHead is what a backup says of itself: all that is needed beside the upper
// layer. It is the archive's first file, compressed by itself, so that root reads
// nothing of what follows.
type BackupHead struct {
	ServerID  int64               `json:"server_id"`
	Name      server.Name         `json:"name"`
	CreatedAt time.Time           `json:"created_at"`
	Reason    server.BackupReason `json:"reason"`
	Config    server.Config       `json:"config"`

	secrets secrets
	length  int64 // bytes that it takes of the file
}

const (
	headFile    = "left4med.json"
	headVersion = 1
	maxHead     = maxSettings + maxSecrets + 4<<10 // bytes of the file
)

// storedHead is the file.
type storedHead struct {
	Version int `json:"version"`
	BackupHead
	Secrets map[server.SecretName]string `json:"secrets"`
}

func (h BackupHead) encode() ([]byte, error) {
	stored := storedHead{Version: headVersion, BackupHead: h, Secrets: map[server.SecretName]string{}}
	for name, secret := range h.secrets {
		stored.Secrets[name] = secret.Reveal()
	}
	text, err := json.MarshalIndent(stored, "", "  ")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	packed := gzip.NewWriter(&b)
	archive := tar.NewWriter(packed)
	err = archive.WriteHeader(&tar.Header{Name: headFile, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(text)), ModTime: h.CreatedAt.Truncate(time.Second)})
	if err == nil {
		_, err = archive.Write(text)
	}
	if err == nil {
		err = archive.Flush() // not Close: the archive goes on in what the unit adds
	}
	err = errors.Join(err, packed.Close(), tooLong(len(text)))
	return b.Bytes(), err
}

func tooLong(n int) error {
	if n > maxHead {
		return server.Errorf(server.CodeInternal, "the settings are %d bytes long in a backup, and at most %d are possible", n, maxHead)
	}
	return nil
}

func openBackup(dir *os.Root, name string) (BackupHead, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return BackupHead{}, err
	}
	defer f.Close()
	return readBackup(f)
}

// readBackup reads the head of a backup and checks its secrets; its settings are
// to be checked as if newly given.
func readBackup(f io.Reader) (BackupHead, error) {
	const most = maxHead + 8<<10 // what gzip and tar add; settings do not grow
	start, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return BackupHead{}, err
	}
	in := bytes.NewReader(start)
	packed, err := gzip.NewReader(in)
	if err != nil {
		return BackupHead{}, err
	}
	packed.Multistream(false)
	unpacked, err := io.ReadAll(io.LimitReader(packed, most)) // to its end, where the checksum is
	if err != nil {
		return BackupHead{}, err
	}
	archive := tar.NewReader(bytes.NewReader(unpacked))
	switch h, err := archive.Next(); {
	case err != nil:
		return BackupHead{}, err
	case h.Name != headFile || h.Typeflag != tar.TypeReg || h.Size > maxHead:
		return BackupHead{}, fmt.Errorf("it begins with %q", h.Name)
	}
	var stored storedHead
	if err := json.NewDecoder(archive).Decode(&stored); err != nil {
		return BackupHead{}, err
	}
	if stored.Version != headVersion {
		return BackupHead{}, fmt.Errorf("it has the version %d", stored.Version)
	}
	head := stored.BackupHead
	head.Config, head.secrets, head.length = head.Config.Clone(), secrets{}, int64(len(start)-in.Len())
	for name, value := range stored.Secrets {
		_, unknown := server.ParseSecretName(string(name))
		secret, err := server.NewSecret(name, value)
		if unknown != nil || err != nil {
			return BackupHead{}, errors.New("its secrets are not possible")
		}
		head.secrets.set(name, secret)
	}
	return head, nil
}

// WriteRestored writes the files of an instance as Write does, with the secrets
// of a backup in the place of its own.
func (t *Tree) WriteRestored(ctx context.Context, name server.Name, id int64, cfg server.Config, h BackupHead) error {
	return t.write(ctx, "restore the settings of "+string(name), Settings{ID: id, Name: name, Config: cfg}, func(kept secrets) {
		clear(kept)
		maps.Copy(kept, h.secrets)
	})
}
