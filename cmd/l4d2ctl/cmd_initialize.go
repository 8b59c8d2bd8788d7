package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/left4med/left4med/client"
)

// settings are the flags of initialize.
type settings struct {
	port       uint16
	mapName    string
	gameMode   string
	maxPlayers int
	hostname   string
	heal       string
	set        []string
	unset      []string
	args       []string
	overlays   []string
	memoryMax  byteSize
	cpuWeight  uint64
	cpus       string
	secret     string
}

func newInitialize(a *app) *cobra.Command {
	var s settings
	var take adoption
	var reset, backup, yes, noWait bool
	var restore int64
	cmd := &cobra.Command{
		Use:     "initialize NAME | --adopt NAME… | --adopt --all",
		GroupID: writing,
		Short:   "create a server, or change its settings",
		Long: `Initialize creates a server, with its settings and its files, and neither enables nor starts it. What is not given has its default: the lowest free port, the map c1m1_hotel, the game mode coop, 8 players, and the server's name as the name that players see.

For a server that exists, the settings given are changed and all others stay; its files are written anew, which brings lost ones back. Changed settings apply at the next start: a server that runs goes on with the old ones until "l4d2ctl start --restart NAME". The limits --memory-max, --cpu-weight and --cpus are in force at once; a limit of memory below what the game has now is refused.

With --secret the value of a secret is read from standard input, up to its end but for one line feed; on a terminal it is asked for, and not shown. rcon is the password for RCON, 8 to 64 characters; every server gets a random one when it is created, and an empty line makes a new one. password is what players need to join, 1 to 64 characters, and gslt the game server login token from Steam, 32 hexadecimal digits; an empty line takes them away. A secret has no spaces, quotation marks, backslashes or semicolons. Secrets apply at the next start and win over a user.cfg. left4med shows them to nobody.

With --reset a server loses all that its game has written and keeps its settings: it is disabled and stopped, and stays so. On a terminal its name must be typed once more; without a terminal --yes is required.

A reset takes a backup before, unless no game has ever run. With --backup a backup is taken at once: of all that the game has written, of the settings and of the secrets. A game that runs stands still meanwhile, for 20 seconds at most, unless left4med.toml(5) says otherwise. With --restore a server gets back what a backup holds: it is disabled and stopped, and stays so; a backup of what it is now is taken before. It keeps its port where that of the backup belongs to another server now. "l4d2ctl show NAME --backups" lists the backups, "l4d2ctl delete NAME --backup ID" deletes one.

With --adopt an instance that belongs to no server, as "l4d2ctl orphans" lists them, becomes one: with the settings that its files hold, and without stopping its game. These are instances of the system before left4med, and all of them after left4med's database was lost. Files that left4med cannot trust or does not understand are refused with a reason, and stay as they are. What another system wrote is kept beside the instance as .NAME.origin; a game that runs goes on by that system's rules until it is stopped and started.

A name has 1 to 24 lower-case letters, digits, "_" and "-", and begins with a letter or a digit.`,
		Example: `  l4d2ctl initialize versus-1 --port 27015 --gamemode versus
  l4d2ctl initialize versus-1 --set sv_alltalk=1 --set mp_roundlimit=3
  l4d2ctl initialize versus-1 --unset sv_alltalk
  l4d2ctl initialize versus-1 --arg "-tickrate 100" --overlay maps --overlay plugins
  l4d2ctl initialize versus-1 --arg ""     # no further arguments
  l4d2ctl initialize versus-1 --memory-max 1500M --cpus 0-1
  l4d2ctl initialize versus-1 --secret password <file
  echo | l4d2ctl initialize versus-1 --secret rcon     # a new random one
  l4d2ctl initialize --reset versus-1
  l4d2ctl initialize versus-1 --backup
  l4d2ctl initialize versus-1 --restore 17
  l4d2ctl initialize --adopt --all`,
		Args: take.args,
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, given []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if take.adopt {
			return a.completeOrphans(false, false)(cmd, given, typed)
		}
		return a.completeNames(1)(cmd, given, typed)
	}
	cmd.RunE = a.does(0, func(ctx context.Context, c *client.Client, args []string) error {
		if take.adopt {
			if err := take.only(cmd.LocalNonPersistentFlags()); err != nil {
				return err
			}
			return a.adopt(ctx, c, &take, args, noWait)
		}
		if err := oneDeed(reset, backup, restore != 0); err != nil {
			return err
		}
		if backup || restore != 0 {
			return a.backups(ctx, c, args[0], &s, cmd.Flags(), restore, yes, noWait)
		}
		if reset {
			return a.reset(ctx, c, args[0], &s, cmd.Flags(), yes, noWait)
		}
		return a.initialize(ctx, c, args[0], &s, cmd.Flags(), noWait)
	})
	f := cmd.Flags()
	f.SortFlags = false
	f.Uint16Var(&s.port, "port", 0, "the game's `port`")
	f.StringVar(&s.mapName, "map", "", "the first `map`")
	f.StringVar(&s.gameMode, "gamemode", "", "the game `mode`, as coop or versus")
	f.IntVar(&s.maxPlayers, "max-players", 0, "player slots: a `number` from 1 to 32")
	f.StringVar(&s.hostname, "hostname", "", "the `name` that players see")
	f.StringArrayVar(&s.set, "set", nil, "`cvar=value` to set, as sv_alltalk=1; may be given many times")
	f.StringArrayVar(&s.unset, "unset", nil, "a `cvar` to leave to the game again; may be given many times")
	f.StringArrayVar(&s.args, "arg", nil, "a further `argument` of the game, as \"-tickrate 100\"; all that are given replace all there were")
	f.StringArrayVar(&s.overlays, "overlay", nil, "an `overlay`, the topmost first; all that are given replace all there were")
	f.StringVar(&s.heal, "heal", "", "`when` left4med starts the server again by itself: off; failed, once systemd has given it up; always, also after it ended or was stopped while enabled")
	f.Var(&s.memoryMax, "memory-max", "the most memory the game may have: a `size` as 1G or 1500M, at least 256M; 0 for the default, 2G")
	f.Uint64Var(&s.cpuWeight, "cpu-weight", 0, "its share of busy processors against other servers: a `number` from 1 to 10000; 0 for the default, 100")
	f.StringVar(&s.cpus, "cpus", "", "the only `processors` it may run on, as 0-1,3; empty for all")
	f.StringVar(&s.secret, "secret", "", "a `secret` to set: rcon, password or gslt; its value is read from standard input")
	f.BoolVar(&reset, "reset", false, "stop the server and remove all that its game has written")
	f.BoolVar(&backup, "backup", false, "back up all that the server's game has written, its settings and its secrets")
	backupFlag(a, cmd, &restore, "restore", "stop the server and give it what the backup with this `ID` holds")
	f.BoolVarP(&yes, "yes", "y", false, "with --reset and --restore: do not ask")
	take.flags(f)
	f.BoolVar(&noWait, "no-wait", false, "do not wait for the end of the job; print its number")
	completes(cmd, "heal", string(client.HealOff), string(client.HealFailed), string(client.HealAlways))
	completes(cmd, "secret", "rcon", "password", "gslt")
	completes(cmd, "gamemode", "coop", "versus", "survival", "scavenge", "realism")
	if err := cmd.RegisterFlagCompletionFunc("overlay", a.completeOverlays(false)); err != nil { // only for a flag that does not exist
		panic(err)
	}
	for _, flag := range []string{"port", "map", "max-players", "hostname", "set", "unset", "arg", "memory-max", "cpu-weight", "cpus"} {
		if err := cmd.RegisterFlagCompletionFunc(flag, nothing); err != nil { // only for a flag that does not exist
			panic(err)
		}
	}
	return cmd
}

