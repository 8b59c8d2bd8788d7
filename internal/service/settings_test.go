package service

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type settings struct {
	Door struct {
		Wait Duration `toml:"wait"`
		Key  string   `toml:"key"`
	} `toml:"door"`
}

func TestReadTOML(t *testing.T) {
	t.Parallel()
	about := TOML{Manual: "door.toml(5)", Secret: regexp.MustCompile(`key`)}
	read := func(text string) (settings, bool, error) {
		path := filepath.Join(t.TempDir(), "door.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var s settings
		s.Door.Wait.Duration = time.Hour
		found, err := ReadTOML(path, about, &s)
		return s, found, err
	}

	var want settings
	want.Door.Wait.Duration, want.Door.Key = time.Hour, "geheim"
	got, found, err := read("[door]\nkey = \"geheim\"")
	if diff := cmp.Diff(want, got); diff != "" || !found || err != nil {
		t.Errorf("found %v, %v; -want +got:\n%s", found, err, diff)
	}
	for text, says := range map[string]string{
		"[door]\nwidth = 1\nheight = 2":       "unknown keys: door.width, door.height; door.toml(5)",
		"[door]\nwait = \"long\"":             `"long"`,
		"[door]\nkey = \"geheim\nwait = 1":    "line 2, at or after the key \"door.key\", is not right; door.toml(5)",
		"[door]\nwait = \"geheim\"\nkey=\"\"": "line 2",
	} {
		_, found, err := read(text)
		if err == nil || !strings.Contains(err.Error(), says) || !found {
			t.Errorf("%q: found %v, %v; the error should say %q", text, found, err, says)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: the error repeats a secret: %v", text, err)
		}
	}
	if found, err := ReadTOML(filepath.Join(t.TempDir(), "none"), about, &got); found || err != nil {
		t.Errorf("a missing file: found %v, %v", found, err)
	}
	if _, err := ReadTOML(t.TempDir(), about, &got); err == nil {
		t.Error("a directory was read")
	}
}
