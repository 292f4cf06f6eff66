package db

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// localBlock is a block of the local disk, counted by those who read it.
type localBlock struct {
	*block.Block
	dir string

	mu      sync.Mutex
	readers int
	dropped bool
	after   func() error // runs when the last reader has gone
	onError func(error)
}

// openLocal opens the block in dir.
func (d *DB) openLocal(dir string) (*localBlock, error) {
	raw, err := vfs.ReadFile(d.fs, filepath.Join(dir, block.MetaFile))
	if err != nil {
		return nil, fmt.Errorf("block meta: %w", err)
	}
	meta, err := block.ReadMeta(raw)
	if err != nil {
		return nil, err
	}
	f, err := d.fs.Open(filepath.Join(dir, block.DataFile))
	if err != nil {
		return nil, fmt.Errorf("block data: %w", err)
	}
	b, err := block.Open(nil, meta, block.FileSource{ReaderAt: io.ReaderAt(f)})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b.OnClose(f.Close)
	return &localBlock{Block: b, dir: dir, onError: func(err error) {
		d.opts.Logger.Error("closing a block failed", "block", meta.ID, "err", err)
	}}, nil
}

// acquire counts a reader in. It reports false if the block is on its way out.
func (b *localBlock) acquire() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dropped {
		return false
	}
	b.readers++
	return true
}

func (b *localBlock) release() {
	b.mu.Lock()
	b.readers--
	last := b.dropped && b.readers == 0
	b.mu.Unlock()
	if last {
		b.finish()
	}
}

// drop lets no new reader in and closes the block when the last one has gone;
// then after runs, if it is not nil.
func (b *localBlock) drop(after func() error) {
	b.mu.Lock()
	already := b.dropped
	b.dropped, b.after = true, after
	idle := b.readers == 0
	b.mu.Unlock()
	if idle && !already {
		b.finish()
	}
}

func (b *localBlock) finish() {
	err := b.Close()
	if b.after != nil {
		err = errors.Join(err, b.after())
	}
	if err != nil {
		b.onError(err)
	}
}

// LocalBlock is a block on the local disk.
type LocalBlock struct {
	ID   ulid.ULID
	Dir  string
	Meta block.Meta
}

// Unshipped returns the blocks that are not in the bucket yet, oldest first.
func (d *DB) Unshipped() []LocalBlock {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []LocalBlock
	for id, b := range d.mu.blocks {
		if !d.mu.shipped[id] {
			out = append(out, LocalBlock{ID: id, Dir: b.dir, Meta: *b.Meta()})
		}
	}
	slices.SortFunc(out, func(a, b LocalBlock) int { return a.ID.Compare(b.ID) })
	return out
}

// MarkShipped notes that the bucket has the block.
func (d *DB) MarkShipped(id ulid.ULID) error {
	if !d.hasBlock(id) {
		return fault.New(fault.NotFound, "block %s", id)
	}
	if err := vfs.WriteFileAtomic(d.fs, filepath.Join(d.blockDir(id), shippedFile), nil); err != nil {
		return fmt.Errorf("shipped mark: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.shipped[id] = true
	return nil
}

func (d *DB) hasBlock(id ulid.ULID) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, ok := d.mu.blocks[id]
	return ok
}

// DropLocal removes the local copy of a block that has been shipped. Views
// that show it go on reading it.
func (d *DB) DropLocal(id ulid.ULID) error {
	d.mu.Lock()
	b, ok := d.mu.blocks[id]
	shipped := d.mu.shipped[id]
	if ok && shipped {
		delete(d.mu.blocks, id)
		delete(d.mu.shipped, id)
	}
	d.mu.Unlock()
	if !ok {
		return fault.New(fault.NotFound, "block %s", id)
	}
	if !shipped {
		return fault.New(fault.Invalid, "block %s is not in the bucket yet", id)
	}
	// The meta file goes first: what is left after a crash is no block.
	b.drop(func() error {
		if err := d.fs.Remove(filepath.Join(b.dir, block.MetaFile)); err != nil {
			return fmt.Errorf("remove block: %w", err)
		}
		return d.fs.RemoveAll(b.dir)
	})
	return nil
}
