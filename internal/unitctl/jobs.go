package unitctl

import (
	"container/list"
	"sync"

	"github.com/godbus/dbus/v5"
)

// JobResult is how a job of systemd ended, in systemd's words. It is no proof
// of the unit's state: a Type=simple unit that dies at once ends "done".
type JobResult string

// The results that callers compare with; org.freedesktop.systemd1(5), JobRemoved,
// has all.
const (
	JobDone       JobResult = "done"
	JobCanceled   JobResult = "canceled" // replaced by another job, or cancelled
	JobTimeout    JobResult = "timeout"
	JobFailed     JobResult = "failed"
	JobDependency JobResult = "dependency" // a unit that it needs failed
	JobSkipped    JobResult = "skipped"
)

// jobs brings the results of jobs (JobRemoved) to those who wait for them.
//
// A job's path is known from the reply to StartUnit, but its JobRemoved may come
// before that reply. So results are kept while a call is in flight: those that
// came after the oldest such call began, and none when there is no such call.
type jobs struct {
	mu      sync.Mutex
	waiting map[dbus.ObjectPath][]chan JobResult
	calls   list.List // calls in flight, oldest first: the number of the first result each may need
	kept    []dbus.ObjectPath
	first   uint64 // number of kept[0]
	results map[dbus.ObjectPath]JobResult
}

// begin notes that a call that makes a job is about to be sent.
func (j *jobs) begin() *list.Element {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.calls.PushBack(j.first + uint64(len(j.kept)))
}

// end notes that the call failed.
func (j *jobs) end(call *list.Element) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forget(call)
}

// await turns a call into a wait for the job that it made. The channel gives
// the result once.
func (j *jobs) await(call *list.Element, job dbus.ObjectPath) <-chan JobResult {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.forget(call)
	done := make(chan JobResult, 1)
	if r, ok := j.results[job]; ok {
		done <- r
		return done
	}
	if j.waiting == nil {
		j.waiting = make(map[dbus.ObjectPath][]chan JobResult)
	}
	j.waiting[job] = append(j.waiting[job], done)
	return done
}

// abandon ends a wait whose result nobody wants any more.
func (j *jobs) abandon(job dbus.ObjectPath, done <-chan JobResult) {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := j.waiting[job]
	for i, w := range all {
		if w == done {
			j.waiting[job] = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	if len(j.waiting[job]) == 0 {
		delete(j.waiting, job)
	}
}

// finish takes in a JobRemoved. It is called by the reader and never waits.
func (j *jobs) finish(job dbus.ObjectPath, r JobResult) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range j.waiting[job] {
		w <- r // has room for one, and gets one
	}
	delete(j.waiting, job)
	if j.calls.Len() == 0 {
		return
	}
	if j.results == nil {
		j.results = make(map[dbus.ObjectPath]JobResult)
	}
	j.results[job] = r
	j.kept = append(j.kept, job)
}

// forget takes a call out and drops the results that no call needs any more.
func (j *jobs) forget(call *list.Element) {
	j.calls.Remove(call)
	if oldest := j.calls.Front(); oldest != nil {
		needed := oldest.Value.(uint64)
		for j.first < needed {
			delete(j.results, j.kept[0])
			j.kept = j.kept[1:]
			j.first++
		}
		return
	}
	j.first += uint64(len(j.kept))
	j.kept, j.results = nil, nil
}
