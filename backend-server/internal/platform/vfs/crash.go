package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// CrashClone returns the file system as it may be found after a power cut at
// this moment; m goes on unharmed. What was synced is there (D1, D2). Of the
// rest chance decides: bytes after the last Sync are lost, kept, torn at a
// random byte, or torn and filled with zeros; of the edits of a directory
// after its last SyncDir any subset happened. It may be called while others
// write.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := crash{rng: rng, done: map[*node]*node{}}
	return &Mem{root: c.node(m.root), capacity: m.capacity}
}

type crash struct {
	rng  *rand.Rand
	done map[*node]*node // a node under two names stays one
}

func (c *crash) node(n *node) *node {
	if found, ok := c.done[n]; ok {
		return found
	}
	after := &node{}
	if n.isDir() {
		after = newDir()
	}
	c.done[n] = after
	if !n.isDir() {
		after.data = c.bytes(n)
		after.synced = after.data
		return after
	}
	entries := c.entries(n)
	for _, name := range slices.Sorted(maps.Keys(entries)) { // so that a seed repeats
		after.entries[name] = c.node(entries[name])
		after.durable[name] = after.entries[name]
	}
	return after
}

func (c *crash) entries(n *node) map[string]*node {
	entries := maps.Clone(n.durable)
	for _, e := range n.edits {
		if c.rng.IntN(2) == 0 {
			e.set(entries)
		}
	}
	return entries
}

func (c *crash) bytes(n *node) []byte {
	kept := len(n.synced)
	if n.emptied {
		if c.rng.IntN(2) == 0 {
			return slices.Clone(n.synced)
		}
		kept = 0
	}
	loose := len(n.data) - kept
	if loose == 0 {
		return slices.Clone(n.data)
	}
	switch c.rng.IntN(4) {
	case 0:
		return slices.Clone(n.data[:kept])
	case 1:
		return slices.Clone(n.data)
	case 2:
		return slices.Clone(n.data[:kept+c.rng.IntN(loose)])
	default:
		torn := slices.Clone(n.data)
		clear(torn[kept+c.rng.IntN(loose):])
		return torn
	}
}
