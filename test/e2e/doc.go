// Package e2e tests the product as its users have it: installed from its Debian
// package, on throw-away machines with a real systemd, on every supported
// release. It needs root; make test-e2e prepares what it stands on.
//
// A test boots a Host, whose helpers fail the test themselves:
//
//	machine.Each(t, func(t *testing.T, release machine.Release) {
//		h := e2e.New(t, release)
//		h.InstallGame(t)
//		h.Ctl(t, "initialize", "a")
//		h.Ctl(t, "start", "a")
//		h.WaitServer(t, "a", func(s client.Server) bool { return s.State == client.StateRunning })
//	})
//
// Benches and the demo use it too: Main and Build find or make the artifacts.
package e2e
