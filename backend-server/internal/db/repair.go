package db

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// confirm makes sure, before what a crash has left of a head is removed, that
// its blocks hold what it held. They are read whole. What is in no sound block
// is taken from the log once more and written as blocks anew. Nothing of the
// head is in the bucket: its blocks are shipped only after it is gone (D2).
func (d *DB) confirm(ctx context.Context, id ulid.ULID, cut *cutRecord) error {
	if cut == nil {
		return nil
	}
	logged, err := wal.Exists(d.fs, d.headDir(id))
	if err != nil || !logged {
		return err
	}
	if cut.lost {
		d.opts.Logger.Error("the cut record of a head is damaged; what is in no block of it is taken from the log", "head", id)
		cut.Blocks = d.children(id)
	}
	var taken []profile.TimeRange
	var sound []ulid.ULID
	for _, listed := range cut.Blocks {
		b := d.mu.blocks.byID[listed]
		if b == nil {
			d.opts.Logger.Error("a block of a head is missing; what it held is taken from the log", "head", id, "block", listed)
			continue
		}
		err := d.verify(ctx, b)
		if err != nil && !fault.Is(err, fault.Corrupt) {
			return err
		}
		if err == nil {
			sound = append(sound, listed)
		} else if inBucket, err := d.leaveOutOpen(b, err); err != nil {
			return err
		} else if !inBucket {
			continue
		}
		taken = append(taken, b.TimeRange())
	}
	if len(sound) == len(cut.Blocks) && !cut.lost {
		return nil
	}
	slices.SortFunc(taken, func(a, b profile.TimeRange) int { return cmp.Compare(a.Start, b.Start) })
	if err := d.rewrite(ctx, id, sound, taken); err != nil {
		return fmt.Errorf("write blocks of head %s anew: %w", id, err)
	}
	return nil
}

// children returns the local blocks that name the head as their parent.
func (d *DB) children(head ulid.ULID) []ulid.ULID {
	var out []ulid.ULID
	for _, b := range d.mu.blocks.byStart {
		if b.Meta().Parent == head {
			out = append(out, b.Meta().ID)
		}
	}
	return out
}

// rewrite writes blocks of what the log of a head holds outside the ranges
// that are taken. They join those that are sound.
func (d *DB) rewrite(ctx context.Context, id ulid.ULID, sound []ulid.ULID, taken []profile.TimeRange) error {
	h, _, err := d.replay(ctx, id)
	if err != nil {
		return err
	}
	if err := d.makeBlocks(ctx, h, taken...); err != nil {
		return err
	}
	if err := d.writeCut(h.dir, append(sound, h.attempt...)); err != nil {
		return err
	}
	d.mu.blocks.add(h.blocks...)
	return nil
}

// leaveOutOpen sets a block aside that was opened and that nobody reads yet.
// When it returns, the block is gone for good.
func (d *DB) leaveOutOpen(b *localBlock, cause error) (shipped bool, err error) {
	id := b.Meta().ID
	shipped = d.forget(id)
	b.drop(nil)
	if err := d.moveAside(b.dir); err != nil {
		return shipped, err
	}
	d.reportAside(id, shipped, cause)
	return shipped, nil
}

// leaveOut sets a block aside that could not even be opened.
func (d *DB) leaveOut(id ulid.ULID, cause error) error {
	shipped, err := d.shippedAt(id)
	if err != nil {
		return err
	}
	if err := d.moveAside(d.blockDir(id)); err != nil {
		return err
	}
	d.reportAside(id, !shipped.IsZero(), cause)
	return nil
}
