package unitctl

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/left4med/left4med/internal/server"
)

// limitProperties are the properties of systemd.resource-control(5) that limits
// are made of. left4med sets all four or none: where one alone stands, an
// administrator has put it there.
func limitProperties() []string {
	return []string{"MemoryMax", "MemoryHigh", "CPUWeight", "AllowedCPUs"}
}

// SetLimits sets what a unit may take of the host, at once and for every start
// from now on, and answers whether it had to. Where the kernel's controllers are
// missing, systemd keeps the values and nothing enforces them. Without limits of a
// server's own nothing is set, and what an administrator set stays; limits that
// left4med had set get the unit's defaults.
//
// What systemd keeps is read first, so that asking again costs no more than that.
func (m *Manager) SetLimits(ctx context.Context, unit string, limits server.Limits) (changed bool, err error) {
	if err := checkUnit(unit); err != nil {
		return false, err
	}
	known := m.hasLimits(unit)
	if limits.IsDefault() && !known || known && m.limitsAre(unit, limits) {
		return false, nil
	}
	l, err := m.live()
	if err != nil {
		return false, err
	}
	const runtime = false
	return true, explain("set the limits of "+unit, l.setProperties(ctx, unit, runtime, limitValues(limits)))
}

// hasLimits says whether left4med has set the unit's limits.
func (m *Manager) hasLimits(unit string) bool {
	return !slices.ContainsFunc(limitProperties(), func(p string) bool { return !m.isSet(unit, p) })
}

// limitsAre says whether systemd keeps these limits for a unit.
func (m *Manager) limitsAre(unit string, want server.Limits) bool {
	last := func(property string) string {
		values := m.control(unit, property)
		if len(values) == 0 {
			return ""
		}
		return values[len(values)-1]
	}
	weight := ""
	if want.CPUWeight != 0 {
		weight = strconv.FormatUint(want.CPUWeight, 10)
	}
	cpus, err := server.ParseCPUs(strings.Join(m.control(unit, "AllowedCPUs"), " "))
	return last("MemoryMax") == strconv.FormatUint(want.Memory(), 10) &&
		last("MemoryHigh") == strconv.FormatUint(want.MemoryHigh(), 10) &&
		last("CPUWeight") == weight && err == nil && slices.Equal(cpus, want.CPUs)
}

// limitValues spell limits for SetUnitProperties.
func limitValues(l server.Limits) []property {
	weight := l.CPUWeight
	if weight == 0 {
		weight = math.MaxUint64 // CGROUP_WEIGHT_INVALID: none is set
	}
	return []property{
		{"MemoryMax", dbus.MakeVariant(l.Memory())},
		{"MemoryHigh", dbus.MakeVariant(l.MemoryHigh())},
		{"CPUWeight", dbus.MakeVariant(weight)},
		{"AllowedCPUs", dbus.MakeVariant(cpuMask(l.CPUs))},
	}
}

// cpuMask has a bit for each processor, the lowest of the first byte for 0. The
// empty mask takes back all that was set.
func cpuMask(cpus []int) []byte {
	mask := []byte{}
	for _, n := range cpus {
		for len(mask) <= n/8 {
			mask = append(mask, 0)
		}
		mask[n/8] |= 1 << (n % 8)
	}
	return mask
}
