package db

import (
	"context"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Append adds records and returns when they are on the disk. The result is nil
// or has an error for each record, nil for those that were added. A record
// that is there already is not added again, which is success. Where the budget
// has no room, nothing is added, and the errors are of kind Exhausted.
func (d *DB) Append(ctx context.Context, recs []profile.Record) []error {
	room := estimate(recs)
	if err := d.opts.Budget.reserve(ctx, &d.memory, room); err != nil {
		return all(err, len(recs))
	}
	defer d.account(room)
	return d.append(ctx, recs)
}

func all(err error, n int) []error { return slices.Repeat([]error{err}, n) }

func (d *DB) append(ctx context.Context, recs []profile.Record) []error {
	d.appending.RLock()
	defer d.appending.RUnlock()
	place, err := d.places(recs)
	if err != nil {
		return all(err, len(recs))
	}
	defer place.release()
	errs := make([]error, len(recs))
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

// places is where some profiles can be, at one moment.
type places struct {
	db     *DB
	active *openHead
	cut    []*openHead
	blocks []*localBlock // those of the profiles' times
}

func (d *DB) places(recs []profile.Record) (*places, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.mu.closed {
		return nil, errClosed
	}
	p := &places{db: d, active: d.mu.active, cut: slices.Clone(d.mu.cut)}
	for i := range recs {
		at := profile.TimeRange{Start: recs[i].Time, End: recs[i].Time}
		for b := range d.mu.blocks.overlapping(at) {
			if !slices.Contains(p.blocks, b) && b.acquire() {
				p.blocks = append(p.blocks, b)
			}
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
	if len(p.cut)+len(p.blocks) == 0 {
		return false, nil
	}
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
		found, err := b.Has(ctx, key)
		if err != nil && p.db.damaged(ctx, b, err) {
			continue // it is set aside, and must not keep others out
		}
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}
