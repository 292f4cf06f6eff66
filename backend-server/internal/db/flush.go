package db

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// MaybeFlush flushes if the head is old or large enough, or if its log has
// failed, or if heads are left from before. It reports whether it did.
func (d *DB) MaybeFlush(ctx context.Context, now time.Time) (bool, error) {
	d.mu.RLock()
	active, left, closed := d.mu.active, len(d.mu.cut), d.mu.closed
	d.mu.RUnlock()
	if closed {
		return false, nil
	}
	s := active.Stats()
	old := now.Sub(active.Created()) >= d.opts.MaxBlockDuration
	large := d.opts.HeadMaxBytes > 0 && s.Bytes >= d.opts.HeadMaxBytes
	if left == 0 && !d.broken.Load() && (active.Empty() || !old && !large) {
		return false, nil
	}
	return true, d.Flush(ctx)
}

// Flush makes blocks of everything in memory. Appending goes on meanwhile,
// into a new head. After a failure it can be called again.
func (d *DB) Flush(ctx context.Context) error {
	d.flushing.Lock()
	defer d.flushing.Unlock()
	if err := d.exchange(); err != nil {
		return err
	}
	d.mu.RLock()
	cut := slices.Clone(d.mu.cut)
	d.mu.RUnlock()
	for _, h := range cut {
		if err := d.flushHead(ctx, h); err != nil {
			return fmt.Errorf("flush head %s: %w", h.ID(), err)
		}
	}
	return nil
}

// exchange puts a new head in the place of the active one, which joins those
// being cut. An empty head is kept unless its log has failed.
func (d *DB) exchange() error {
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
	fresh, err := d.newHead()
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
	old.log = nil
	d.mu.active = fresh
	d.mu.cut = append(d.mu.cut, old)
	d.mu.Unlock()
	d.broken.Store(false)
	return nil
}

// cutRecord is what cutFile holds.
type cutRecord struct {
	Blocks []ulid.ULID `json:"blocks"`
}

func (d *DB) flushHead(ctx context.Context, h *openHead) error {
	start := time.Now()
	windows, err := d.windows(ctx, h)
	if err != nil {
		return err
	}
	metas, err := d.writeBlocks(ctx, h, windows)
	if err != nil {
		return err
	}
	record := cutRecord{Blocks: h.attempt}
	b, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("cut record: %w", err)
	}
	if err := vfs.WriteFileAtomic(d.fs, filepath.Join(h.dir, cutFile), b); err != nil {
		return fmt.Errorf("cut record: %w", err)
	}
	if err := d.adopt(h, record); err != nil {
		return err
	}
	if f := d.opts.Events.Flushed; f != nil {
		f(Flush{Head: h.ID(), Blocks: metas, Took: time.Since(start)})
	}
	return nil
}

// writeBlocks writes the blocks of a head, which nobody sees yet, after
// removing those of an attempt that failed. h.attempt then lists them, and all
// of it is on the disk for good.
func (d *DB) writeBlocks(ctx context.Context, h *openHead, windows []profile.TimeRange) ([]*block.Meta, error) {
	for _, id := range h.attempt {
		if err := d.fs.RemoveAll(d.blockDir(id)); err != nil {
			return nil, fmt.Errorf("block of an earlier attempt: %w", err)
		}
	}
	h.attempt = nil
	var metas []*block.Meta
	for _, w := range windows {
		id := ulid.MustNew(ulid.Timestamp(time.Now()), ulid.DefaultEntropy())
		h.attempt = append(h.attempt, id)
		meta, err := block.Write(ctx, d.fs, d.blockDir(id), id, h.Head, w)
		if err != nil {
			return nil, err
		}
		if meta == nil { // nothing to write, and nothing was
			h.attempt = h.attempt[:len(h.attempt)-1]
			continue
		}
		metas = append(metas, meta)
	}
	if err := d.fs.SyncDir(filepath.Join(d.dir, localDir)); err != nil {
		return nil, fmt.Errorf("blocks: %w", err)
	}
	return metas, nil
}

// windows returns the spans of the blocks that a head becomes: one for each
// stretch of the block duration, counted from the epoch, that has profiles.
func (d *DB) windows(ctx context.Context, h *openHead) ([]profile.TimeRange, error) {
	length := d.opts.MaxBlockDuration.Milliseconds()
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
			seen[floorDiv(int64(row.Time), length)] = struct{}{}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	out := make([]profile.TimeRange, 0, len(seen))
	for w := range seen {
		out = append(out, profile.TimeRange{Start: profile.UnixMilli(w * length), End: profile.UnixMilli(w*length + length - 1)})
	}
	slices.SortFunc(out, func(a, b profile.TimeRange) int { return int(a.Start/1000 - b.Start/1000) })
	return out, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// adopt shows a head's blocks instead of the head and removes the head.
func (d *DB) adopt(h *openHead, record cutRecord) error {
	blocks := map[ulid.ULID]*localBlock{}
	for _, id := range record.Blocks {
		b, err := d.openLocal(d.blockDir(id))
		if err != nil {
			return fmt.Errorf("block %s: %w", id, err)
		}
		blocks[id] = b
	}
	d.mu.Lock()
	for id, b := range blocks {
		d.mu.blocks[id] = b
	}
	d.mu.cut = slices.DeleteFunc(d.mu.cut, func(o *openHead) bool { return o == h })
	d.mu.Unlock()
	if err := d.removeHead(h.dir); err != nil {
		d.opts.Logger.Warn("removing a head failed; it is removed at the next start", "dir", h.dir, "err", err)
	}
	return nil
}

// removeHead removes a head's directory, the log before the cut record, so
// that a crash in between cannot bring the log back to life.
func (d *DB) removeHead(dir string) error {
	names, err := d.fs.List(dir)
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
