// Package measure is what the benchmarks do inside a machine, beside PID 1 and
// left4med and on one clock: nothing of what is measured crosses the machine's
// border, and nobody's nsenter or proxy is in the figures. The command in
// ../probe runs it there and prints the results as JSON.
package measure
