package standin

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
)

// shell runs a script as the game would run a program: in its unit, with all
// that the unit takes from it. The answer is "DONE", the script's exit status
// (-1 when it was killed or could not be run), and what it wrote.
func (s *Server) shell(sock *udpSocket, to netip.AddrPort, script string) {
	out, err := exec.Command("/bin/sh", "-euc", script).CombinedOutput()
	code := 0
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else if err != nil {
		code, out = -1, []byte(err.Error())
	}
	const most = 1200 // bytes, so that the answer fits in a packet
	s.reply(sock, to, fmt.Sprintf("DONE %d %s", code, out[:min(len(out), most)]))
}
