package main

import (
	"bufio"
	"strings"
	"unicode/utf8"
)

// cell is one field of a table. On a terminal its short text is shown, if it
// has one.
type cell struct {
	text  string
	short string
	style style
}

// table prints rows: aligned and coloured on a terminal, separated by tabs
// elsewhere.
func (a *app) table(header []string, rows [][]cell) error {
	w := bufio.NewWriter(a.stdout)
	if !isTerminal(a.stdout) {
		w.WriteString(strings.Join(header, "\t") + "\n")
		for _, row := range rows {
			fields := make([]string, len(row))
			for i, c := range row {
				fields[i] = strings.ReplaceAll(painter(false).text(plain, c.text), "\t", " ")
			}
			w.WriteString(strings.Join(fields, "\t") + "\n")
		}
		return w.Flush()
	}
	p := a.paint(a.stdout)
	titles := make([]cell, len(header))
	for i, h := range header {
		titles[i] = cell{text: h, style: bold}
	}
	rows = append([][]cell{titles}, rows...)
	widths := columnWidths(rows)
	for _, row := range rows {
		for i, c := range row {
			text := c.shown()
			w.WriteString(p.text(c.style, text))
			if i < len(row)-1 {
				w.WriteString(strings.Repeat(" ", widths[i]-length(text)+2))
			}
		}
		w.WriteByte('\n')
	}
	return w.Flush()
}

func (c cell) shown() string {
	if c.short != "" {
		return c.short
	}
	return c.text
}

func columnWidths(rows [][]cell) []int {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], length(c.shown()))
		}
	}
	return widths
}

// length is how many characters a text takes once it is made visible.
func length(text string) int { return utf8.RuneCountInString(painter(false).text(plain, text)) }
