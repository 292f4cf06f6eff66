// Package vfstest cuts the power and breaks the disk at every step of a test.
//
// # Why
//
// What must hold after a crash must hold after a crash at any moment, and the
// moments that differ are those just before a change of the disk. So a test
// does its work once on a watched file system and looks at all the states a
// power cut could have left (Watch), or does it again and again with the next
// change failing (EveryFault).
package vfstest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// Cut is a state that a power cut could leave.
type Cut[N any] struct {
	FS   *vfs.Mem // what is found afterwards
	Note N        // what the test had noted at that moment
	Step string   // the change that did not happen any more, for messages
}

// Watcher collects power cuts while a test works on its FS.
type Watcher[N any] struct {
	mem     *vfs.Mem
	note    func() N
	perStep int
	rng     *rand.Rand

	mu   sync.Mutex // guards cuts and rng
	cuts []Cut[N]
}

// Watch prepares to cut the power of mem: perStep times, with different luck,
// before each change that is made through FS. note is called just before each
// cut and its result kept with it: typically a copy of what was acknowledged
// so far, which must then be found. It may be called from any goroutine.
func Watch[N any](mem *vfs.Mem, perStep int, note func() N) *Watcher[N] {
	return &Watcher[N]{mem: mem, note: note, perStep: perStep, rng: rand.New(rand.NewPCG(1, 2))}
}

// FS returns the file system to work on.
func (w *Watcher[N]) FS() vfs.FS {
	return vfs.WithFaults(w.mem, func(op vfs.Op, name string) error {
		if op.Changes() {
			w.cut(string(op) + " " + name)
		}
		return nil
	})
}

// Cuts returns all power cuts so far, and some at this moment.
func (w *Watcher[N]) Cuts() []Cut[N] {
	w.cut("end")
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cuts
}

func (w *Watcher[N]) cut(step string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	step = fmt.Sprintf("%d: %s", len(w.cuts)/w.perStep+1, step)
	note := w.note() // before the clone: what is noted then must be in it
	for range w.perStep {
		w.cuts = append(w.cuts, Cut[N]{FS: w.mem.CrashClone(w.rng), Note: note, Step: step})
	}
}

// Fault is the one error that a run of EveryFault meets.
type Fault struct {
	at  int
	err error

	mu    sync.Mutex // guards step and count
	step  string
	count int
}

// Hit tells whether the error was returned.
func (f *Fault) Hit() bool { return f.Step() != "" }

// Step describes the change that failed, for messages; "" when none has.
func (f *Fault) Step() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.step
}

func (f *Fault) inject(op vfs.Op, name string) error {
	if !op.Changes() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count++; f.count != f.at {
		return nil
	}
	f.step = fmt.Sprintf("%d: %s %s", f.at, op, name)
	return f.err
}

// maxFaults ends an EveryFault whose run never gets through.
const maxFaults = 10_000

// EveryFault calls run again and again, each time with an empty disk: first
// the first change made through fsys fails with err, then the second, and so
// on; in the last run none does. Only that one change fails; those after it
// work again. run may prepare mem before, and look at it after.
func EveryFault(t *testing.T, err error, run func(t *testing.T, mem *vfs.Mem, fsys vfs.FS, fault *Fault)) {
	t.Helper()
	for at := 1; at <= maxFaults; at++ {
		fault := &Fault{at: at, err: err}
		ok := t.Run(fmt.Sprintf("fault %d", at), func(t *testing.T) {
			mem := vfs.NewMem()
			run(t, mem, vfs.WithFaults(mem, fault.inject), fault)
			if t.Failed() {
				t.Logf("failing step %s", fault.Step())
			}
		})
		if !ok || !fault.Hit() {
			return
		}
	}
	t.Fatalf("still meeting faults after %d runs", maxFaults)
}
