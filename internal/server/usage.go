package server

// Usage is what a unit takes of the host at one moment. What is nil the host
// does not account for.
type Usage struct {
	Memory *uint64 // bytes, with what the kernel keeps of files in memory for it
	CPU    *uint64 // ns of processor time since the unit's start
	Tasks  *uint64 // processes and threads
}
