package instance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/left4med/left4med/internal/server"
)

// randomRCON is what a tree of a test makes up.
const randomRCON = "AAAABBBBCCCCDDDDEEEEFFFFGGGG1234"

var token = strings.Repeat("0123ABCD", 4)

func secret(t testing.TB, name server.SecretName, value string) server.Secret {
	t.Helper()
	s, err := server.NewSecret(name, value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// set sets a secret of the instance a.
func (t *Tree) set(test testing.TB, which server.SecretName, value string) error {
	return t.SetSecret(test.Context(), "a", 7, testConfig(), which, secret(test, which, value))
}

func stored(t *testing.T, tree *Tree) map[server.SecretName]string {
	t.Helper()
	got := map[server.SecretName]string{}
	for _, which := range server.SecretNames() {
		s, err := tree.Secret("a", which)
		must(t, err)
		got[which] = s.Reveal()
	}
	return got
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	tree := newTree(t)
	must(t, tree.Create(t.Context(), "a", 7, testConfig()))
	for _, c := range []struct {
		which server.SecretName
		value string
	}{{server.SecretRCON, "own-rcon"}, {server.SecretPassword, "friends<&>"}, {server.SecretGSLT, token}} {
		must(t, tree.set(t, c.which, c.value))
		must(t, tree.Prune("a"))
	}
	same(t, map[server.SecretName]string{"rcon": "own-rcon", "password": "friends<&>", "gslt": token}, stored(t, tree))
	all := want("4")
	const cfg = "instances/a/layers/4/left4dead2/cfg/"
	all["instances/a/secrets"] = "-rw-------\n{\n  \"gslt\": \"" + token + "\",\n  \"password\": \"friends\\u003c\\u0026\\u003e\",\n  \"rcon\": \"own-rcon\"\n}\n"
	all[cfg+"left4med-secrets.cfg"] = "-rw-r--r--\n" + wantSecretsCfg + "rcon_password \"own-rcon\"\nsv_password \"friends<&>\"\n"
	all[cfg+"left4med-account.cfg"] = "-rw-r--r--\n" + wantSecretsCfg + "sv_setsteamaccount \"" + token + "\"\n"
	all["instances/a/instance.env"] = strings.Replace(all["instances/a/instance.env"], `"+map`, `"+exec left4med-account.cfg +map`, 1)
	same(t, all, files(t, tree))

	// Settings leave them alone.
	must(t, tree.Write(t.Context(), "a", 7, testConfig()))
	must(t, tree.Prune("a"))
	same(t, map[server.SecretName]string{"rcon": "own-rcon", "password": "friends<&>", "gslt": token}, stored(t, tree))

	// Taken away, they are as in the beginning.
	for _, which := range server.SecretNames() {
		must(t, tree.set(t, which, ""))
		must(t, tree.Prune("a"))
	}
	same(t, want("8"), files(t, tree))
	must(t, tree.Retire("a"))
	must(t, tree.Remove("a"))
	same(t, map[string]string{}, files(t, tree))
}

func TestSecretsAreCompleted(t *testing.T) {
	t.Parallel()
	complete := func(tree *Tree) error { return tree.Complete(t.Context(), "a", 7, testConfig()) }
	t.Run("nothing to do", func(t *testing.T) {
		tree := newTree(t)
		must(t, tree.Create(t.Context(), "a", 7, testConfig()))
		must(t, tree.set(t, server.SecretGSLT, token))
		before := files(t, tree)
		tree.step = func(what string) { t.Errorf("%s, where only a look was needed", what) }
		must(t, complete(tree))
		same(t, before, files(t, tree))
	})
	const layer = "instances/a/layers/1/left4dead2/cfg/"
	for what, change := range map[string]func(root string) error{
		"an older version's": func(root string) error {
			return errorsOf(os.Remove(root+"instances/a/secrets"), os.Remove(root+layer+"left4med-secrets.cfg"))
		},
		"lost from the layer": func(root string) error { return os.Remove(root + layer + "left4med-secrets.cfg") },
		"lost from its place": func(root string) error { return os.Remove(root + "instances/a/secrets") },
		"another one is told": func(root string) error { return os.WriteFile(root+layer+"left4med-secrets.cfg", nil, 0o644) },
		"a token too many":    func(root string) error { return os.WriteFile(root+layer+"left4med-account.cfg", nil, 0o644) },
		"one without RCON":    func(root string) error { return os.WriteFile(root+"instances/a/secrets", []byte("{}"), 0o600) },
	} {
		t.Run(what, func(t *testing.T) {
			tree := newTree(t)
			must(t, tree.Create(t.Context(), "a", 7, testConfig()))
			must(t, change(tree.root+"/"))
			must(t, tree.Check("a")) // a server goes on without, so it is no drift
			must(t, complete(tree))
			must(t, tree.Prune("a"))
			same(t, want("2"), files(t, tree))
			must(t, complete(tree))
			same(t, want("2"), files(t, tree))
		})
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Wherever a crash falls, the game is told what is stored after the next look, and
// never anything that is not stored.
func TestSetSecretConverges(t *testing.T) {
	t.Parallel()
	create := func(tree *Tree) { must(t, tree.Create(t.Context(), "a", 7, testConfig())) }
	change := func(tree *Tree) error { return tree.set(t, server.SecretRCON, "another-one") }
	crashes(t, create, change, func(tree *Tree, at string) {
		kept := stored(t, tree)[server.SecretRCON]
		if kept != randomRCON && kept != "another-one" {
			t.Errorf("crash before %q: %q is stored", at, kept)
		}
		env, err := os.ReadFile(filepath.Join(tree.root, "instances/a/instance.env"))
		must(t, err)
		layer, _, _ := strings.Cut(parseEnv(string(env))["L4D2_LOWERDIRS"], ":")
		told, err := os.ReadFile(filepath.Join(layer, secretsCfg))
		must(t, err)
		if strings.Contains(string(told), "another-one") && kept != "another-one" {
			t.Errorf("crash before %q: the game is told what is not stored", at)
		}
		must(t, tree.Complete(t.Context(), "a", 7, testConfig()))
		complete, err := tree.complete("a")
		must(t, err)
		same(t, true, complete)
		same(t, kept, stored(t, tree)[server.SecretRCON])
		must(t, tree.Write(t.Context(), "a", 7, testConfig())) // takes the place of what is left over
		must(t, tree.Prune("a"))
		s, err := tree.Read("a")
		must(t, err)
		all := want(string(rune('0' + s.Layer)))
		for path, text := range all {
			all[path] = strings.ReplaceAll(text, randomRCON, kept)
		}
		same(t, all, files(t, tree))
	})
}

func TestSecretsRefused(t *testing.T) {
	t.Parallel()
	for what, text := range map[string]string{
		"no JSON": "hunter2", "no object": `["hunter2"]`, "another kind": `{"rcon":{"hunter2":1}}`, "unknown": `{"hunter2":"x"}`,
		"not valid": `{"rcon":"hunter2\nquit"}`, "cut": `{"rcon":"hunter2`, "huge": `{"rcon":"hunter2` + strings.Repeat("x", maxSecrets) + `"}`,
	} {
		tree := newTree(t)
		must(t, tree.Create(t.Context(), "a", 7, testConfig()))
		must(t, os.WriteFile(filepath.Join(tree.root, "instances/a/secrets"), []byte(text), 0o600))
		before := files(t, tree)
		_, err := tree.Secret("a", server.SecretRCON)
		for _, err := range []error{err, tree.Complete(t.Context(), "a", 7, testConfig()), tree.set(t, "rcon", "12345678"), tree.Write(t.Context(), "a", 7, testConfig())} {
			fails(t, err, server.CodeInstanceFiles, "instances/a/secrets is not readable as secrets", "l4d2ctl initialize")
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the error shows it: %v", what, err)
			}
		}
		same(t, before, files(t, tree))
	}
	tree := newTree(t)
	must(t, tree.Create(t.Context(), "a", 7, testConfig()))
	before := files(t, tree)
	fails(t, tree.set(t, "other", ""), server.CodeNotFound, "there is no secret")
	fails(t, tree.SetSecret(t.Context(), "a", 8, testConfig(), server.SecretRCON, server.Secret{}), server.CodeInstanceFiles, "another server")
	fails(t, tree.SetSecret(t.Context(), "b", 8, testConfig(), server.SecretRCON, server.Secret{}), server.CodeInstanceFiles, "is missing")
	_, err := tree.Secret("b", server.SecretRCON)
	fails(t, err, server.CodeInstanceFiles, "is missing")
	same(t, before, files(t, tree))
	must(t, os.Symlink("/etc/passwd", filepath.Join(tree.root, "link")))
	must(t, os.Remove(filepath.Join(tree.root, "instances/a/secrets")))
	must(t, os.Rename(filepath.Join(tree.root, "link"), filepath.Join(tree.root, "instances/a/secrets")))
	if _, err := tree.Secret("a", server.SecretRCON); err == nil {
		t.Error("a link is followed")
	}
}

// parseCfg reads a line of the game's configuration as its tokenizer does: words
// end at white space, quotation marks hold them together, ';' and line ends part
// commands, "//" begins a comment, and there is no escape.
func parseCfg(text string) (commands [][]string) {
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		var words []string
		for line = strings.TrimLeft(line, " \t"); line != "" && !strings.HasPrefix(line, "//"); line = strings.TrimLeft(line, " \t") {
			end := strings.IndexAny(line, " \t;")
			switch {
			case line[0] == ';':
				commands, words, line = append(commands, words), nil, line[1:]
				continue
			case line[0] == '"':
				word, rest, _ := strings.Cut(line[1:], `"`)
				words, line = append(words, word), rest
				continue
			case end < 0:
				end = len(line)
			}
			words, line = append(words, line[:end]), line[end:]
		}
		if words != nil {
			commands = append(commands, words)
		}
	}
	return commands
}

// Whatever is a secret, the game reads it as it was meant, and nothing else.
func FuzzSecretsCfg(f *testing.F) {
	for _, v := range []string{"12345678", `a";quit`, "//12345678", "a;quit;bb", "exec x.cfg", "a\nquit\n12", "%s%n%x%d", "${HOME}$a", "{a}(b):c,"} {
		f.Add(v, v)
	}
	f.Fuzz(func(t *testing.T, rcon, password string) {
		kept, want := secrets{}, [][]string(nil)
		for _, c := range []struct {
			name  server.SecretName
			value string
		}{{server.SecretRCON, rcon}, {server.SecretPassword, password}} {
			s, err := server.NewSecret(c.name, c.value)
			if err != nil || !s.IsSet() {
				continue
			}
			kept.set(c.name, s)
			want = append(want, []string{c.name.CVar(), c.value})
		}
		same(t, want, parseCfg(string(kept.files()[0].data)))
	})
}
