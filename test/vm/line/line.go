// Package line is what the agent in a virtual machine and its owner outside
// speak over the serial port between them: a greeting, then HTTP/2.
package line

import (
	"fmt"
	"io"
)

// greeting is the first word on the line: before the agent says it, nobody
// reads.
const greeting = "left4med agent\n"

// greet says that the agent is there.
func greet(w io.Writer) error {
	_, err := io.WriteString(w, greeting)
	return err
}

// AwaitGreeting waits for that.
func AwaitGreeting(r io.Reader) error {
	text := make([]byte, len(greeting))
	if _, err := io.ReadFull(r, text); err != nil {
		return err
	}
	if string(text) != greeting {
		return fmt.Errorf("it says %q", text)
	}
	return nil
}

// The agent's paths: RunPath takes a Command and answers with its End, DialPath
// connects request and answer with the unix socket that its query names.
const (
	RunPath  = "/run"
	DialPath = "/dial"
)

// Command is a command to run as root.
type Command struct {
	Argv  []string
	Stdin []byte
}

// End is how it ended. Error is empty when it succeeded.
type End struct {
	Code           int // -1 when it was killed or never ran
	Stdout, Stderr []byte
	Error          string
}
