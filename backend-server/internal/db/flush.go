package db

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Due reports whether there is something to flush: the head is old, or large
// for one tenant, or its log has failed, or heads are left from before.
func (d *DB) Due(now time.Time) bool {
	due, left := d.due(now)
	return due || left
}

// due reports whether the active head is to be cut, and whether heads or what
// remains of them wait.
func (d *DB) due(now time.Time) (due, left bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.mu.closed {
		return false, false
	}
	active := d.mu.active
	old := now.Sub(active.Created()) >= d.opts.MaxBlockDuration
	large := Pressed(active.Stats().Bytes, d.opts.Budget.Limits().TenantBytes)
	return d.broken.Load() || !active.Empty() && (old || large), len(d.mu.cut)+len(d.mu.remains) > 0
}

// MaybeFlush flushes if that is Due. It reports whether it was.
func (d *DB) MaybeFlush(ctx context.Context, now time.Time) (bool, error) {
	due, left := d.due(now)
	if !due && !left {
		return false, nil
	}
	return true, d.flush(ctx, due)
}

// Flush makes blocks of everything in memory. Appending goes on meanwhile,
// into a new head. After a failure it can be called again.
func (d *DB) Flush(ctx context.Context) error { return d.flush(ctx, true) }

// flush makes blocks of the heads being cut, and of the active one if cutActive
// says so. A head that cannot become blocks does not keep the others from it.
func (d *DB) flush(ctx context.Context, cutActive bool) error {
	d.flushing.Lock()
	defer d.flushing.Unlock()
	if cutActive {
		if err := d.exchange(ctx); err != nil {
			return err
		}
	}
	d.mu.RLock()
	cut, closed := slices.Clone(d.mu.cut), d.mu.closed
	d.mu.RUnlock()
	if closed {
		return errClosed
	}
	errs := []error{d.sweep()}
	for _, h := range cut {
		if err := d.flushHead(ctx, h); err != nil {
			errs = append(errs, fmt.Errorf("flush head %s: %w", h.ID(), err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// exchange puts a new head in the place of the active one, which joins those
// being cut. An empty head is kept unless its log has failed.
func (d *DB) exchange(ctx context.Context) error {
	d.appending.Lock()
	defer d.appending.Unlock()
	d.mu.RLock()
	old, closed := d.mu.active, d.mu.closed
	d.mu.RUnlock()
	if closed {
		return errClosed
	}
	broken := d.broken.Load()
	if old.Empty() && !broken {
		return nil
	}
	// What the new head is told of the old one must not outlive it. If the old
	// log has failed, that shows when it is closed.
	_ = old.log.Wait(ctx, old.log.Last())
	fresh, err := d.newHead(ctx, old)
	if err != nil {
		return err
	}
	if err := old.log.Close(); err != nil {
		// Some of what is in memory was never acknowledged; the blocks made
		// from it will hold it all the same, which a retry then finds.
		d.opts.Logger.Warn("closing a log failed", "head", old.ID(), "err", err)
		old.unsure = true
	}
	d.mu.Lock()
	old.logged, old.log = old.log.Size(), nil
	d.mu.active = fresh
	d.mu.cut = append(d.mu.cut, old)
	d.mu.Unlock()
	old.Seal()
	d.broken.Store(false)
	return nil
}

// cutRecord is what cutFile holds.
type cutRecord struct {
	Blocks []ulid.ULID `json:"blocks"`
	lost   bool        // there is one, and it cannot be read
}

func (d *DB) writeCut(headDir string, blocks []ulid.ULID) error {
	b, err := json.Marshal(cutRecord{Blocks: append([]ulid.ULID{}, blocks...)})
	if err == nil {
		err = vfs.WriteFileAtomic(d.fs, filepath.Join(headDir, cutFile), b)
	}
	if err != nil {
		return fmt.Errorf("cut record: %w", err)
	}
	return nil
}

// flushHead makes blocks of a head and puts them in its place. Once the blocks
// are whole they are never written anew: a cut record that seemed to fail may
// be on the disk all the same, and then they are all there is.
func (d *DB) flushHead(ctx context.Context, h *openHead) error {
	start := time.Now()
	if h.blocks == nil {
		if err := d.makeBlocks(ctx, h); err != nil {
			return err
		}
	}
	if err := d.writeCut(h.dir, h.attempt); err != nil {
		return err
	}
	d.adopt(h)
	if f := d.opts.Events.Flushed; f != nil {
		metas := make([]*block.Meta, len(h.blocks))
		for i, b := range h.blocks {
			metas[i] = b.Meta()
		}
		f(Flush{Head: h.ID(), Blocks: metas, Took: time.Since(start)})
	}
	return nil
}

// makeBlocks writes the blocks of a head, after removing those of an attempt
// that failed, opens them and reads them back whole: once they are in the
// head's place, nothing else has what they hold. Nobody sees them yet. What
// lies in taken has its blocks already.
func (d *DB) makeBlocks(ctx context.Context, h *openHead, taken ...profile.TimeRange) error {
	windows, err := d.windows(ctx, h, taken)
	if err != nil {
		return err
	}
	if err := d.writeBlocks(ctx, h, windows); err != nil {
		return err
	}
	blocks := make([]*localBlock, 0, len(h.attempt))
	for _, id := range h.attempt {
		b, err := d.openLocal(d.blockDir(id))
		if err == nil {
			blocks = append(blocks, b)
			err = d.verify(ctx, b)
		}
		if err != nil {
			for _, b := range blocks {
				b.drop(nil)
			}
			return fmt.Errorf("block %s: %w", id, err)
		}
	}
	h.blocks = blocks
	return nil
}

// writeBlocks writes the blocks of a head. h.attempt then lists them, and all
// of it is on the disk for good.
func (d *DB) writeBlocks(ctx context.Context, h *openHead, windows []profile.TimeRange) error {
	for _, id := range h.attempt {
		if err := d.fs.RemoveAll(d.blockDir(id)); err != nil {
			return fmt.Errorf("block of an earlier attempt: %w", err)
		}
	}
	h.attempt = nil
	for _, w := range windows {
		id := ulid.MustNew(ulid.Timestamp(time.Now()), ulid.DefaultEntropy())
		h.attempt = append(h.attempt, id)
		meta, err := block.WriteWith(ctx, d.fs, d.blockDir(id), id, h.Head, w, block.Options{Compression: d.opts.BlockCompression})
		if err != nil {
			return err
		}
		if meta == nil { // nothing to write, and nothing was
			h.attempt = h.attempt[:len(h.attempt)-1]
		}
	}
	if err := d.fs.SyncDir(filepath.Join(d.dir, localDir)); err != nil {
		return fmt.Errorf("blocks: %w", err)
	}
	return nil
}

// windows returns the spans of the blocks that a head becomes: one for each
// stretch of the block duration, counted from the epoch, that has profiles
// outside the ranges that are taken.
func (d *DB) windows(ctx context.Context, h *openHead, taken []profile.TimeRange) ([]profile.TimeRange, error) {
	length := max(1, d.opts.MaxBlockDuration.Milliseconds())
	series, err := h.Select(ctx)
	if err != nil {
		return nil, err
	}
	byPartition := map[uint32][]uint32{}
	for _, s := range series {
		byPartition[s.Partition] = append(byPartition[s.Partition], s.Rows)
	}
	seen := map[int64]struct{}{}
	for p, rows := range byPartition {
		slices.Sort(rows)
		req := query.ScanRequest{Partition: p, Rows: slices.Compact(rows), Range: h.TimeRange(), TotalsOnly: true}
		err := h.Scan(ctx, req, func(row *query.Row) error {
			if !slices.ContainsFunc(taken, func(r profile.TimeRange) bool { return r.Contains(row.Time) }) {
				seen[floorDiv(int64(row.Time), length)] = struct{}{}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	out := make([]profile.TimeRange, 0, len(seen))
	for w := range seen {
		out = append(out, gaps(window(w, length), taken)...)
	}
	slices.SortFunc(out, func(a, b profile.TimeRange) int { return cmp.Compare(a.Start, b.Start) })
	return out, nil
}

// window is stretch number w of the given length. The first and the last that
// there can be are shorter.
func window(w, length int64) profile.TimeRange {
	r := profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}
	if w > floorDiv(math.MinInt64, length) {
		r.Start = profile.UnixMilli(w * length)
	}
	if w < floorDiv(math.MaxInt64, length) {
		r.End = profile.UnixMilli((w+1)*length - 1)
	}
	return r
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// adopt shows a head's blocks instead of the head and removes the head.
func (d *DB) adopt(h *openHead) {
	d.mu.Lock()
	d.mu.remains[h.ID()] = struct{}{}
	d.mu.blocks.add(h.blocks...)
	d.mu.cut = slices.DeleteFunc(d.mu.cut, func(o *openHead) bool { return o == h })
	d.mu.Unlock()
	d.account(0)
	if err := d.sweep(); err != nil {
		d.opts.Logger.Warn("removing a head failed; it is tried again, and its blocks are not shipped before", "err", err)
	}
}

// sweep removes the directories of heads that have become blocks.
func (d *DB) sweep() error {
	d.mu.RLock()
	ids := slices.Collect(maps.Keys(d.mu.remains))
	d.mu.RUnlock()
	var errs []error
	for _, id := range ids {
		if err := d.removeHead(d.headDir(id)); err != nil {
			errs = append(errs, fmt.Errorf("remove head %s: %w", id, err))
			continue
		}
		d.mu.Lock()
		delete(d.mu.remains, id)
		d.mu.Unlock()
	}
	return errors.Join(errs...)
}

// removeHead removes a head's directory, the log before the cut record, so
// that a crash in between cannot bring the log back to life.
func (d *DB) removeHead(dir string) error {
	names, err := d.fs.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return d.fs.SyncDir(filepath.Join(d.dir, headsDir)) // an earlier try came as far as this
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == cutFile {
			continue
		}
		if err := d.fs.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := d.fs.SyncDir(dir); err != nil {
		return err
	}
	if err := d.fs.RemoveAll(dir); err != nil {
		return err
	}
	return d.fs.SyncDir(filepath.Join(d.dir, headsDir))
}
