package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// What follows is of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h;
// netlink(7) and sock_diag(7) describe it. Numbers have the machine's byte order,
// ports and addresses the network's.
const (
	// struct nlmsghdr: u32 length, header included; u16 type; u16 flags;
	// u32 sequence; u32 port. What follows it begins and ends at a multiple of 4.
	headerSize = 16

	// struct inet_diag_sockid: be16 sport, dport; be32 src[4], dst[4]; u32 if;
	// u32 cookie[2].
	idSize = 48

	// struct inet_diag_req_v2: u8 family, protocol, ext, pad; u32 states;
	// inet_diag_sockid.
	requestSize = 8 + idSize

	// struct inet_diag_msg: u8 family, state, timer, retrans; inet_diag_sockid;
	// u32 expires, rqueue, wqueue, uid, inode. Attributes follow it, each of
	// u16 length, itself included, u16 type, and a value, in multiples of 4.
	messageSize   = 4 + idSize + 20
	attributeHead = 4

	attrCgroup = 21 // INET_DIAG_CGROUP_ID: u64; since Linux 5.9, with CONFIG_SOCK_CGROUP_DATA

	loopback = 1 // the interface lo has this index in every network namespace

	established = 1 // TCP_ESTABLISHED, of include/net/tcp_states.h
)

// socket is what the kernel tells of one.
type socket struct {
	local, remote netip.AddrPort
	state         byte
	cgroup        uint64
	told          bool // whether the kernel told the cgroup
}

// id says which socket is meant; an invalid address or a port of 0 is any, where
// many are asked for.
type id struct {
	local, remote netip.AddrPort
	device        uint32
}

// anyState are all of the states that a socket may be in, a bit for each.
const anyState = ^uint32(0)

// request makes the message that asks for a socket (flags 0) or for all that fit
// (NLM_F_DUMP).
func request(family, protocol uint8, flags uint16, states uint32, of id) []byte {
	b := make([]byte, headerSize+requestSize)
	native := binary.NativeEndian
	native.PutUint32(b, uint32(len(b)))
	native.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	r := b[headerSize:]
	r[0], r[1] = family, protocol
	native.PutUint32(r[4:], states)
	putID(r[8:], of)
	return b
}

func putID(b []byte, of id) {
	binary.BigEndian.PutUint16(b, of.local.Port())
	binary.BigEndian.PutUint16(b[2:], of.remote.Port())
	if of.local.IsValid() {
		copy(b[4:20], of.local.Addr().AsSlice())
	}
	if of.remote.IsValid() {
		copy(b[20:36], of.remote.Addr().AsSlice())
	}
	binary.NativeEndian.PutUint32(b[36:], of.device)
	binary.NativeEndian.PutUint64(b[40:], ^uint64(0)) // INET_DIAG_NOCOOKIE
}

// errShort is a message that is shorter than it says or must be.
var errShort = errors.New("the kernel's answer is cut off")

// parse reads one datagram of the kernel, which holds one or more messages. last
// says that no more follow.
func parse(b []byte) (sockets []socket, last bool, err error) {
	for len(b) > 0 {
		if len(b) < headerSize {
			return nil, true, errShort
		}
		length := binary.NativeEndian.Uint32(b)
		if length < headerSize || uint64(length) > uint64(len(b)) {
			return nil, true, errShort
		}
		kind, flags := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
		body := b[headerSize:length]
		switch kind {
		case unix.NLMSG_DONE:
			return sockets, true, failure(body)
		case unix.NLMSG_ERROR:
			return sockets, true, failure(body)
		case unix.SOCK_DIAG_BY_FAMILY:
			s, err := parseSocket(body)
			if err != nil {
				return nil, true, err
			}
			sockets = append(sockets, s)
			last = flags&unix.NLM_F_MULTI == 0
		}
		b = b[min(align(length), uint64(len(b))):]
	}
	return sockets, last, nil
}

// failure is the error of a message of the kinds that end an answer: a negative
// number of errno(3), or 0.
func failure(body []byte) error {
	if len(body) < 4 {
		return nil
	}
	if n := int32(binary.NativeEndian.Uint32(body)); n < 0 {
		return syscall.Errno(-int64(n))
	}
	return nil
}

// parseSocket reads a struct inet_diag_msg and of its attributes the cgroup's.
func parseSocket(b []byte) (socket, error) {
	if len(b) < messageSize {
		return socket{}, errShort
	}
	s := socket{state: b[1]}
	size := 4
	switch b[0] {
	case unix.AF_INET:
	case unix.AF_INET6:
		size = 16
	default:
		return socket{}, fmt.Errorf("the kernel told of a socket of family %d", b[0])
	}
	sid := b[4:]
	s.local = addrPort(sid[4:4+size], sid)
	s.remote = addrPort(sid[20:20+size], sid[2:])
	for rest := b[messageSize:]; len(rest) >= attributeHead; {
		length, kind := binary.NativeEndian.Uint16(rest), binary.NativeEndian.Uint16(rest[2:])
		if length < attributeHead || int(length) > len(rest) {
			return socket{}, errShort
		}
		if kind == attrCgroup && length >= attributeHead+8 {
			s.cgroup, s.told = binary.NativeEndian.Uint64(rest[attributeHead:]), true
		}
		rest = rest[min(align(uint32(length)), uint64(len(rest))):]
	}
	return s, nil
}

// addrPort is an address with the port before it. One of IPv4 in the form of IPv6
// is IPv4.
func addrPort(addr, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(addr) // of 4 or 16 bytes
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}

// align is a length with what fills it up to a multiple of 4.
func align(length uint32) uint64 { return (uint64(length) + 3) &^ 3 }
