package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits are what a game may take of the host. Zero values stand for the unit's
// own.
type Limits struct {
	MemoryMax uint64 // bytes; 0: DefaultMemoryMax
	CPUWeight uint64 // 1 to 10000; 0: systemd's, 100
	CPUs      []int  // the only ones it may run on, ascending; none: all
}

// DefaultMemoryMax is MemoryMax= of the unit, in bytes.
const DefaultMemoryMax = 2 << 30

// Bounds of limits. Below 256 MiB no game comes up.
const (
	MinMemoryMax = 256 << 20 // bytes
	maxCPUWeight = 10000
	maxCPU       = 8191 // the highest number that a kernel of Debian's gives
)

// Memory is MemoryMax= as it is in force, in bytes.
func (l Limits) Memory() uint64 {
	if l.MemoryMax == 0 {
		return DefaultMemoryMax
	}
	return l.MemoryMax
}

// MemoryHigh is where the kernel begins to slow the game down and to take memory
// back, in bytes: at three quarters of the limit, as in the unit.
func (l Limits) MemoryHigh() uint64 { return l.Memory() / 4 * 3 }

// IsDefault says whether nothing is set.
func (l Limits) IsDefault() bool { return l.MemoryMax == 0 && l.CPUWeight == 0 && len(l.CPUs) == 0 }

// Limits are those of valid settings.
func (c Config) Limits() Limits {
	cpus, _ := ParseCPUs(c.CPUs)
	return Limits{MemoryMax: c.MemoryMax, CPUWeight: c.CPUWeight, CPUs: cpus}
}

// SameLimits says whether c and d have the same limits.
func (c Config) SameLimits(d Config) bool {
	return c.MemoryMax == d.MemoryMax && c.CPUWeight == d.CPUWeight && c.CPUs == d.CPUs
}

// OnlyLimitsDiffer says whether c and d mean the same but for their limits, which
// apply at once: a start would bring nothing new.
func (c Config) OnlyLimitsDiffer(d Config) bool {
	d.MemoryMax, d.CPUWeight, d.CPUs = c.MemoryMax, c.CPUWeight, c.CPUs
	return c.Equal(d)
}

// ParseCPUs reads a list of processors as taskset(1) and systemd write it, such as
// "0-1,3", and returns their numbers, ascending. The empty list names none.
func ParseCPUs(list string) ([]int, error) {
	var cpus []int
	if list == "" {
		return nil, nil
	}
	for _, part := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		low, lowOK := cpuNumber(from)
		high, highOK := cpuNumber(to)
		if !lowOK || !highOK || low > high {
			return nil, fmt.Errorf("%s is no processor and no range of them", Quote(part, 20))
		}
		for n := low; n <= high; n++ {
			cpus = append(cpus, n)
		}
	}
	if len(cpus) == 0 {
		return nil, fmt.Errorf("%s names no processor", Quote(list, 20))
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

func cpuNumber(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && s[0] != '+' && s[0] != '-' && n <= maxCPU
}

// validateLimits checks what does not depend on the host.
func (c Config) validateLimits() error {
	if c.MemoryMax != 0 && c.MemoryMax < MinMemoryMax {
		return fieldError("config.memory_max", "a limit of %d bytes of memory is too low for a game: at least %d (256 MiB), or 0 for the default", c.MemoryMax, MinMemoryMax)
	}
	if c.CPUWeight > maxCPUWeight {
		return fieldError("config.cpu_weight", "the CPU weight %d is not possible: 1 to %d are, or 0 for the default, 100", c.CPUWeight, maxCPUWeight)
	}
	if len(c.CPUs) > maxValue || strings.Contains(c.CPUs, " ") {
		return fieldError("config.cpus", "%s is no list of processors: numbers and ranges with commas between, as 0-1,3", Quote(c.CPUs, 40))
	}
	if _, err := ParseCPUs(c.CPUs); err != nil {
		return fieldError("config.cpus", "%s is no list of processors, as 0-1,3: %v", Quote(c.CPUs, 40), err)
	}
	return nil
}

// Capacity is what the host has. Zero values are unknown.
type Capacity struct {
	Memory uint64 // bytes
	CPUs   []int  // online, ascending
}

// Check refuses limits that the host cannot keep. The error names the field.
func (h Capacity) Check(l Limits) error {
	if h.Memory != 0 && l.MemoryMax > h.Memory {
		return fieldError("config.memory_max", "a limit of %d bytes is more memory than this host has, which is %d", l.MemoryMax, h.Memory)
	}
	for _, cpu := range l.CPUs {
		if _, online := slices.BinarySearch(h.CPUs, cpu); len(h.CPUs) > 0 && !online {
			return fieldError("config.cpus", "this host has no processor %d; it has %s", cpu, SpellCPUs(h.CPUs))
		}
	}
	return nil
}

// SpellCPUs writes ascending numbers of processors as ParseCPUs reads them.
func SpellCPUs(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		last := i
		for last+1 < len(cpus) && cpus[last+1] == cpus[last]+1 {
			last++
		}
		part := strconv.Itoa(cpus[i])
		if last > i {
			part += "-" + strconv.Itoa(cpus[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	return strings.Join(parts, ",")
}
