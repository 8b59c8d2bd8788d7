// Command ask is package asker as a program: questions on standard input, answers
// on standard output. Its argument is how many are under way at once.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/left4med/left4med/test/asker"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "ask:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: ask AT-ONCE <QUESTIONS")
	}
	atOnce, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	return asker.Run(os.Stdin, os.Stdout, atOnce)
}
