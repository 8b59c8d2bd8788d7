package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/left4med/left4med/client"
)

func newJobs(a *app) *cobra.Command {
	var state string
	var count int
	var cancel int64
	cmd := &cobra.Command{
		Use:     "jobs [NAME]",
		GroupID: reading,
		Short:   "list what was asked for, and how it ended",
		Long: `Jobs lists the newest jobs of all servers, or of one: what was asked for, by whom, when, and how it ended. Jobs of servers that were deleted are kept.

With --cancel a job that is queued or running is given up. What it has already done stays done.`,
		Example: `  l4d2ctl jobs
  l4d2ctl jobs versus-1 --state failed
  l4d2ctl jobs --cancel 17`,
		ValidArgsFunction: a.completeNames(1),
		Args:              cobra.MaximumNArgs(1),
	}
	cmd.RunE = a.does(readLimit, func(ctx context.Context, c *client.Client, args []string) error {
		if cmd.Flags().Changed("cancel") {
			if len(args) > 0 {
				return usage(errors.New("--cancel wants the number of a job, and no name"))
			}
			return a.cancel(ctx, c, cancel)
		}
		if count < 1 {
			return usage(fmt.Errorf("%d jobs cannot be listed", count))
		}
		filter := client.JobsFilter{State: client.JobState(state)}
		if len(args) > 0 {
			filter.Server = args[0]
		}
		return a.jobs(ctx, c, filter, count)
	})
	states := []string{
		string(client.JobQueued), string(client.JobRunning), string(client.JobSucceeded),
		string(client.JobFailed), string(client.JobCanceled),
	}
	cmd.Flags().StringVar(&state, "state", "", "only jobs in this `state`: queued, running, succeeded, failed or canceled")
	cmd.Flags().IntVarP(&count, "count", "n", 20, "at most this `number`, the newest ones")
	cmd.Flags().Int64Var(&cancel, "cancel", 0, "give up the job of this `number`")
	completes(cmd, "state", states...)
	return cmd
}

func (a *app) jobs(ctx context.Context, c *client.Client, filter client.JobsFilter, count int) error {
	jobs, err := newest(count, func(limit int, last *client.Job) ([]client.Job, error) {
		if filter.Limit = limit; last != nil {
			filter.Before = last.ID
		}
		return c.Jobs(ctx, filter)
	})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(struct {
			Jobs []client.Job `json:"jobs"`
		}{jobs})
	}
	if len(jobs) == 0 {
		a.say("There are no such jobs.")
		return nil
	}
	rows := make([][]cell, len(jobs))
	for i, job := range jobs {
		rows[i] = a.jobRow(job)
	}
	return a.table([]string{"ID", "SERVER", "KIND", "STATE", "CREATED", "TOOK", "BY", "ERROR"}, rows)
}

func (a *app) jobRow(job client.Job) []cell {
	name, why, took := string(job.Server), "-", "-"
	if name == "" {
		name = "-"
	}
	if !job.StartedAt.IsZero() && !job.FinishedAt.IsZero() {
		took = short(job.FinishedAt.Sub(job.StartedAt))
	}
	switch {
	case job.SupersededBy != nil:
		why = fmt.Sprintf("job %d took its place", *job.SupersededBy)
	case waiting(job):
		why = job.Progress.Text
	case job.Error != nil:
		why = string(job.Error.Code) + ": " + job.Error.Detail
	}
	return []cell{
		{text: strconv.FormatInt(job.ID, 10)}, {text: name}, {text: string(job.Kind)},
		{text: string(job.State), style: jobStyle(job.State)},
		{text: stamp(job.CreatedAt), short: a.ago(job.CreatedAt)}, {text: took},
		{text: asker(job.RequestedBy)}, {text: why},
	}
}

func (a *app) cancel(ctx context.Context, c *client.Client, id int64) error {
	job, err := c.Cancel(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(job)
	}
	if job.State.Finished() {
		a.say("Job %d (%s %s): %s.", job.ID, string(job.Kind), subject(*job), string(job.State))
	} else {
		a.say("Job %d (%s %s) is being canceled.", job.ID, string(job.Kind), subject(*job))
	}
	return nil
}
