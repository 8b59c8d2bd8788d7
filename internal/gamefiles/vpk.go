package gamefiles

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// A .vpk package, or the directory NAME_dir.vpk of one whose files lie in
// NAME_000.vpk and so on (Valve's developer wiki, "VPK (file format)"). All
// numbers are little-endian.
//
//	version 1: signature 0x55aa1234, version, size of the tree; 4 bytes each
//	version 2: the same, and four sizes of what follows the tree; 4 bytes each
//
// The tree is a list of extensions, each with a list of directories, each with a
// list of files; each text and each list ends with a zero byte. What has no
// extension or directory has " ". After a file's name come
//
//	CRC uint32, preload size uint16, archive uint16, offset uint32, size uint32,
//	0xffff
//
// and the preload, the first bytes of the file. The rest is in the archive of the
// number, or for 0x7fff in this file behind the tree.
const (
	vpkSignature = 0x55aa1234
	vpkHere      = 0x7fff // the archive that is the directory itself
	vpkEnd       = 0xffff

	maxTree = 64 << 20 // bytes of a tree; that of the game itself has some 5 MiB
	maxText = 1024     // bytes of one name
	maxList = 1 << 20  // bytes of a list of modes
)

var errVPK = errors.New("not a VPK package")

// vpkFile is a file in a package.
type vpkFile struct {
	name    string // its path, in lower case
	preload []byte // kept for lists of modes alone
	archive uint16
	offset  uint32
	size    uint32
}

// packageOf reads which maps and modes a package has.
func packageOf(root *os.Root, name string, file *os.File) (contents, error) {
	c := newContents()
	var list *vpkFile
	behind, err := readVPK(file, func(f vpkFile) {
		dir, base := path.Split(f.name)
		plain := strings.TrimSuffix(base, path.Ext(base))
		switch {
		case len(c.maps)+len(c.modes) >= maxEntries: // no such package is meant well
		case dir == "maps/" && path.Ext(base) == ".bsp":
			c.maps[plain] = true
		case dir == "modes/" && path.Ext(base) == ".txt":
			c.modes[plain] = true
		case f.name == "scripts/gamemodes.txt":
			list = &f
		}
	})
	if err != nil {
		return contents{}, err
	}
	if list != nil {
		for _, mode := range list.modes(root, name, file, behind) {
			c.modes[mode], c.listed = true, true
		}
	}
	return c, nil
}

// modes reads the list of modes, which may be in another file of the package. One
// that cannot be read has none.
func (f *vpkFile) modes(root *os.Root, name string, file *os.File, behind int64) []string {
	if f.size > maxList {
		return nil
	}
	from, at := file, behind+int64(f.offset)
	if f.archive != vpkHere && f.size > 0 {
		stem, ok := strings.CutSuffix(name, "_dir.vpk")
		if !ok {
			return nil
		}
		archive, _, err := open(root, fmt.Sprintf("%s_%03d.vpk", stem, f.archive))
		if err != nil {
			return nil
		}
		defer archive.Close()
		from, at = archive, int64(f.offset)
	}
	rest := io.NewSectionReader(from, at, int64(f.size))
	return parseModes(io.MultiReader(strings.NewReader(string(f.preload)), rest))
}

// readVPK reads the tree of a package, hands each file to visit, and says where
// the tree ends.
func readVPK(r io.Reader, visit func(vpkFile)) (behind int64, err error) {
	var header [3]uint32
	if err := binary.Read(r, binary.LittleEndian, header[:]); err != nil {
		return 0, err
	}
	size := int64(header[2])
	if header[0] != vpkSignature || size > maxTree {
		return 0, errVPK
	}
	behind = size + 12
	switch header[1] {
	case 1:
	case 2:
		if _, err := io.CopyN(io.Discard, r, 16); err != nil {
			return 0, err
		}
		behind += 16
	default:
		return 0, errVPK
	}
	t := tree{bufio.NewReader(io.LimitReader(r, size))}
	return behind, t.walk(visit)
}

// tree is what is left to read of a directory tree.
type tree struct{ *bufio.Reader }

func (t tree) walk(visit func(vpkFile)) error {
	return t.texts(func(extension string) error {
		return t.texts(func(dir string) error {
			return t.texts(func(base string) error {
				f, err := t.file(vpkName(dir, base, extension))
				if err == nil {
					visit(f)
				}
				return err
			})
		})
	})
}

// texts reads a list of texts and what each has behind it.
func (t tree) texts(each func(string) error) error {
	for {
		text, err := t.text()
		if err != nil || text == "" {
			return err
		}
		if err := each(text); err != nil {
			return err
		}
	}
}

func (t tree) text() (string, error) {
	var b []byte
	for len(b) <= maxText {
		c, err := t.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return "", io.ErrUnexpectedEOF
		case err != nil:
			return "", err
		case c == 0:
			return strings.ToLower(string(b)), nil
		}
		b = append(b, c)
	}
	return "", errVPK
}

func vpkName(dir, base, extension string) string {
	name := base
	if extension != " " {
		name += "." + extension
	}
	if dir != " " {
		name = dir + "/" + name
	}
	return name
}

// file reads what stands behind a file's name.
func (t tree) file(name string) (vpkFile, error) {
	var e struct {
		CRC          uint32
		Preload      uint16
		Archive      uint16
		Offset, Size uint32
		End          uint16
	}
	if err := binary.Read(t, binary.LittleEndian, &e); err != nil {
		return vpkFile{}, err
	}
	if e.End != vpkEnd {
		return vpkFile{}, errVPK
	}
	f := vpkFile{name: name, archive: e.Archive, offset: e.Offset, size: e.Size}
	if name == "scripts/gamemodes.txt" {
		f.preload = make([]byte, e.Preload)
		_, err := io.ReadFull(t, f.preload)
		return f, err
	}
	_, err := t.Discard(int(e.Preload))
	return f, err
}
