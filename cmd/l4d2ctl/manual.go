package main

// Texts of the manual that belong to no single command.

const rootText = `l4d2ctl controls the Left 4 Dead 2 servers of this host through left4med, which runs them as units of systemd.

A server that was started comes back at every boot until it is stopped; left4med need not run for that. Everything that takes time is a job: commands wait for theirs, and a job goes on when the command that asked for it is interrupted.

Data is printed on standard output, everything else on standard error.`

const rootExample = `  l4d2ctl install
  l4d2ctl initialize versus-1 --port 27015 --gamemode versus
  l4d2ctl start versus-1
  l4d2ctl list
  l4d2ctl logs versus-1 -f`

// entry is a term of the manual and what it means.
type entry struct{ term, text string }

// section is a titled list of the manual.
type section struct {
	title   string
	intro   string
	entries []entry
}

// exitStatus, environment and files end every page of the manual.
func exitStatus() section {
	return section{
		title: "EXIT STATUS",
		intro: "When several servers end differently, the highest of their codes counts.",
		entries: []entry{
			{"0", "All is done."},
			{"1", "It failed, or was refused for a reason that has no code of its own. For doctor: something is wrong."},
			{"2", "The command line, a name or a setting is not valid."},
			{"3", "There is no such server."},
			{"4", "Not authorized."},
			{"5", "left4med cannot be reached."},
			{"6", "The job failed or was canceled."},
			{"7", "Timed out. A job that was waited for goes on."},
			{"130", "Interrupted by Ctrl-C or SIGTERM. A job that was waited for goes on."},
		},
	}
}

func environment() section {
	return section{
		title: "ENVIRONMENT",
		entries: []entry{
			{"LEFT4MED_SOCKET", "The socket to connect to, unless --socket is given."},
			{"NO_COLOR", "When set and not empty, nothing is coloured."},
			{"TERM", "When it is dumb, nothing is coloured, and progress is shown line by line."},
		},
	}
}

func files() section {
	return section{
		title: "FILES",
		entries: []entry{
			{"/run/left4med/left4med.sock", "The socket of left4med."},
			{"/etc/left4me/left4med.toml", "The configuration of left4med."},
			{"/var/lib/left4me/instances/NAME", "The files of a server."},
		},
	}
}
