package server_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/server"
)

// The lists are what the API is documented to say.
func TestListsAreWhole(t *testing.T) {
	t.Parallel()
	check := func(of any, field string, list any) {
		t.Helper()
		f, ok := reflect.TypeOf(of).FieldByName(field)
		if !ok {
			t.Fatalf("there is no field %s", field)
		}
		got := strings.ReplaceAll(strings.Trim(fmt.Sprint(list), "[]"), " ", ",")
		if diff := cmp.Diff(f.Tag.Get("enum"), got); diff != "" {
			t.Errorf("%s (-documented +listed): %s", field, diff)
		}
	}
	check(server.Server{}, "State", server.States())
	check(server.Server{}, "Drift", append(server.Drifts(), server.DriftNone))
	check(server.Job{}, "Kind", server.JobKinds())
	check(server.Job{}, "State", append([]server.JobState{server.JobQueued, server.JobRunning}, server.JobResults()...))
}
