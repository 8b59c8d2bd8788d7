package instance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/left4med/left4med/internal/server"
)

// secretsFile is where an instance's secrets are kept; the settings layer holds
// what the game is told of them.
const secretsFile = "secrets"

const maxSecrets = 4 << 10 // bytes read of it

// Where the game finds its secrets, below its directory. server.cfg runs the
// first one; by then the game has logged in to Steam already, so the second one,
// which is there for a login token alone, is run from the command line before the
// map.
const (
	secretsCfg = "left4dead2/cfg/left4med-secrets.cfg"
	accountCfg = "left4dead2/cfg/left4med-account.cfg"
)

// secrets are those of an instance that are set.
type secrets map[server.SecretName]server.Secret

// Secret returns a secret of an instance as it is stored: what the game is told
// at its next start. One that is not set is no error.
func (t *Tree) Secret(name server.Name, which server.SecretName) (server.Secret, error) {
	doing := fmt.Sprintf("read the secret %s of %s", which, name)
	dir, err := t.open(instancesDir, string(name))
	if err != nil {
		return server.Secret{}, t.fail(doing, err)
	}
	defer dir.Close()
	kept, err := readSecrets(dir)
	return kept[which], t.fail(doing, err)
}

// SetSecret gives an instance a secret, and writes its files as Write does. A
// value that is not set takes the secret away; for RCON a random one is made.
func (t *Tree) SetSecret(ctx context.Context, name server.Name, id int64, cfg server.Config, which server.SecretName, value server.Secret) error {
	if _, err := server.ParseSecretName(string(which)); err != nil {
		return err
	}
	return t.write(ctx, fmt.Sprintf("write the secret %s of %s", which, name), Settings{ID: id, Name: name, Config: cfg},
		func(kept secrets) { kept.set(which, value) })
}

// Complete writes the files of an instance anew when what the game is told of its
// secrets is not what is stored, or its environment not what this version writes:
// an older one made it, or a crash fell between the two. Else it only looks.
func (t *Tree) Complete(ctx context.Context, name server.Name, id int64, cfg server.Config) error {
	complete, err := t.complete(name)
	if err != nil {
		return t.fail("look at the files of "+string(name), err)
	}
	if complete {
		return nil
	}
	return t.Write(ctx, name, id, cfg)
}

func (t *Tree) complete(name server.Name) (bool, error) {
	dir, err := t.open(instancesDir, string(name))
	if err != nil {
		return false, err
	}
	defer dir.Close()
	s, err := readSettings(dir, name)
	if err != nil {
		return false, err
	}
	kept, err := readSecrets(dir)
	if err != nil || !kept[server.SecretRCON].IsSet() {
		return false, err
	}
	for _, file := range kept.files() {
		told, err := readFile(dir, s.layerPath()+"/"+file.path, maxSecrets)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil || !bytes.Equal(told, file.data) {
			return false, err
		}
	}
	if exists(dir, s.layerPath()+"/"+accountCfg) != kept[server.SecretGSLT].IsSet() {
		return false, nil
	}
	want, err := t.environment(s, kept)
	if err != nil {
		return false, err
	}
	got, err := dir.ReadFile(envFile)
	return bytes.Equal(want, got), in(dir, err)
}

// set changes one of the secrets. There is always one for RCON.
func (kept secrets) set(which server.SecretName, value server.Secret) {
	delete(kept, which)
	if value.IsSet() {
		kept[which] = value
	}
}

// readSecrets reads what is stored; nothing is stored before the first write. An
// error never holds anything of the file.
func readSecrets(dir *os.Root) (secrets, error) {
	kept := secrets{}
	data, err := readFile(dir, secretsFile, maxSecrets)
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return nil, err
	}
	var values map[server.SecretName]string
	unreadable := server.Errorf(server.CodeInstanceFiles, "%s is not readable as secrets; restore it, or remove it, give the server its secrets again (`l4d2ctl initialize NAME --secret …`) and have a new RCON password made", joined(dir, secretsFile))
	if json.Unmarshal(data, &values) != nil {
		return nil, unreadable
	}
	for name, value := range values {
		secret, err := server.NewSecret(name, value)
		if _, unknown := server.ParseSecretName(string(name)); unknown != nil || err != nil {
			return nil, unreadable
		}
		kept.set(name, secret)
	}
	return kept, nil
}

// writeSecrets stores them.
func (t *Tree) writeSecrets(dir *os.Root, kept secrets) error {
	values := map[server.SecretName]string{}
	for name, secret := range kept {
		values[name] = secret.Reveal()
	}
	data, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		return err
	}
	return t.writeFile(dir, secretsFile, append(data, '\n'), 0o600)
}

// layerFile is a file of a settings layer; its path begins at the layer's top.
type layerFile struct {
	path string
	data []byte
}

// files are what the game is told. What is not set is not mentioned, so that a
// user.cfg may say it.
func (kept secrets) files() []layerFile {
	files := []layerFile{{secretsCfg, kept.encode(server.SecretRCON, server.SecretPassword)}}
	if kept[server.SecretGSLT].IsSet() {
		files = append(files, layerFile{accountCfg, kept.encode(server.SecretGSLT)})
	}
	return files
}

// encode writes lines of the game's configuration. No secret has a character
// that could end its quotation marks.
func (kept secrets) encode(names ...server.SecretName) []byte {
	var b bytes.Buffer
	b.WriteString("// Written by left4med; what is changed here is lost. See l4d2ctl-initialize(1), --secret.\n")
	for _, name := range names {
		if secret := kept[name]; secret.IsSet() {
			fmt.Fprintf(&b, "%s \"%s\"\n", name.CVar(), secret.Reveal())
		}
	}
	return b.Bytes()
}

// accountArgs make the game log in to Steam with its token.
func (kept secrets) accountArgs() []string {
	if !kept[server.SecretGSLT].IsSet() {
		return nil
	}
	return []string{"+exec", path.Base(accountCfg)}
}
