package gamefiles

import (
	"bufio"
	"io"
	"os"
	"strings"
)

// listOf reads the game's list of modes, scripts/gamemodes.txt.
func listOf(_ *os.Root, _ string, file *os.File) (contents, error) {
	c := newContents()
	for _, mode := range parseModes(file) {
		c.modes[mode], c.listed = true, true
	}
	return c, nil
}

// parseModes reads a list of modes in the form of Valve's KeyValues: one key with
// a block, in which each key with a block of its own is a mode.
//
//	"gamemodes.txt"
//	{
//		"coop" // a comment
//		{
//			"maxplayers"	"4"
//		}
//	}
//
// What is broken ends the list.
func parseModes(r io.Reader) (modes []string) {
	words := bufio.NewReader(io.LimitReader(r, maxList))
	depth, last := 0, ""
	for {
		word, kind := nextWord(words)
		switch kind {
		case wordEnd:
			return modes
		case wordText:
			last = strings.ToLower(word)
		case wordOpen:
			if depth == 1 && last != "" {
				modes = append(modes, last)
			}
			depth, last = depth+1, ""
		case wordClose:
			depth, last = depth-1, ""
			if depth <= 0 {
				return modes
			}
		}
	}
}

type wordKind int

const (
	wordEnd wordKind = iota
	wordText
	wordOpen
	wordClose
)

// nextWord reads a key or a value, with or without quotation marks, or a brace.
// Comments and conditions, as [$WIN32], are passed over.
func nextWord(r *bufio.Reader) (string, wordKind) {
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return "", wordEnd
		case c <= ' ':
		case c == '{':
			return "", wordOpen
		case c == '}':
			return "", wordClose
		case c == '"':
			text, err := r.ReadString('"')
			if err != nil {
				return "", wordEnd
			}
			return text[:len(text)-1], wordText
		case c == '/' || c == '[':
			end := byte('\n')
			if c == '[' {
				end = ']'
			}
			if _, err := r.ReadString(end); err != nil {
				return "", wordEnd
			}
		default:
			return bareWord(r, c), wordText
		}
	}
}

// bareWord reads the rest of a word without quotation marks.
func bareWord(r *bufio.Reader, first byte) string {
	word := []byte{first}
	for {
		c, err := r.ReadByte()
		if err != nil {
			return string(word)
		}
		if c <= ' ' || strings.IndexByte(`{}"[`, c) >= 0 {
			r.UnreadByte()
			return string(word)
		}
		word = append(word, c)
	}
}
