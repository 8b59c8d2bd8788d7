package orchestrator

import (
	"sync"

	"github.com/left4med/left4med/internal/server"
)

// pendingReads are the units that appeared and of which nothing was heard yet.
type pendingReads struct {
	mu      sync.Mutex
	names   map[server.Name]bool
	waiting bool
}

// add remembers name and says whether the caller shall start the wait.
func (p *pendingReads) add(name server.Name) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil {
		p.names = map[server.Name]bool{}
	}
	p.names[name] = true
	first := !p.waiting
	p.waiting = true
	return first
}

func (p *pendingReads) done(name server.Name) {
	p.mu.Lock()
	delete(p.names, name)
	p.mu.Unlock()
}

// drain ends the wait and says how many were never heard of.
func (p *pendingReads) drain() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.names)
	clear(p.names)
	p.waiting = false
	return n
}