func (a *app) initialize(ctx context.Context, c *client.Client, name string, s *settings, flags *pflag.FlagSet, noWait bool) error {
	if _, err := client.ParseName(name); err != nil {
		return usage(err)
	}
	patch, cvars, err := s.patch(flags)
	if err != nil {
		return err
	}
	if err := secretWanted(s.secret, noWait, flags); err != nil {
		return err
	}
	before, err := a.servers(ctx, c)
	if err != nil {
		return err
	}
	secret, err := a.readSecret(ctx, name, s.secret)
	if err != nil {
		return err
	}
	for i := range before.Servers {
		if now := &before.Servers[i]; string(now.Name) == name {
			return a.change(ctx, c, now, patch, cvars, secret)
		}
	}
	if len(cvars.set) > 0 {
		patch.CVars = &cvars.set
	}
	return a.create(ctx, c, name, patch, secret, before.EventID, noWait)
}

func (a *app) create(ctx context.Context, c *client.Client, name string, patch client.ConfigPatch, secret *secret, after uint64, noWait bool) error {
	job, err := c.Create(ctx, name, patch)
	if err != nil {
		return err
	}
	b := &batch{Jobs: []client.Job{*job}}
	if noWait {
		return a.finish(ctx, c, after, b, true)
	}
	jobs, err := a.follow(ctx, c, after, b.Jobs)
	b.Jobs = jobs
	if err != nil {
		return a.leave(ctx, err, b)
	}
	if jobs[0].State != client.JobSucceeded {
		if err := a.printBatch(b); err != nil {
			return err
		}
		return &exitError{code: exitJobFailed}
	}
	if secret != nil {
		if err := c.SetSecret(ctx, name, secret.which, secret.value); err != nil {
			return a.leave(ctx, err, b)
		}
		a.applied(name, secret.done(), "", false)
	}
	if b.Server, err = c.Server(ctx, name); err != nil {
		return err
	}
	if b.Server.Config != nil {
		a.say("%s has the port %d. Start it with: l4d2ctl start %s", name, b.Server.Config.Port, name)
	}
	return a.printBatch(b)
}

