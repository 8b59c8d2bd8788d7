// Package vm boots throw-away virtual machines with the product on them, for
// what a container cannot show: a kernel that kills for want of memory, a clock
// that jumps, and a power cut that loses what was not synced. It needs root, and
// on Debian
//
//	apt-get install mmdebstrap qemu-system-x86 e2fsprogs util-linux
//
// # How it works
//
// The disk is made anew for each machine from a cached tree like that of package
// machine, with a kernel (machine.EnsureVirtual): in namespaces of its own,
// image.sh mounts an overlayfs on it, installs the product there as in any
// chroot, and fills an ext4 file system with the result. qemu boots the kernel
// of that tree under software emulation, since not every host has KVM, with the
// disk as an NVMe one, whose driver is in Debian's kernel: so no initial RAM disk
// is needed. A machine is up within some ten seconds.
//
// It has no network. Its only line out is a virtio serial port, where an agent
// (package main in agent) serves HTTP/2: commands, and connections to unix
// sockets. So the client of left4med works from outside.
//
// # A power cut
//
// qemu is killed. What the machine had written to its disk is in the file, and
// what its kernel still held in memory is gone, as on a real one. Only the cache
// inside a disk is not played: a write that has reached the disk stays, with a
// flush or without. Hence qemu need not sync the file to the host's own disk,
// which would cost time and show nothing.
//
// # Nothing is left behind
//
// The disk is a file without a name, which goes with the last process that has
// it open. What image.sh makes lives in memory and in its mount namespace. Both
// image.sh and qemu die with the thread that started them (prctl(2),
// PR_SET_PDEATHSIG), hence with the test however that ends.
package vm
