// Package interop has clients that others wrote query the stand-in, beside our own:
// three that know nothing of each other must be told the same. It has no code but
// its test; `make deps-node` puts the clients here.
package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/left4med/left4med/internal/srcds"
	"github.com/left4med/left4med/test/standin"
)

const password = "geheim & mehr"

// commands are what is asked over RCON; the first answer takes three packets.
var commands = []string{"spew 10000", "status", "echo ünïcödé", "nonsense"}

// packetText is how much of an answer the game puts into one packet.
const packetText = 4086

// told is what one client was told.
type told struct {
	Query query             `json:"query"`
	Short map[string]string `json:"short"` // of the commands but the first, what is in the first packet
	Long  map[string]string `json:"long"`
}

type query struct {
	Name       string   `json:"name"`
	Map        string   `json:"map"`
	Password   bool     `json:"password"`
	Version    string   `json:"version"`
	Players    int      `json:"players"`
	MaxPlayers int      `json:"max_players"`
	Bots       int      `json:"bots"`
	VAC        bool     `json:"vac"`
	Folder     string   `json:"folder"`
	Game       string   `json:"game"`
	AppID      uint16   `json:"app_id"`
	List       []player `json:"list"`
}

type player struct {
	Name  string  `json:"name"`
	Score int32   `json:"score"`
	Time  float64 `json:"time"`
}

func TestClientsAgree(t *testing.T) {
	t.Parallel()
	for name, control := range map[string]string{
		"empty":   "map c5m1_waterfront\n",
		"four":    "join Zoë\njoin \"two words\"\nbot Nick\njoin <b>\n",
		"a crowd": crowd(120), // in parts
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			game := start(t, control)
			want, got := ours(t, game), theirs(t, game)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-ours +theirs):\n%s", diff)
			}
			if n := len(want.Long[commands[0]]); n < 9000 {
				t.Errorf("the long answer has %d bytes", n)
			}
		})
	}
}

func crowd(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "join player %d of a crowd\n", i)
	}
	return b.String()
}

// ours asks as the probe does.
func ours(t *testing.T, game netip.AddrPort) told {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	querier, err := srcds.NewQuerier(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer querier.Close()
	i, _, err := querier.Info(ctx, game)
	if err != nil {
		t.Fatal(err)
	}
	players, err := querier.Players(ctx, game)
	if err != nil {
		t.Fatal(err)
	}
	all := told{
		Query: query{
			Name: i.Name, Map: i.Map, Password: i.Password, Version: i.Version, Players: i.Players, MaxPlayers: i.MaxPlayers,
			Bots: i.Bots, VAC: i.VAC, Folder: i.Folder, Game: i.Game, AppID: i.AppID, List: []player{},
		},
		Short: map[string]string{}, Long: map[string]string{},
	}
	for _, p := range players {
		all.Query.List = append(all.Query.List, player{p.Name, p.Score, p.Seconds})
	}
	for n, command := range commands {
		conn, err := net.Dial("tcp4", game.String())
		if err != nil {
			t.Fatal(err)
		}
		text, truncated, err := srcds.RCON(ctx, conn, password, command, 1<<20)
		conn.Close()
		if err != nil || truncated {
			t.Fatalf("%s: truncated %v, %v", command, truncated, err)
		}
		all.Long[command] = strings.TrimSuffix(text, "\n")
		if n > 0 {
			all.Short[command] = text[:min(len(text), packetText)]
		}
	}
	return all
}

// theirs asks by the clients that others wrote.
func theirs(t *testing.T, game netip.AddrPort) told {
	t.Helper()
	if _, err := os.Stat("node_modules"); err != nil {
		t.Fatal("the clients are not here: make deps-node")
	}
	args := append([]string{"clients.mjs", fmt.Sprint(game.Port()), password}, commands...)
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node clients.mjs: %v", err)
	}
	var all told
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return all
}

// start runs a stand-in whose players joined an hour and more ago.
func start(t *testing.T, control string) netip.AddrPort {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"left4dead2/cfg/server.cfg": fmt.Sprintf("hostname \"Kim's <i>game</i>\"\nrcon_password \"%s\"\nsv_password \"x\"\n", password),
		standin.ControlFile:         control,
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options, err := standin.ParseArgs(strings.Fields("-game left4dead2 -norestart +ip 127.0.0.1 +map c1m1_hotel -maxplayers 12"))
	if err != nil {
		t.Fatal(err)
	}
	options.Port = 0
	reader, writer := io.Pipe()
	var later atomic.Int64 // added to the time
	began := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	server := &standin.Server{
		Options: options, Dir: dir, Console: writer, Leave: func(int) {}, Crash: func() {},
		Now: func() time.Time { return began.Add(time.Duration(later.Load())) },
	}
	ended := make(chan struct{})
	t.Cleanup(func() { <-ended }) // t.Context ends first
	go func() {
		defer close(ended)
		server.Run(t.Context(), nil)
		writer.Close()
	}()
	port := ""
	for lines := bufio.NewScanner(reader); lines.Scan(); {
		if _, rest, found := strings.Cut(lines.Text(), "ports "); found {
			port, _, _ = strings.Cut(rest, " ")
		}
		if strings.Contains(lines.Text(), "VAC secure mode") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	later.Store(int64(time.Hour + 61500*time.Millisecond))
	return netip.MustParseAddrPort("127.0.0.1:" + port)
}
