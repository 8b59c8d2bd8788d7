package srcds

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const (
	whole = 0xffffffff // header of an answer in one datagram
	split = 0xfffffffe // header of a part

	// maxDatagram is more than a game sends, 1400 bytes unless it is set higher, and
	// enough for what is merely odd, such as a name of 4 kB.
	maxDatagram = 16 << 10
	// maxAnswer bounds an answer in parts: 255 players with names of 32 bytes take
	// 11 kB. It also bounds all that one query holds of unfinished answers.
	maxAnswer = 64 << 10
	// maxUnfinished is how many answers one query puts together side by side: an old
	// one that comes late must not keep a new one from being read.
	maxUnfinished = 4
)

// assembly puts answers together that come in parts. Each part is
//
//	long   -2
//	long   id, the same in all parts of an answer; its highest bit says compressed
//	byte   number of parts
//	byte   number of this part, from 0
//	short  largest size of a part (not in engines before the Orange Box's, of which
//	       Left 4 Dead 2 is none)
//	       a piece of the answer, which begins with its own header of -1
//
// Parts come in any order, twice or never.
type assembly struct {
	unfinished []*parts // oldest first
	held       int      // bytes
}

type parts struct {
	id     uint32
	pieces [][]byte // nil: did not come
	missing,
	size int
}

// add takes a part, header included, and answers the whole answer, its own header
// included, if this was the last one that was missing, else nil. It keeps copies.
func (a *assembly) add(datagram []byte) ([]byte, error) {
	r := reader{data: datagram}
	r.take(4)
	id := r.uint32()
	total, number := int(r.byte()), int(r.byte())
	r.take(2)
	switch {
	case r.short:
		return nil, malformed("a part of an answer that is too short for its header")
	case id&(1<<31) != 0:
		return nil, malformed("an answer in parts that is compressed, as this game's never are")
	case total == 0 || number >= total:
		return nil, malformed("part %d of %d parts", number, total)
	}
	p := a.find(id)
	if p == nil {
		p = a.begin(id, total)
	}
	if len(p.pieces) != total {
		return nil, malformed("an answer of %d parts that then has %d", len(p.pieces), total)
	}
	if p.pieces[number] != nil {
		return nil, nil // twice: what came first holds
	}
	if a.held+len(r.data) > maxAnswer {
		return nil, malformed("an answer in parts of more than %d bytes", maxAnswer)
	}
	p.pieces[number] = append([]byte{}, r.data...)
	p.size += len(r.data)
	a.held += len(r.data)
	if p.missing--; p.missing > 0 {
		return nil, nil
	}
	a.forget(p)
	return bytes.Join(p.pieces, nil), nil
}

func (a *assembly) find(id uint32) *parts {
	for _, p := range a.unfinished {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (a *assembly) begin(id uint32, total int) *parts {
	if len(a.unfinished) == maxUnfinished {
		a.forget(a.unfinished[0])
	}
	p := &parts{id: id, pieces: make([][]byte, total), missing: total}
	a.unfinished = append(a.unfinished, p)
	return p
}

func (a *assembly) forget(p *parts) {
	a.unfinished = slices.DeleteFunc(a.unfinished, func(other *parts) bool { return other == p })
	a.held -= p.size
}

// want says what is missing of the newest answer, if one is unfinished.
func (a *assembly) want() (missing, total int) {
	if len(a.unfinished) == 0 {
		return 0, 0
	}
	newest := a.unfinished[len(a.unfinished)-1]
	return newest.missing, len(newest.pieces)
}

// header is the first four bytes as a number; 0, which is no header, if there are
// fewer.
func header(datagram []byte) uint32 {
	if len(datagram) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(datagram)
}
