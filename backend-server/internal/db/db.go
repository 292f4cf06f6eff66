package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// DB is the profile database of one tenant. It is safe for concurrent use.
type DB struct {
	dir  string
	opts Options
	fs   vfs.FS

	// appending is held for reading while records are added and for writing
	// while the head is exchanged, so that no record goes to a head that has
	// been cut.
	appending sync.RWMutex
	// flushing is held by the one Flush that runs.
	flushing sync.Mutex
	// broken says that the active head's log has failed.
	broken atomic.Bool
	// source tells this database from all others, see query.Origin.
	source ulid.ULID
	// memory is this database's part of opts.Budget, which guards it.
	memory account

	mu struct {
		sync.RWMutex
		active *openHead
		cut    []*openHead // heads that are becoming blocks
		blocks blockSet
		// shipped says since when the bucket has a copy of a block.
		shipped map[ulid.ULID]time.Time
		// remains are heads that have become blocks and whose directories are
		// not removed yet (D2).
		remains map[ulid.ULID]struct{}
		closed  bool
	}
}

// openHead is a head with its log and directory.
type openHead struct {
	*head.Head
	log *wal.Log // nil once closed
	dir string
	// attempt are the blocks written for it by the last try to cut it, and
	// blocks the same once all are whole; nil before.
	attempt []ulid.ULID
	blocks  []*localBlock
	// unsure says that memory may hold profiles that the log does not.
	unsure bool
	// logged is the size of the log once it is closed.
	logged int64
}

// logBytes is the size of the head's log.
func (h *openHead) logBytes() int64 {
	if h.log != nil {
		return h.log.Size()
	}
	return h.logged
}

// Names under the database's directory.
const (
	headsDir    = "head"
	localDir    = "local"
	sourceFile  = "source"
	cutFile     = "cut.json"
	shippedFile = "shipped"
)

func (d *DB) headDir(id ulid.ULID) string  { return filepath.Join(d.dir, headsDir, id.String()) }
func (d *DB) blockDir(id ulid.ULID) string { return filepath.Join(d.dir, localDir, id.String()) }

// View is what a DB holds at one moment. It must be released.
type View struct {
	// Units hold every profile once. They are good until Release.
	Units []query.Queryable

	blocks []*localBlock
}

// View returns the heads, and the blocks that overlap r; a zero r stands for
// all times.
func (d *DB) View(r profile.TimeRange) *View {
	d.mu.RLock()
	defer d.mu.RUnlock()
	v := new(View)
	if d.mu.closed {
		return v
	}
	for _, h := range append(slices.Clone(d.mu.cut), d.mu.active) {
		if !h.Empty() {
			v.Units = append(v.Units, h.Head)
		}
	}
	if r == (profile.TimeRange{}) {
		r = profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}
	}
	for b := range d.mu.blocks.overlapping(r) {
		if b.acquire() {
			v.Units = append(v.Units, b)
			v.blocks = append(v.blocks, b)
		}
	}
	return v
}

// Release lets go of the view's blocks. It may be called once.
func (v *View) Release() {
	for _, b := range v.blocks {
		b.release()
	}
}

// HeadStats returns the sizes of what is in memory.
func (d *DB) HeadStats() HeadStats {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out HeadStats
	for _, h := range d.mu.cut {
		out.add(h)
	}
	out.Cut = out.Bytes
	if d.mu.active != nil {
		out.add(d.mu.active)
	}
	return out
}

func (s *HeadStats) add(h *openHead) {
	sizes := h.Stats()
	s.Bytes += sizes.Bytes
	s.Series += sizes.Series
	s.Profiles += sizes.Profiles
	s.LogBytes += h.logBytes()
	if !h.Empty() && (s.Oldest.IsZero() || h.Created().Before(s.Oldest)) {
		s.Oldest = h.Created()
	}
}

// account tells the budget what the heads hold, n bytes having been set aside
// for them before.
func (d *DB) account(n int64) {
	d.opts.Budget.settle(&d.memory, n, func() int64 {
		d.mu.RLock()
		defer d.mu.RUnlock()
		if d.mu.closed || d.mu.active == nil {
			return 0
		}
		sum := d.mu.active.Stats().Bytes
		for _, h := range d.mu.cut {
			sum += h.Stats().Bytes
		}
		return sum
	})
}

// Close closes files. It does not flush: the log has everything, and the next
// Open replays it.
func (d *DB) Close() error {
	d.appending.Lock()
	defer d.appending.Unlock()
	d.flushing.Lock()
	defer d.flushing.Unlock()
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		return nil
	}
	d.mu.closed = true
	d.mu.Unlock()
	d.account(0)
	d.mu.Lock()
	heads := append(slices.Clone(d.mu.cut), d.mu.active)
	blocks := slices.Clone(d.mu.blocks.byStart)
	d.mu.Unlock()
	var errs []error
	for _, h := range heads {
		if h.log != nil {
			errs = append(errs, h.log.Close())
		}
		blocks = append(blocks, h.blocks...)
	}
	for _, b := range blocks {
		b.drop(nil)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// newHead makes a head with a log, that goes on counting where others stopped.
func (d *DB) newHead(ctx context.Context, before ...*openHead) (*openHead, error) {
	id := ulid.MustNew(ulid.Timestamp(time.Now()), ulid.DefaultEntropy())
	h := &openHead{Head: head.New(id, nil), dir: d.headDir(id)}
	h.SetSource(d.source)
	if err := d.openLog(h); err != nil {
		return nil, err
	}
	if err := h.carry(ctx, before); err != nil {
		// What is in its log already does no harm, should it stay there.
		return nil, errors.Join(err, h.log.Close(), d.removeHead(h.dir))
	}
	return h, nil
}

// carry takes over what heads that are being cut know and no block will: the
// running totals that the next profiles are compared with.
func (h *openHead) carry(ctx context.Context, before []*openHead) error {
	for _, old := range before {
		if err := h.Carry(ctx, old.Head); err != nil {
			return fmt.Errorf("totals of head %s: %w", old.ID(), err)
		}
	}
	return nil
}

func (d *DB) openLog(h *openHead) (err error) {
	if err := vfs.MakeDir(d.fs, h.dir); err != nil {
		return fmt.Errorf("head directory: %w", err)
	}
	h.log, err = wal.Open(d.fs, h.dir, wal.Options{Sync: d.opts.WALSync, Events: d.opts.Events.WAL})
	if err != nil {
		return fmt.Errorf("head log: %w", err)
	}
	h.SetLog(h.log)
	return nil
}
