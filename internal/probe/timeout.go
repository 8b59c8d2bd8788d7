package probe

import "time"

// Longest timeouts, in milliseconds, and those of a request that names none.
const (
	maxQueryMS, usualQueryMS     = 5000, 1000
	maxCommandMS, usualCommandMS = 30000, 5000
	maxDeliverMS, usualDeliverMS = 30000, 10000
)

// Timeout is how long the query may take.
func (q Query) Timeout() time.Duration { return timeout(q.TimeoutMS, usualQueryMS, maxQueryMS) }

// Timeout is how long the command may take.
func (c Command) Timeout() time.Duration {
	return timeout(c.TimeoutMS, usualCommandMS, maxCommandMS)
}

// Timeout is how long the delivery may take.
func (d Delivery) Timeout() time.Duration {
	return timeout(d.TimeoutMS, usualDeliverMS, maxDeliverMS)
}

// timeout is ms, 0 meaning usual, at most longest. What is out of range the probe
// refuses; here it only must not wait for ever.
func timeout(ms, usual, longest int) time.Duration {
	if ms == 0 {
		ms = usual
	}
	return time.Duration(min(max(ms, 1), longest)) * time.Millisecond
}
