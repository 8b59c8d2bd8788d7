package server

import "strings"

// Cure is the one command that mends a drift of these servers, or shows why
// there is one where only a person can decide; "" where there is none.
func (d Drift) Cure(names ...Name) string {
	switch d {
	case DriftMasked:
		units := make([]string, len(names))
		for i, n := range names {
			units[i] = n.Unit()
		}
		return "systemctl unmask " + strings.Join(units, " ")
	case DriftMissing:
		return "l4d2ctl initialize " + string(names[0])
	case DriftDown, DriftNotEnabled:
		return "l4d2ctl start " + Names(names)
	case DriftFlapping:
		return "l4d2ctl logs " + string(names[0])
	}
	return ""
}

// Names are names as they stand in a command.
func Names(names []Name) string {
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = string(n)
	}
	return strings.Join(words, " ")
}
