package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// longPoll is how long the daemon is asked to hold an answer back.
const longPoll = 30 * time.Second

// Job reads one job as it stands.
func (c *Client) Job(ctx context.Context, id int64) (*Job, error) {
	return c.job(ctx, id, nil)
}

// WaitJob returns the job once it has ended, well or not: look at its State. A
// daemon that goes away meanwhile is waited for, since a job goes on after the
// daemon's restart; ctx is the only limit.
func (c *Client) WaitJob(ctx context.Context, id int64) (*Job, error) {
	wait := backoff{}
	for {
		job, err := c.job(ctx, id, url.Values{"wait": {longPoll.String()}})
		switch {
		case err == nil && job.State.Finished():
			return job, nil
		case err == nil:
			wait.reset()
			// An old daemon or a proxy might not hold the answer: do not spin.
			if err := wait.sleep(ctx); err != nil {
				return nil, err
			}
		case !retriable(err):
			return nil, err
		default:
			if err := wait.sleep(ctx); err != nil {
				return nil, err
			}
		}
	}
}

// Jobs lists jobs, newest first.
func (c *Client) Jobs(ctx context.Context, filter JobsFilter) ([]Job, error) {
	q, err := pageOf(filter.Server, filter.Before, filter.Limit)
	if err != nil {
		return nil, err
	}
	if filter.State != "" {
		q.Set("state", string(filter.State))
	}
	var list struct {
		Jobs []Job `json:"jobs"`
	}
	_, err = c.ask(ctx, request{method: http.MethodGet, path: "/v1/jobs", query: q}, &list)
	return list.Jobs, err
}

// pageOf is the query for a part of a list that grows at its head.
func pageOf(server string, before int64, limit int) (url.Values, error) {
	q := url.Values{}
	if server != "" {
		name, err := ParseName(server)
		if err != nil {
			return nil, err
		}
		q.Set("server", string(name))
	}
	if before != 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q, nil
}

// Cancel asks for a job to be given up. The job is returned as it stands: one
// that is running may take a moment to end.
func (c *Client) Cancel(ctx context.Context, id int64) (*Job, error) {
	var job Job
	r := request{method: http.MethodPost, path: "/v1/jobs/" + strconv.FormatInt(id, 10) + "/cancel"}
	if _, err := c.ask(ctx, r, &job); err != nil {
		return nil, err
	}
	return &job, nil
}

func (c *Client) job(ctx context.Context, id int64, query url.Values) (*Job, error) {
	var job Job
	r := request{method: http.MethodGet, path: "/v1/jobs/" + strconv.FormatInt(id, 10), query: query}
	if _, err := c.ask(ctx, r, &job); err != nil {
		return nil, err
	}
	return &job, nil
}
