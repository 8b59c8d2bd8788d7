package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Availability tells how much of so many days, 1 to 90, up to now, a server ran of
// the time that it was meant to.
func (c *Client) Availability(ctx context.Context, name string, days int) (*Availability, error) {
	q := url.Values{"days": {strconv.Itoa(days)}}
	return one[Availability](ctx, c, request{method: http.MethodGet, query: q}, name, "/availability")
}

// Series tells what a server took of the host and how many played over so many
// hours, 1 to 9600, up to now: in steps of a minute for a day, longer ones for more.
func (c *Client) Series(ctx context.Context, name string, hours int) (*Series, error) {
	q := url.Values{"hours": {strconv.Itoa(hours)}}
	return one[Series](ctx, c, request{method: http.MethodGet, query: q}, name, "/series")
}
