package db

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// localBlock is a block of the local disk, counted by those who read it.
type localBlock struct {
	*block.Block
	db  *DB
	dir string

	mu      sync.Mutex
	readers int
	dropped bool
	after   func() error // runs when the last reader has gone

	suspicion suspicion
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
	return &localBlock{Block: b, db: d, dir: dir}, nil
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
	if !already {
		b.dropped, b.after = true, after
	}
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
		b.db.opts.Logger.Error("letting go of a block failed", "block", b.Meta().ID, "err", err)
	}
}

// LocalBlock is a block on the local disk.
type LocalBlock struct {
	ID   ulid.ULID
	Dir  string
	Meta block.Meta
	// Shipped is since when the bucket has a copy; zero if it has none.
	Shipped time.Time
}

// Unshipped returns the blocks that are not in the bucket yet, oldest first.
// Those whose head is not removed yet have to wait (D2).
func (d *DB) Unshipped() []LocalBlock {
	return d.list(func(b *localBlock) bool {
		_, waits := d.mu.remains[b.Meta().Parent]
		return !waits && d.mu.shipped[b.Meta().ID].IsZero()
	})
}

// Blocks returns the blocks on the local disk, oldest first.
func (d *DB) Blocks() []LocalBlock { return d.list(func(*localBlock) bool { return true }) }

// Droppable returns the blocks that DropLocal would remove, those with the
// oldest profiles first.
func (d *DB) Droppable(now time.Time) []LocalBlock {
	out := d.list(func(b *localBlock) bool { return d.keepReason(b, now) == nil })
	slices.SortStableFunc(out, func(a, b LocalBlock) int { return cmp.Compare(a.Meta.MaxTime, b.Meta.MaxTime) })
	return out
}

// list returns the blocks that want accepts, by ID.
func (d *DB) list(want func(*localBlock) bool) []LocalBlock {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []LocalBlock
	for id, b := range d.mu.blocks.byID {
		if want(b) {
			out = append(out, LocalBlock{ID: id, Dir: b.dir, Meta: *b.Meta(), Shipped: d.mu.shipped[id]})
		}
	}
	slices.SortFunc(out, func(a, b LocalBlock) int { return a.ID.Compare(b.ID) })
	return out
}

// MarkShipped notes that the bucket has the block since now.
func (d *DB) MarkShipped(id ulid.ULID, now time.Time) error {
	d.mu.RLock()
	_, there := d.mu.blocks.byID[id]
	d.mu.RUnlock()
	if !there {
		return fault.New(fault.NotFound, "block %s", id)
	}
	text := []byte(now.UTC().Format(time.RFC3339))
	if err := vfs.WriteFileAtomic(d.fs, filepath.Join(d.blockDir(id), shippedFile), text); err != nil {
		return fmt.Errorf("shipped mark: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.shipped[id] = now
	return nil
}

// shippedAt reads the mark of MarkShipped. A mark that tells no time is as old
// as the block.
func (d *DB) shippedAt(id ulid.ULID) (time.Time, error) {
	raw, err := vfs.ReadFile(d.fs, filepath.Join(d.blockDir(id), shippedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("shipped mark of block %s: %w", id, err)
	}
	at, err := time.Parse(time.RFC3339, string(raw))
	if err != nil {
		return ulid.Time(id.Time()), nil
	}
	return at, nil
}

const (
	// retryMargin is what a retry may come later than the window allows: it may
	// have been let in just before the window closed, and clocks differ.
	retryMargin = 10 * time.Minute
	// openWindow is how long a block stays where profiles of any age are taken.
	openWindow = time.Hour
)

// keepReason tells why a block must not be dropped yet, or nil. The caller
// holds d.mu.
func (d *DB) keepReason(b *localBlock, now time.Time) error {
	meta := b.Meta()
	if d.mu.shipped[meta.ID].IsZero() {
		return fault.New(fault.Invalid, "block %s is not in the bucket yet", meta.ID)
	}
	last := time.UnixMilli(int64(meta.MaxTime))
	window := d.opts.RetryWindow
	if window <= 0 {
		last, window = ulid.Time(meta.ID.Time()), openWindow
	}
	if until := last.Add(window + retryMargin); !now.After(until) {
		return fault.New(fault.Invalid, "block %s is needed until %s: what it holds may be sent again", meta.ID, until.UTC().Format(time.RFC3339))
	}
	return nil
}

// DropLocal removes the local copy of a block that has been shipped and that
// no retry can refer to any more (D3). Views that show it go on reading it.
func (d *DB) DropLocal(id ulid.ULID, now time.Time) error {
	d.mu.Lock()
	b, ok := d.mu.blocks.byID[id]
	if !ok {
		d.mu.Unlock()
		return fault.New(fault.NotFound, "block %s", id)
	}
	if err := d.keepReason(b, now); err != nil {
		d.mu.Unlock()
		return err
	}
	d.forget(id)
	d.mu.Unlock()
	// The meta file goes first: what is left after a crash is no block.
	b.drop(func() error {
		if err := d.fs.Remove(filepath.Join(b.dir, block.MetaFile)); err != nil {
			return fmt.Errorf("remove block: %w", err)
		}
		return d.fs.RemoveAll(b.dir)
	})
	return nil
}
