package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a number of bytes on the command line: as it is, or with K, M, G or
// T for powers of 1024, as systemd reads them.
type byteSize uint64

const sizeUnits = "KMGT"

// String implements pflag.Value.
func (b *byteSize) String() string { return strconv.FormatUint(uint64(*b), 10) }

// Type implements pflag.Value.
func (b *byteSize) Type() string { return "size" }

// Set implements pflag.Value.
func (b *byteSize) Set(s string) error {
	number, shift := s, 0
	if s != "" {
		if i := strings.IndexByte(sizeUnits, s[len(s)-1]); i >= 0 {
			number, shift = s[:len(s)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n > math.MaxUint64>>shift {
		return errors.New("a size is a whole number of bytes, or with K, M, G or T at its end, as 1500M")
	}
	*b = byteSize(n << shift)
	return nil
}

// shortSize is a number of bytes for people.
func shortSize(n uint64) string {
	const step = 1024
	if n < step {
		return strconv.FormatUint(n, 10) + " B"
	}
	value, unit := float64(n)/step, 0
	for value >= step && unit < len(sizeUnits)-1 {
		value, unit = value/step, unit+1
	}
	if value < 10 {
		return fmt.Sprintf("%.1f %ciB", value, sizeUnits[unit])
	}
	return fmt.Sprintf("%.0f %ciB", value, sizeUnits[unit])
}
