package standin

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// DieBySegfault ends the process by a real SIGSEGV. Go's runtime would turn one
// that was merely sent into a panic with status 2, so its handler is taken away
// first, with the bare system call: package signal cannot reset this one.
func DieBySegfault() {
	var defaultAction [32]byte // the kernel's struct sigaction, all zero: SIG_DFL
	const setSize = 8
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGSEGV),
		uintptr(unsafe.Pointer(&defaultAction)), 0, setSize, 0, 0)
	_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	select {} // the signal may reach another thread a moment later
}

// transient tells errors after which a socket goes on working.
func transient(err error) bool {
	return errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOBUFS)
}
