package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// message is one event of a stream of Server-Sent Events.
type message struct {
	id    string
	event string
	data  []byte
}

// messages reads Server-Sent Events as the HTML standard defines them (section
// "Parsing an event stream"), with lines of bounded length. alive is called for
// every line, comments included.
type messages struct {
	scanner *bufio.Scanner
	alive   func()
}

func readMessages(r io.Reader, alive func()) *messages {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 16<<10), maxLine)
	return &messages{scanner: s, alive: alive}
}

// next returns the next event. The error is io.EOF at the stream's end; an
// event that the end cut off is dropped, as the standard says.
func (m *messages) next() (message, error) {
	var msg message
	var data bool
	for m.scanner.Scan() {
		m.alive()
		line := m.scanner.Bytes()
		if len(line) == 0 {
			if data {
				return msg, nil
			}
			msg = message{}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			msg.id = string(value)
		case "event":
			msg.event = string(value)
		case "data":
			if data {
				msg.data = append(msg.data, '\n')
			}
			if len(msg.data)+len(value) > maxLine {
				return message{}, bufio.ErrTooLong
			}
			msg.data = append(msg.data, value...)
			data = true
		}
	}
	if err := m.scanner.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return message{}, fmt.Errorf("a line of the stream is longer than %d MiB: %w", maxLine>>20, err)
		}
		return message{}, err
	}
	return message{}, io.EOF
}
