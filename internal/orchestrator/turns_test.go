package orchestrator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2, time.Minute)
		began := time.Now()
		const starts, each = 6, time.Second
		ended := make(chan time.Duration, starts)
		for range starts {
			go func() {
				back, err := turns.take(t.Context(), func() {})
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(each)
				back()
				back() // as a deferred call and an early one do
				ended <- time.Since(began)
			}()
		}
		for i := range starts {
			if got, want := <-ended, time.Duration(i/2+1)*each; got != want {
				t.Errorf("start %d ended after %v, want %v", i, got, want)
			}
		}
	})
}

func TestTurnOfHangingStartIsGivenOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, 10*time.Second)
		began := time.Now()
		hanging, err := turns.take(t.Context(), func() {})
		if err != nil {
			t.Fatal(err)
		}
		back, err := turns.take(t.Context(), func() {})
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != 10*time.Second {
			t.Errorf("the next start waited %v for one that hangs", waited)
		}
		hanging() // ends late: that must not give the second one's turn away
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := turns.take(ctx, func() {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a third start got a turn while the second had it (%v)", err)
		}
		back()
	})
}

func TestTurnIsNotWaitedForAfterCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, time.Minute)
		back, err := turns.take(t.Context(), func() {})
		if err != nil {
			t.Fatal(err)
		}
		defer back()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errSuperseded)
		if _, err := turns.take(ctx, func() {}); !errors.Is(err, errSuperseded) {
			t.Errorf("got %v, want %v", err, errSuperseded)
		}
	})
}
