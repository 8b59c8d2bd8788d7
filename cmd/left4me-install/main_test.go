package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
	"github.com/left4med/left4med/internal/steamcmd"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"install"}, {"update", "validate"}} {
		var out, errs bytes.Buffer
		if exit := run(t.Context(), args, "", &out, &errs); exit != server.InstallUsage || errs.Len() == 0 {
			t.Errorf("%q: exit %d, %q", args, exit, errs.String())
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	request, account, err := read(dir)
	if err != nil || account != (steamcmd.Account{}) || request != (steamcmd.Request{Space: 10 << 30}) {
		t.Errorf("without credentials: %+v, %+v, %v", request, account, err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("request", `{"validate":true,"steamcmd":"/opt/steamcmd","space":5}`)
	write("account", "user = kim\npassword = hunter2\n")
	request, account, err = read(dir)
	if err != nil {
		t.Fatal(err)
	}
	type credentials struct {
		Request steamcmd.Request
		Account steamcmd.Account
	}
	want := credentials{steamcmd.Request{Validate: true, SteamCMD: "/opt/steamcmd", Space: 5}, steamcmd.Account{User: "kim", Password: "hunter2"}}
	if diff := cmp.Diff(want, credentials{request, account}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	write("account", "kim hunter2\n")
	var out, errs bytes.Buffer
	if exit := run(t.Context(), []string{"update"}, dir, &out, &errs); exit != server.InstallUsage {
		t.Errorf("exit %d", exit)
	}
	if diff := cmp.Diff("fault cannot read the Steam account: a line is neither user = NAME nor password = TEXT\n", out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
