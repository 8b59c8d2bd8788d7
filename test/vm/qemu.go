package vm

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// portName is the name of the line between a machine and its owner, without
// what systemd would have to escape in a unit's name.
const portName = "left4med"

// memory is how much a machine has. It has one processor: where there are two,
// each in a thread of the host, qemu 7.2 now and then runs what one of them has
// just patched in the kernel's code half old and half new, and the kernel
// panics.
const memory = "1G"

// arguments are those of qemu. Descriptor 3 is the disk, 4 the line.
func arguments(kernel string) []string {
	return []string{
		// Devices that are left out need not be found and driven.
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35,sata=off,smbus=off,i8042=off", "-accel", "tcg,thread=single",
		// A plain one: for each feature more the kernel loads a driver.
		"-cpu", "qemu64", "-smp", "1", "-m", memory,
		"-kernel", kernel,
		"-append", strings.Join([]string{
			"root=/dev/nvme0n1", "rw", "console=ttyS0", "quiet", "panic=-1",
			"mitigations=off", "audit=0", "random.trust_cpu=on", "systemd.show_status=0",
		}, " "),
		"-serial", "stdio",
		"-drive", "if=none,id=disk,format=raw,file=/proc/self/fd/3,file.locking=off,cache=unsafe",
		"-device", "nvme,drive=disk,serial=left4med",
		"-device", "virtio-rng-pci",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=line,fd=4",
		"-device", "virtserialport,chardev=line,name=" + portName,
	}
}

// qemu is one run of the emulator, from power-on to its end.
type qemu struct {
	cmd  *exec.Cmd
	line net.Conn
	gone chan struct{} // closed at its end
	err  error         // why, once gone is closed
}

// power starts qemu. What the machine says on its console goes to console.
func power(kernel string, disk *os.File, console *console) (*qemu, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("cannot make the line: %w", err)
	}
	defer theirs.Close()
	cmd := exec.Command("qemu-system-x86_64", arguments(kernel)...)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{disk, theirs}
	q := &qemu{cmd: cmd, line: ours, gone: make(chan struct{})}
	started, ended := startBound(cmd)
	if err := <-started; err != nil {
		ours.Close()
		return nil, fmt.Errorf("cannot start qemu: %w", err)
	}
	go func() {
		q.err = <-ended
		close(q.gone)
	}()
	return q, nil
}

// kill ends qemu in one moment.
func (q *qemu) kill() error {
	err := q.cmd.Process.Kill()
	<-q.gone
	q.line.Close()
	if errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("qemu had ended by itself: %w", q.err)
	}
	return err
}

func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs, file := os.NewFile(uintptr(fds[1]), "line"), os.NewFile(uintptr(fds[0]), "line")
	defer file.Close()
	ours, err := net.FileConn(file)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// startBound starts a command that dies with us, however we end, and says how
// its start and its end went.
func startBound(cmd *exec.Cmd) (started, ended <-chan error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	s, e := make(chan error, 1), make(chan error, 1)
	go func() {
		// The signal comes when the starting *thread* ends: keep it until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		s <- err
		if err == nil {
			e <- cmd.Wait()
		}
	}()
	return s, e
}

// runBound runs a command that dies with us to its end.
func runBound(cmd *exec.Cmd) <-chan error {
	started, ended := startBound(cmd)
	if err := <-started; err != nil {
		failed := make(chan error, 1)
		failed <- err
		return failed
	}
	return ended
}