// change changes the settings given of a server that exists, and then its secret
// unless that is nil.
func (a *app) change(ctx context.Context, c *client.Client, now *client.Server, patch client.ConfigPatch, cvars cvarChanges, secret *secret) error {
	name := string(now.Name)
	if cvars.any() {
		if now.Config == nil {
			return &client.Error{Code: client.CodeNotAuthorized, Detail: "cvars cannot be changed one by one: you may not read the settings of " + name}
		}
		merged := cvars.merge(now.Config.CVars)
		patch.CVars = &merged
	}
	after, given := now, patch != (client.ConfigPatch{})
	var err error
	if given || secret == nil {
		if after, err = c.Change(ctx, name, patch); err != nil {
			return err
		}
	}
	switch {
	case given:
		a.applied(name, "the settings are changed", "they apply", due(after))
	case secret == nil:
		a.say("%s exists already, and no setting was given: its files are written anew, with the settings they had.", name)
	}
	if secret != nil {
		if err := c.SetSecret(ctx, name, secret.which, secret.value); err != nil {
			return err
		}
		if after, err = c.Server(ctx, name); err != nil {
			return err
		}
		a.applied(name, secret.done(), "it applies", due(after))
	}
	return a.printBatch(&batch{Server: after})
}

// due says whether a server runs with older settings.
func due(s *client.Server) bool { return s.RestartDue != nil && *s.RestartDue }

// applied says what was changed, and when it counts.
func (a *app) applied(name, what, applies string, due bool) {
	if due {
		a.say("%s: %s; %s at the next start: l4d2ctl start --restart %s", name, what, applies, name)
		return
	}
	a.say("%s: %s.", name, what)
}

// patch makes a change of the flags that were given; the cvars, which are
// changed one by one, are kept apart. Only what the daemon could not say as
// well is checked here.
func (s *settings) patch(flags *pflag.FlagSet) (client.ConfigPatch, cvarChanges, error) {
	var p client.ConfigPatch
	cvars, err := s.cvars()
	if err != nil {
		return p, cvars, usage(err)
	}
	heal := client.Heal(s.heal)
	args := strings.Fields(strings.Join(s.args, " "))
	overlays := strings.Fields(strings.Join(s.overlays, " "))
	given(flags, "port", &p.Port, &s.port)
	given(flags, "map", &p.Map, &s.mapName)
	given(flags, "gamemode", &p.GameMode, &s.gameMode)
	given(flags, "max-players", &p.MaxPlayers, &s.maxPlayers)
	given(flags, "hostname", &p.Hostname, &s.hostname)
	given(flags, "heal", &p.Heal, &heal)
	given(flags, "arg", &p.Args, &args)
	given(flags, "overlay", &p.Overlays, &overlays)
	given(flags, "memory-max", &p.MemoryMax, (*uint64)(&s.memoryMax))
	given(flags, "cpu-weight", &p.CPUWeight, &s.cpuWeight)
	given(flags, "cpus", &p.CPUs, &s.cpus)
	return p, cvars, nil
}

// given sets a field when its flag stood on the command line.
func given[T any](flags *pflag.FlagSet, flag string, field **T, value *T) {
	if flags.Changed(flag) {
		*field = value
	}
}

// cvarChanges are cvars to set and to remove.
type cvarChanges struct {
	set   map[string]string
	unset []string
}

func (s *settings) cvars() (cvarChanges, error) {
	c := cvarChanges{set: map[string]string{}, unset: s.unset}
	for _, arg := range s.set {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return c, fmt.Errorf("--set wants a cvar and its value, as sv_alltalk=1, not %q", arg)
		}
		c.set[name] = value
	}
	for _, name := range s.unset {
		if _, both := c.set[name]; both || name == "" {
			return c, errors.New("--unset wants the name of a cvar that --set does not set")
		}
	}
	return c, nil
}

func (c cvarChanges) any() bool { return len(c.set) > 0 || len(c.unset) > 0 }

func (c cvarChanges) merge(now map[string]string) map[string]string {
	merged := maps.Clone(now)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, c.set)
	for _, name := range c.unset {
		delete(merged, name)
	}
	return merged
}
