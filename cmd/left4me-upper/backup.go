package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/left4med/left4med/internal/upper"
)

// pipeBuffer is how much is read or written at a time, in bytes.
const pipeBuffer = 256 << 10

// backup writes the archive of a layer to stdout, which systemd has opened: this
// process sees no archive but by that descriptor. What it says goes to stderr.
func backup(root, name string, stdout, stderr io.Writer) error {
	layer, err := os.OpenRoot(filepath.Join(root, "runtime", name, "upper"))
	if err != nil {
		return fmt.Errorf("cannot open the upper layer of %s: %w", name, err)
	}
	defer layer.Close()
	out := bufio.NewWriterSize(stdout, pipeBuffer)
	// The fastest: a game that runs is held up for as long as this takes.
	packed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	done, err := upper.Archive(layer, packed)
	if err == nil {
		err = packed.Close()
	}
	if err == nil {
		err = out.Flush()
	}
	report(stderr, "archived", name, done)
	return err
}

func verify(name string, stdin io.Reader, stdout io.Writer) error {
	packed, err := gzip.NewReader(bufio.NewReaderSize(stdin, pipeBuffer))
	if err != nil {
		return fmt.Errorf("the archive is damaged: %w", err)
	}
	done, err := upper.Verify(packed)
	report(stdout, "found whole", name, done)
	return err
}

// restore extracts an archive into a layer that root has made for it, or that an
// earlier restore which was cut short had begun to fill.
func restore(root, name string, owner upper.Owner, stdin io.Reader, stdout io.Writer) error {
	packed, err := gzip.NewReader(bufio.NewReaderSize(stdin, pipeBuffer))
	if err != nil {
		return fmt.Errorf("the archive is damaged: %w", err)
	}
	layer, err := os.OpenRoot(filepath.Join(root, "runtime", name, "upper"))
	if err != nil {
		return fmt.Errorf("cannot open the upper layer of %s: %w", name, err)
	}
	defer layer.Close()
	if _, err := upper.Clear(layer, owner); err != nil {
		return err
	}
	done, err := upper.Extract(packed, layer)
	report(stdout, "restored", name, done)
	return err
}

func report(to io.Writer, did, name string, done upper.Contents) {
	for _, line := range done.Skipped {
		fmt.Fprintln(to, line)
	}
	fmt.Fprintf(to, "upper layer of %s %s: %d entries, %d bytes in files\n", name, did, done.Entries, done.Bytes)
}
