package vfs

import (
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory. It remembers which of its bytes and names
// were synced, so that CrashClone can lose the rest. Relative names and
// absolute ones start at the same root.
type Mem struct {
	mu       sync.Mutex // guards all below
	root     *node
	capacity int64 // of the volume in bytes; 0: no end
}

var _ FS = (*Mem)(nil)

// NewMem returns an empty file system: a root directory and nothing else.
func NewMem() *Mem { return &Mem{root: newDir()} }

// roomy is what a Mem without a capacity says its size is.
const roomy = 1 << 50

// SetCapacity gives the volume a size, or takes it away again if it is 0. A
// write that does not fit then fails with syscall.ENOSPC, after as much of it
// as does. Only the bytes of files count, and those of a file that was removed
// no more, even if it is open.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Space implements FS.
func (m *Mem) Space(name string) (Space, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find("space", name); err != nil {
		return Space{}, err
	}
	total := m.capacity
	if total == 0 {
		total = roomy
	}
	return Space{Total: total, Free: max(0, total-m.root.size())}, nil
}

// size is the bytes of all files below n.
func (n *node) size() int64 {
	sum := int64(len(n.data))
	for _, e := range n.entries {
		sum += e.size()
	}
	return sum
}

// node is a file or, when entries is not nil, a directory.
type node struct {
	// Of a file. Bytes of data are never changed in place, so synced may share
	// them: it is data as of the last Sync, and a prefix of data unless the
	// file was emptied since.
	data, synced []byte
	emptied      bool

	// Of a directory: what it holds, what it held at the last SyncDir, and the
	// edits that lead from the one to the other.
	entries, durable map[string]*node
	edits            []edit
}

// edit is one indivisible change of a directory.
type edit []change

// change sets a name; a nil node removes it.
type change struct {
	name string
	to   *node
}

func newDir() *node {
	return &node{entries: map[string]*node{}, durable: map[string]*node{}}
}

func (n *node) isDir() bool { return n.entries != nil }

func (n *node) apply(e edit) {
	e.set(n.entries)
	n.edits = append(n.edits, e)
}

func (e edit) set(entries map[string]*node) {
	for _, c := range e {
		if c.to == nil {
			delete(entries, c.name)
		} else {
			entries[c.name] = c.to
		}
	}
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("create", name)
	if err != nil {
		return nil, err
	}
	n := dir.entries[base]
	switch {
	case n == nil:
		n = &node{}
		dir.apply(edit{{base, n}})
	case n.isDir():
		return nil, pathError("create", name, syscall.EISDIR)
	default:
		n.data, n.emptied = nil, true
	}
	return &memFile{fs: m, node: n, name: name, writable: true}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.isDir() {
		return nil, pathError("open", name, syscall.EISDIR)
	}
	return &memFile{fs: m, node: n, name: name}, nil
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("rename", from)
	if err != nil {
		return err
	}
	fromDir, fromBase, err := m.parent("rename", from)
	if err != nil {
		return err
	}
	toDir, toBase, err := m.parent("rename", to)
	if err != nil {
		return err
	}
	switch old := toDir.entries[toBase]; {
	case old == n:
		return nil
	case old != nil && (old.isDir() || n.isDir()):
		return pathError("rename", to, fs.ErrExist)
	case fromDir == toDir:
		fromDir.apply(edit{{fromBase, nil}, {toBase, n}})
	default:
		toDir.apply(edit{{toBase, n}})
		fromDir.apply(edit{{fromBase, nil}})
	}
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("remove", name)
	if err != nil {
		return err
	}
	if len(n.entries) > 0 {
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	return m.unlink("remove", name)
}

// RemoveAll implements FS. A crash may leave any part of the tree.
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("remove", name)
	if err != nil {
		return ignoreMissing(err)
	}
	n.empty()
	return m.unlink("remove", name)
}

func (n *node) empty() {
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		n.entries[name].empty()
		n.apply(edit{{name, nil}})
	}
}

func (m *Mem) unlink(op, name string) error {
	dir, base, err := m.parent(op, name)
	if err != nil {
		return err
	}
	dir.apply(edit{{base, nil}})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, part := range split(name) {
		next := n.entries[part]
		if next == nil {
			next = newDir()
			n.apply(edit{{part, next}})
		}
		if !next.isDir() {
			return pathError("mkdir", name, syscall.ENOTDIR)
		}
		n = next
	}
	return nil
}

// List implements FS.
func (m *Mem) List(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findDir("list", name)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("stat", name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: int64(len(n.data)), Dir: n.isDir()}, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.findDir("sync", name)
	if err != nil {
		return err
	}
	n.durable, n.edits = maps.Clone(n.entries), nil
	return nil
}

// find returns the node of a name. Call it with mu held.
func (m *Mem) find(op, name string) (*node, error) {
	n := m.root
	for _, part := range split(name) {
		if !n.isDir() {
			return nil, pathError(op, name, syscall.ENOTDIR)
		}
		if n = n.entries[part]; n == nil {
			return nil, pathError(op, name, fs.ErrNotExist)
		}
	}
	return n, nil
}

func (m *Mem) findDir(op, name string) (*node, error) {
	n, err := m.find(op, name)
	if err == nil && !n.isDir() {
		err = pathError(op, name, syscall.ENOTDIR)
	}
	return n, err
}

// parent returns the directory a name is in, and the name there.
func (m *Mem) parent(op, name string) (*node, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", pathError(op, name, fs.ErrInvalid)
	}
	dir, err := m.findDir(op, filepath.Dir(filepath.Clean(name)))
	return dir, parts[len(parts)-1], err
}

func split(name string) []string {
	name = filepath.ToSlash(filepath.Clean(name))
	if name == "." {
		return nil
	}
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}
