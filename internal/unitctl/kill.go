package unitctl

import "context"

// probeUnit is the network hand.
const probeUnit = "left4med-probe.service"

// sigkill is SIGKILL's number, which systemd wants (signal(7)).
const sigkill = int32(9)

// KillProbe sends SIGKILL to all processes of left4med-probe.service, which systemd
// then starts again (Restart=). That it does not run is no error. It kills nothing
// else.
func (m *Manager) KillProbe(ctx context.Context) error {
	l, err := m.live()
	if err != nil {
		return err
	}
	_, err = l.call(ctx, managerPath, managerFace+".KillUnit", probeUnit, "all", sigkill)
	if refusal(err) == errNoSuchUnit {
		return nil
	}
	return explain("kill "+probeUnit, err)
}
