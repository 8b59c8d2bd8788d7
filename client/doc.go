// Package client talks to left4med over its unix socket.
//
// A client is made with New and may be used from many goroutines at once:
//
//	c := client.New(client.Options{})
//	job, err := c.Start(ctx, "versus-1")
//	if err != nil { … }
//	job, err = c.WaitJob(ctx, job.ID)
//
// What the daemon refuses comes back as an *Error with a stable Code; a daemon
// that cannot be reached as an error that is ErrUnreachable. To follow all
// servers without a gap, read them once and begin the events where that answer
// says:
//
//	list, err := c.Servers(ctx)
//	if err != nil { … }
//	for event, err := range c.Events(ctx, client.EventsOptions{After: list.EventID}) {
//		if err != nil { … }
//		switch event.Type { … }
//	}
//
// Text that a game wrote (log messages, host names) may hold control
// characters: pass it through Visible before showing it to a person.
package client
