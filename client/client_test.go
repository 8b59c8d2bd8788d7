package client_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/client"
)

func TestEachCallAsksItsRoute(t *testing.T) {
	t.Parallel()
	port, heal := uint16(27015), client.HealFailed
	calls := []struct {
		name string
		call func(context.Context, *client.Client) error
		want asked
	}{
		{"servers", func(ctx context.Context, c *client.Client) error { _, err := c.Servers(ctx); return err },
			asked{Method: "GET", URI: "/v1/servers"}},
		{"server", func(ctx context.Context, c *client.Client) error { _, err := c.Server(ctx, "a-1"); return err },
			asked{Method: "GET", URI: "/v1/servers/a-1"}},
		{"create", func(ctx context.Context, c *client.Client) error {
			_, err := c.Create(ctx, "a", client.ConfigPatch{Port: &port})
			return err
		}, asked{Method: "POST", URI: "/v1/servers", Body: `{"name":"a","config":{"port":27015}}`}},
		{"change", func(ctx context.Context, c *client.Client) error {
			_, err := c.Change(ctx, "a", client.ConfigPatch{Heal: &heal, Args: &[]string{}})
			return err
		}, asked{Method: "PATCH", URI: "/v1/servers/a", Body: `{"config":{"args":[],"heal":"failed"}}`}},
		{"secret", func(ctx context.Context, c *client.Client) error {
			return c.SetSecret(ctx, "a", "password", "friends")
		}, asked{Method: "PUT", URI: "/v1/servers/a/secrets/password", Body: `{"value":"friends"}`}},
		{"start", func(ctx context.Context, c *client.Client) error { _, err := c.Start(ctx, "a"); return err },
			asked{Method: "POST", URI: "/v1/servers/a/start"}},
		{"stop", func(ctx context.Context, c *client.Client) error { _, err := c.Stop(ctx, "a"); return err },
			asked{Method: "POST", URI: "/v1/servers/a/stop"}},
		{"restart", func(ctx context.Context, c *client.Client) error { _, err := c.Restart(ctx, "a"); return err },
			asked{Method: "POST", URI: "/v1/servers/a/restart"}},
		{"restart when empty", func(ctx context.Context, c *client.Client) error {
			_, err := c.RestartWhenEmpty(ctx, "a")
			return err
		}, asked{Method: "POST", URI: "/v1/servers/a/restart?when=empty"}},
		{"restart all when empty", func(ctx context.Context, c *client.Client) error {
			_, err := c.RestartAllWhenEmpty(ctx, []string{"a", "b"})
			return err
		}, asked{Method: "POST", URI: "/v1/actions", Body: `{"action":"restart","when":"empty","servers":["a","b"]}`}},
		{"delete", func(ctx context.Context, c *client.Client) error { _, err := c.Delete(ctx, "a"); return err },
			asked{Method: "DELETE", URI: "/v1/servers/a"}},
		{"actions", func(ctx context.Context, c *client.Client) error {
			_, err := c.Actions(ctx, client.ActionStart, []string{"a", "b"})
			return err
		}, asked{Method: "POST", URI: "/v1/actions", Body: `{"action":"start","servers":["a","b"]}`}},
		{"job", func(ctx context.Context, c *client.Client) error { _, err := c.Job(ctx, 7); return err },
			asked{Method: "GET", URI: "/v1/jobs/7"}},
		{"jobs", func(ctx context.Context, c *client.Client) error {
			_, err := c.Jobs(ctx, client.JobsFilter{Server: "a", State: client.JobFailed, Before: 9, Limit: 3})
			return err
		}, asked{Method: "GET", URI: "/v1/jobs?before=9&limit=3&server=a&state=failed"}},
		{"history", func(ctx context.Context, c *client.Client) error {
			_, err := c.History(ctx, client.HistoryFilter{Server: "a", Before: 9, Limit: 3})
			return err
		}, asked{Method: "GET", URI: "/v1/history?before=9&limit=3&server=a"}},
		{"orphans", func(ctx context.Context, c *client.Client) error { _, err := c.Orphans(ctx); return err },
			asked{Method: "GET", URI: "/v1/orphans"}},
		{"adopt", func(ctx context.Context, c *client.Client) error {
			_, err := c.Adopt(ctx, client.OrphanUnit("a"))
			return err
		}, asked{Method: "POST", URI: "/v1/orphans/left4me-server@a.service/adopt"}},
		{"disable an orphan", func(ctx context.Context, c *client.Client) error {
			_, err := c.DisableOrphan(ctx, `left4me-server@Foo\x20_1.service`)
			return err
		}, asked{Method: "POST", URI: `/v1/orphans/left4me-server@Foo%5Cx20_1.service/disable`}},
		{"backups", func(ctx context.Context, c *client.Client) error { _, err := c.Backups(ctx, "a"); return err },
			asked{Method: "GET", URI: "/v1/servers/a/backups"}},
		{"backup", func(ctx context.Context, c *client.Client) error { _, err := c.Backup(ctx, "a"); return err },
			asked{Method: "POST", URI: "/v1/servers/a/backups"}},
		{"restore", func(ctx context.Context, c *client.Client) error { _, err := c.RestoreBackup(ctx, "a", 7); return err },
			asked{Method: "POST", URI: "/v1/servers/a/backups/7/restore"}},
		{"delete a backup", func(ctx context.Context, c *client.Client) error { return c.DeleteBackup(ctx, "a", 7) },
			asked{Method: "DELETE", URI: "/v1/servers/a/backups/7"}},
		{"cancel", func(ctx context.Context, c *client.Client) error { _, err := c.Cancel(ctx, 7); return err },
			asked{Method: "POST", URI: "/v1/jobs/7/cancel"}},
		{"resync", func(ctx context.Context, c *client.Client) error { return c.Resync(ctx) },
			asked{Method: "POST", URI: "/v1/resync"}},
		{"test alerts", func(ctx context.Context, c *client.Client) error { _, err := c.TestAlerts(ctx); return err },
			asked{Method: "POST", URI: "/v1/alerts/test"}},
		{"health", func(ctx context.Context, c *client.Client) error { _, err := c.Health(ctx); return err },
			asked{Method: "GET", URI: "/v1/health"}},
		{"openapi", func(ctx context.Context, c *client.Client) error { _, err := c.OpenAPI(ctx); return err },
			asked{Method: "GET", URI: "/openapi.json"}},
	}
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "{}") })
			if err := tt.call(within(t), d.client()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]asked{tt.want}, d.requests()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServersSaysWhereEventsBegin(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Event-Id", "41")
		answer(w, 200, `{"servers":[{"id":3,"name":"a","state":"running","unknown_field":1}]}`)
	})
	got, err := d.client().Servers(within(t))
	if err != nil {
		t.Fatal(err)
	}
	want := &client.Snapshot{EventID: 41, Servers: []client.Server{{ID: 3, Name: "a", State: client.StateRunning}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		want   client.Error
		text   string
	}{
		{"busy with the job in the way", 409,
			`{"type":"about:blank","title":"Conflict","status":409,"code":"busy","detail":"a delete is in the way","job":17}`,
			client.Error{Status: 409, Code: client.CodeBusy, Detail: "a delete is in the way", Job: 17},
			"a delete is in the way"},
		{"the job itself", 409, `{"code":"busy","detail":"x","job":{"id":18}}`,
			client.Error{Status: 409, Code: client.CodeBusy, Detail: "x", Job: 18}, "x"},
		{"a field", 422, `{"code":"invalid-request","detail":"validation failed","errors":[{"field":"config.port","detail":"too low"}]}`,
			client.Error{Status: 422, Code: client.CodeInvalidRequest, Detail: "validation failed", Field: "config.port",
				Fields: []client.FieldError{{Field: "config.port", Detail: "too low"}}},
			"validation failed; config.port: too low"},
		{"in huma's words", 422, `{"detail":"validation failed","errors":[{"location":"body.config.port","message":"too low","value":1}]}`,
			client.Error{Status: 422, Detail: "validation failed", Field: "config.port",
				Fields: []client.FieldError{{Field: "config.port", Detail: "too low"}}},
			"validation failed; config.port: too low"},
		{"only a title", 404, `{"title":"Not Found"}`, client.Error{Status: 404, Detail: "Not Found"}, "Not Found"},
		{"no problem at all", 500, `<html>` + "\x1b[2J", client.Error{Status: 500,
			Detail: `the daemon answered 500 Internal Server Error: "<html>\x1b[2J"`},
			`the daemon answered 500 Internal Server Error: "<html>\x1b[2J"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, tt.status, tt.body) })
			_, err := d.client().Server(within(t), "a")
			var got *client.Error
			if !errors.As(err, &got) {
				t.Fatalf("not an *Error: %v", err)
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got.Error() != tt.text {
				t.Errorf("text %q, want %q", got.Error(), tt.text)
			}
			if !errors.Is(err, &client.Error{Code: tt.want.Code}) {
				t.Error("errors.Is does not compare codes")
			}
		})
	}
}

func TestBadNamesAreNeverSent(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "{}") })
	c := d.client()
	for _, name := range []string{"", "..", "a/b", "a@b", "A", "../servers", strings.Repeat("a", 10000)} {
		_, err := c.Stop(within(t), name)
		if !errors.Is(err, &client.Error{Code: client.CodeInvalidName}) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	if got := d.requests(); len(got) != 0 {
		t.Errorf("sent %v", got)
	}
}

func TestBadSecretsAreNeverSent(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 204, "") })
	c := d.client()
	for _, bad := range []struct {
		name, which, value string
		code               client.Code
	}{
		{"a", "../x", "hunter2hunter2", "not-found"}, {"A", "rcon", "hunter2hunter2", client.CodeInvalidName},
		{"a", "rcon", "hunter2", client.CodeInvalidRequest}, {"a", "password", "hunter2;", client.CodeInvalidRequest},
		{"a", "gslt", "hunter2hunter2", client.CodeInvalidRequest},
	} {
		err := c.SetSecret(within(t), bad.name, bad.which, bad.value)
		if !errors.Is(err, &client.Error{Code: bad.code}) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if got := d.requests(); len(got) != 0 {
		t.Errorf("sent %v", got)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refusing := filepath.Join(dir, "refusing")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: refusing})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for name, socket := range map[string]string{"absent": filepath.Join(dir, "absent"), "refusing": refusing} {
		_, err := client.New(client.Options{Socket: socket}).Servers(within(t))
		if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), socket) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.New(client.Options{Socket: filepath.Join(dir, "absent")}).Servers(within(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestEndedContextIsTheReason(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	d := newDaemon(t, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancelCause(within(t))
	why := errors.New("enough")
	go func() {
		<-entered
		cancel(why)
	}()
	if _, err := d.client().Servers(ctx); !errors.Is(err, why) || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestHugeAnswersAreRefused(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"servers":["`))
		chunk := []byte(strings.Repeat("a", 1<<20))
		for range 18 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	if _, err := d.client().Servers(within(t)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestWaitJobOutlivesARestart(t *testing.T) {
	t.Parallel()
	polls := make(chan struct{}, 16)
	restarted := make(chan struct{})
	d := newDaemon(t, func(w http.ResponseWriter, r *http.Request) {
		polls <- struct{}{}
		select {
		case <-restarted:
			answer(w, 200, `{"id":5,"server":"a","kind":"start","state":"succeeded"}`)
		default: // the poll hangs until the crash breaks it
			<-r.Context().Done()
		}
	})
	go func() {
		<-polls
		d.kill()
		os.Remove(d.socket)
		close(restarted)
		time.Sleep(time.Millisecond) // let an attempt meet the missing socket; nothing depends on it
		d.start()
	}()
	job, err := d.client().WaitJob(within(t), 5)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&client.Job{ID: 5, Server: "a", Kind: client.JobStart, State: client.JobSucceeded}, job); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, r := range d.requests() {
		if r.URI != "/v1/jobs/5?wait=30s" {
			t.Errorf("asked %s", r.URI)
		}
	}
}

func TestWaitJobAsksAgainWhileUnfinished(t *testing.T) {
	t.Parallel()
	n := make(chan int, 1)
	n <- 0
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		i := <-n
		n <- i + 1
		if i < 2 {
			answer(w, 202, `{"id":5,"state":"running"}`)
			return
		}
		answer(w, 200, `{"id":5,"state":"failed"}`)
	})
	job, err := d.client().WaitJob(within(t), 5)
	if err != nil || job.State != client.JobFailed {
		t.Fatalf("got %v, %v", job, err)
	}
}

func TestWaitJobEndsForUnknownJobs(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 404, `{"code":"job-not-found","detail":"there is no job 5"}`)
	})
	if _, err := d.client().WaitJob(within(t), 5); !errors.Is(err, &client.Error{Code: client.CodeJobNotFound}) {
		t.Errorf("got %v", err)
	}
}
