package cache

import (
	"container/list"
	"sync"
)

// Forgetter holds memory that it can do without.
type Forgetter interface {
	// MemoryBytes is about what it holds.
	MemoryBytes() int64
	// Forget lets go of it. It may be called while it is in use.
	Forget()
}

// Memory has those forget that were used the longest time ago, once all hold
// more than the limit. It may be used by many goroutines.
type Memory struct {
	limit int64 // 0: none

	mu struct {
		sync.Mutex
		order  *list.List // of *held, used last first
		known  map[Forgetter]*list.Element
		bytes  int64
		forgot int64
	}
}

type held struct {
	by    Forgetter
	bytes int64
}

// NewMemory returns a Memory with a limit; 0 is none.
func NewMemory(limit int64) *Memory {
	m := &Memory{limit: limit}
	m.mu.order, m.mu.known = list.New(), map[Forgetter]*list.Element{}
	return m
}

// Used notes that f has been used and may hold more than before.
func (m *Memory) Used(f Forgetter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.mu.known[f]
	if e == nil {
		e = m.mu.order.PushFront(&held{by: f})
		m.mu.known[f] = e
	}
	m.mu.order.MoveToFront(e)
	h := e.Value.(*held)
	now := f.MemoryBytes()
	m.mu.bytes += now - h.bytes
	h.bytes = now
	for m.limit > 0 && m.mu.bytes > m.limit && m.mu.order.Len() > 0 {
		last := m.mu.order.Back().Value.(*held)
		m.drop(last.by)
		last.by.Forget()
		m.mu.forgot++
	}
}

// Drop takes f off the list. What it holds does not count any more.
func (m *Memory) Drop(f Forgetter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(f)
}

// drop is Drop. The caller holds m.mu.
func (m *Memory) drop(f Forgetter) {
	if e := m.mu.known[f]; e != nil {
		m.mu.bytes -= m.mu.order.Remove(e).(*held).bytes
		delete(m.mu.known, f)
	}
}

// Bytes is what all hold, as of when each was used last.
func (m *Memory) Bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.bytes
}

// Forgot is how often one of them had to forget.
func (m *Memory) Forgot() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.forgot
}
