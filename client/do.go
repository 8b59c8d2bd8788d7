package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Do sends a request as it is and returns the daemon's answer as it is, whatever
// its status: for who passes both on. The answer's body is the caller's to close.
// Of header, what says who asks and how (User-Agent, X-On-Behalf-Of,
// X-Allow-Interaction) is the client's own. An error means that there was no
// answer; it is ErrUnreachable, or why ctx ended.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, header http.Header, body io.Reader) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "left4med", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for %s %s: %w", method, path, err)
	}
	if header != nil {
		req.Header = header.Clone()
	}
	req.Header.Del("X-On-Behalf-Of")
	req.Header.Del("X-Allow-Interaction")
	req.Header.Set("User-Agent", c.opts.UserAgent)
	if c.behalfOf != "" {
		req.Header.Set("X-On-Behalf-Of", c.behalfOf)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	return resp, nil
}
