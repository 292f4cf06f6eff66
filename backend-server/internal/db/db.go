package db

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
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

	mu struct {
		sync.RWMutex
		active  *openHead
		cut     []*openHead // heads that are becoming blocks
		blocks  map[ulid.ULID]*localBlock
		closed  bool
		shipped map[ulid.ULID]bool
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
}

// Names under the database's directory.
const (
	headsDir    = "head"
	localDir    = "local"
	cutFile     = "cut.json"
	shippedFile = "shipped"
)

func (d *DB) headDir(id ulid.ULID) string  { return filepath.Join(d.dir, headsDir, id.String()) }
func (d *DB) blockDir(id ulid.ULID) string { return filepath.Join(d.dir, localDir, id.String()) }

// Append adds records and returns when they are on the disk. The result is nil
// or has an error for each record, nil for those that were added. A record
// that is there already is not added again, which is success.
func (d *DB) Append(ctx context.Context, recs []profile.Record) []error {
	d.appending.RLock()
	defer d.appending.RUnlock()
	errs := make([]error, len(recs))
	place, err := d.places()
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	defer place.release()
	fresh, at := make([]*profile.Record, 0, len(recs)), make([]int, 0, len(recs))
	for i := range recs {
		known, err := place.has(ctx, &recs[i])
		if err != nil || known {
			errs[i] = err
			continue
		}
		fresh, at = append(fresh, &recs[i]), append(at, i)
	}
	for j, err := range place.active.Append(ctx, fresh) {
		errs[at[j]] = err
		if fault.Is(err, fault.Unavailable) {
			d.broken.Store(true)
		}
	}
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return errs
	}
	return nil
}

// places is where a profile can be, at one moment.
type places struct {
	active *openHead
	cut    []*openHead
	blocks []*localBlock
}

func (d *DB) places() (*places, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.mu.closed {
		return nil, errClosed
	}
	p := &places{active: d.mu.active, cut: slices.Clone(d.mu.cut)}
	for _, b := range d.mu.blocks {
		if b.acquire() {
			p.blocks = append(p.blocks, b)
		}
	}
	return p, nil
}

var errClosed = fault.New(fault.Unavailable, "the database is closed")

func (p *places) release() {
	for _, b := range p.blocks {
		b.release()
	}
}

// has reports whether the record is in a head being cut or in a block. Blocks
// of another time cannot have it.
func (p *places) has(ctx context.Context, rec *profile.Record) (bool, error) {
	key := head.Key(rec)
	for _, h := range p.cut {
		if !h.Has(rec.Labels.Get(profile.LabelServiceName), key) {
			continue
		}
		if h.unsure {
			return false, fault.New(fault.Unavailable, "this profile is being written anew after a failed write; send it again later")
		}
		return true, nil
	}
	for _, b := range p.blocks {
		if !b.TimeRange().Contains(rec.Time) {
			continue
		}
		if found, err := b.Has(ctx, key); err != nil || found {
			return found, err
		}
	}
	return false, nil
}

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
	for _, b := range d.mu.blocks {
		if r != (profile.TimeRange{}) && !b.TimeRange().Overlaps(r) || !b.acquire() {
			continue
		}
		v.Units = append(v.Units, b.Block)
		v.blocks = append(v.blocks, b)
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
	heads := append(slices.Clone(d.mu.cut), d.mu.active)
	d.mu.RUnlock()
	var out HeadStats
	for _, h := range heads {
		if h == nil {
			continue
		}
		s := h.Stats()
		out.Bytes += s.Bytes
		out.Series += s.Series
		out.Profiles += s.Profiles
		if !h.Empty() && (out.Oldest.IsZero() || h.Created().Before(out.Oldest)) {
			out.Oldest = h.Created()
		}
	}
	return out
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
	heads := append(slices.Clone(d.mu.cut), d.mu.active)
	blocks := slices.Collect(maps.Values(d.mu.blocks))
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

// newHead makes an empty head with a log.
func (d *DB) newHead() (*openHead, error) {
	id := ulid.MustNew(ulid.Timestamp(time.Now()), ulid.DefaultEntropy())
	h := &openHead{Head: head.New(id, nil), dir: d.headDir(id)}
	if err := d.openLog(h); err != nil {
		return nil, err
	}
	return h, nil
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
