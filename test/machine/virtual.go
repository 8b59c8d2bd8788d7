package machine

import (
	"context"
	"io"
)

// virtualPackages is what a tree holds beyond packages to be the disk of a
// virtual machine: a kernel, without drivers for hardware, and what finds
// devices and loads drivers.
const virtualPackages = packages + ",udev,linux-image-cloud-amd64"

// virtualHooks spare a machine under emulation what takes seconds and serves no
// test.
func virtualHooks() []string {
	return []string{
		// The disk's driver is in the kernel itself.
		`rm -f "$1"/boot/initrd.img* "$1"/initrd.img*`,
		`chroot "$1" systemctl --quiet mask systemd-hwdb-update.service ldconfig.service` +
			` systemd-journal-catalog-update.service systemd-firstboot.service kmod-static-nodes.service` +
			` modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service` +
			` systemd-logind.service systemd-remount-fs.service systemd-tmpfiles-clean.timer`,
		// What the emulated hardware offers and nothing here uses.
		`printf 'blacklist %s\n' kvm kvm_amd kvm_intel powernow_k8 evdev serio_raw button qemu_fw_cfg` +
			` aesni_intel ghash_clmulni_intel crc32c_intel crc32_pclmul crct10dif_pclmul` +
			` sha1_ssse3 sha256_ssse3 sha512_ssse3 >"$1/etc/modprobe.d/left4med.conf"`,
	}
}

// EnsureVirtual is EnsureBase for the disk of a virtual machine: the same tree,
// with a kernel.
func EnsureVirtual(ctx context.Context, release Release, progress io.Writer) (string, error) {
	return ensureCached(ctx, virtualTree(release), progress)
}

func virtualTree(release Release) tree {
	return tree{
		name: "virtual-" + string(release), what: "tree of a virtual Debian " + string(release),
		command: recipe(release, virtualPackages, virtualHooks()...),
	}
}
