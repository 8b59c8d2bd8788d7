package live

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// encode makes a Server-Sent Event. The data is JSON, in which a line's end can
// stand only between values; an id of "" is left out.
func encode(id, event string, data []byte) []byte {
	if bytes.ContainsAny(data, "\r\n") {
		data = oneLine(data)
	}
	b := make([]byte, 0, len(id)+len(event)+len(data)+len("id: \nevent: \ndata: \n\n"))
	if id != "" {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	b = append(append(append(b, "event: "...), event...), '\n')
	return append(append(append(b, "data: "...), data...), "\n\n"...)
}

// dataOf is the data within an event that encode made.
func dataOf(event []byte) []byte {
	_, data, _ := bytes.Cut(event, []byte("\ndata: "))
	return bytes.TrimSuffix(data, []byte("\n\n"))
}

func oneLine(data []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil { // whoever sends it has decoded it
		return []byte("null")
	}
	return b.Bytes()
}

func encodeJSON(id, event string, value any) []byte {
	data, err := json.Marshal(value)
	if err != nil { // only times, strings and numbers are encoded
		panic(err)
	}
	return encode(id, event, data)
}

func formatID(id uint64) string { return strconv.FormatUint(id, 10) }
