// Command abuse is what the end-to-end tests set on left4med inside a machine,
// as users without rights: attackers, and honest clients that measure how long
// they wait. It says on standard output, as JSON, what it did.
//
//	abuse fuzz SECONDS     malformed requests on both doors, evenly spread
//	abuse hold             connections that are idle, slow, or never read
//	abuse honest SERVER    requests until standard input ends; with a SERVER also
//	                       what needs a right
//
// `hold` and `honest` write a line once they are at work.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	httpSocket = "/run/left4med/left4med.sock"
	busSocket  = "/run/dbus/system_bus_socket"
)

func main() {
	var result any
	err := fmt.Errorf("usage: abuse fuzz SECONDS | hold | honest [SERVER]")
	switch args := append(os.Args[1:], "", ""); args[0] {
	case "fuzz":
		var seconds int
		if seconds, err = strconv.Atoi(args[1]); err == nil {
			result = fuzz(time.Duration(seconds) * time.Second)
		}
	case "hold":
		result, err = hold()
	case "honest":
		result, err = honest(args[1])
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
}

// untilStdinEnds returns a channel that is closed then.
func untilStdinEnds() <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return ended
}

// counts counts what came of what.
type counts struct {
	mu sync.Mutex
	of map[string]int
}

func (c *counts) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[what]++
}

// spread does something n times, evenly over a time, by so many hands.
func spread(n, hands int, over time.Duration, do func(hand, i int)) {
	turns := make(chan int)
	var all sync.WaitGroup
	for hand := range hands {
		all.Go(func() {
			for i := range turns {
				do(hand, i)
			}
		})
	}
	began := time.Now()
	for i := range n {
		time.Sleep(time.Until(began.Add(over * time.Duration(i) / time.Duration(n))))
		turns <- i
	}
	close(turns)
	all.Wait()
}
