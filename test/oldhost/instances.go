package oldhost

// Instance is one server of the old system.
type Instance struct {
	Name             string
	Port             uint16
	Args             string
	Overlays         []string
	Running, Enabled bool

	// Plant is what a game that was taken over has done since its start: a shell
	// script that runs in the instance's directory, as root so that it may do what
	// the kernel of another host would have let it.
	Plant string
}

// Unit is the instance's unit.
func (i Instance) Unit() string { return "left4me-server@" + i.Name + ".service" }

// What must never be seen of what the planted files lead to.
const (
	ShadowSecret = "sesame-of-root"     // in /etc/shadow
	FileSecret   = "sesame-of-a-file"   // in a file of root's that has a second name
	RCONSecret   = "sesame-of-the-rcon" // a password that instance 4 was given
)

// Canary is a directory of root's that is planted as an upper layer.
const Canary = "/etc/left4me/canary"

// Sound are the instances that nobody has tampered with.
func Sound() []Instance {
	return []Instance{
		{Name: "1", Port: 27015, Running: true, Enabled: true, Overlays: []string{"2", "1"},
			Args: `-tickrate 60 +map c2m1_highway +mp_gamemode versus -maxplayers 12 +hostname "The old one"`},
		{Name: "2", Port: 27016, Running: true, Args: "+map c5m1_waterfront"},
		{Name: "3", Port: 27017, Enabled: true, Args: "+map c8m1_apartment -nobots"},
		{Name: "4", Port: 27018, Running: true, Enabled: true, Overlays: []string{"1"},
			Args: "+map c1m1_hotel +sv_gravity 700 +exec server.cfg +rcon_password " + RCONSecret},
		{Name: "5", Port: 27019, Running: true, Enabled: true},
	}
}

// Hostile are those whose files are not what they should be.
func Hostile() []Instance {
	return []Instance{
		{Name: "10", Port: 27030, Running: true, Enabled: true,
			Plant: "rm instance.env; ln -s /etc/shadow instance.env; chown -h left4me: instance.env"},
		{Name: "11", Port: 27031, Running: true,
			Plant: "rm instance.env; mkfifo instance.env; chown left4me: instance.env"},
		{Name: "12", Port: 27032, Running: true, Plant: "truncate --size=1G instance.env"},
		{Name: "13", Port: 27033, Running: true, Plant: "umask 077; echo L4D2_PORT=27033 '#' " + FileSecret +
			" >/var/lib/left4me/overlays/of-root; ln -f /var/lib/left4me/overlays/of-root instance.env"},
		{Name: "14", Port: 27034, Running: true, Args: "-autoupdate -steamcmd_script x"},
		{Name: "15", Port: 27035, Running: true, Args: "+exec evil.cfg"},
		{Name: "16", Port: 27036, Args: "-pidfile /tmp/x"},
		{Name: "17", Port: 27037, Plant: "cd ../../runtime/17; rmdir work; ln -s /etc work; chown -h left4me: work"},
		{Name: "18", Port: 27038, Enabled: true, Plant: "mkdir " + Canary + "; echo root >" + Canary + "/file; " +
			"cd ../../runtime/18; rmdir upper; ln -s " + Canary + " upper; chown -h left4me: upper"},
	}
}

// Orphan is an instance that the old system allowed, and whose name left4med does
// not take.
func Orphan() Instance {
	return Instance{Name: "Foo_1", Port: 27040, Running: true, Enabled: true}
}

// All are all instances of the host.
func All() []Instance { return append(append(Sound(), Hostile()...), Orphan()) }
