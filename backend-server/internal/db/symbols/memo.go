package symbols

import "sync"

// Memo is a place for what a reader has worked out from a Table and wants to
// find again as long as the table is in use. The views of a growing table share
// one, so what is kept there must say how much of the table it is about.
type Memo struct {
	mu sync.Mutex
	v  any
}

// Update replaces what is kept, nil at first, by what fn makes of it. One call
// is served at a time.
func (m *Memo) Update(fn func(kept any) any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.v = fn(m.v)
}
