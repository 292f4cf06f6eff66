package compactor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// clean removes the marked blocks whose time has come. A mark without a block
// is what a removal has left that was cut off.
//
// The index goes first: a gateway that reads of a block in it that is gone would
// ask for it. A block that the index lacks is found again by its listing.
func (c *Compactor) clean(ctx context.Context, s *state) error {
	due, err := c.due(ctx, s)
	if err != nil {
		return err
	}
	there := map[ulid.ULID]bool{}
	for _, m := range due {
		if there[m.Block] = s.set.Get(m.Block) != nil; there[m.Block] {
			s.set.Remove(m.Block)
			s.changed = true
		}
	}
	if err := c.writeIndex(ctx, s); err != nil {
		return err
	}
	if err := c.remove(ctx, s, due, there); err != nil {
		return err
	}
	return c.cleanPartial(ctx, s)
}

// changes is how many blocks are marked or removed at a time: an object is
// written and deleted by a request of its own, and a round after a day was
// merged removes hundreds.
const changes = 8

// remove removes blocks and their marks. there says which are blocks, and not
// what another removal has left of them.
func (c *Compactor) remove(ctx context.Context, s *state, due []catalog.Mark, there map[ulid.ULID]bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(changes)
	for _, m := range due {
		g.Go(func() error {
			if err := bucket.Delete(ctx, c.deps.Bucket, s.tenant, m.Block); err != nil {
				return err
			}
			if there[m.Block] {
				c.metrics.removed.Inc()
				c.deps.Logger.Info("block removed", "tenant", s.tenant, "block", m.Block, "reason", m.Reason)
			}
			return catalog.RemoveMark(ctx, c.deps.Bucket, s.tenant, m.Block)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, m := range due {
		delete(s.marks, m.Block)
	}
	return nil
}

func (c *Compactor) unmark(ctx context.Context, s *state, id ulid.ULID) error {
	delete(s.marks, id)
	return catalog.RemoveMark(ctx, c.deps.Bucket, s.tenant, id)
}

// due returns the marks of blocks that are to be removed now. What a mark was
// made for is looked at once more, since nothing brings a block back (O6): much
// may have happened in -compactor.deletion-delay.
func (c *Compactor) due(ctx context.Context, s *state) ([]catalog.Mark, error) {
	var old []catalog.Mark
	for _, id := range slices.SortedFunc(maps.Keys(s.marks), ulid.ULID.Compare) {
		if m := s.marks[id]; c.deps.Now().Sub(m.At) >= c.cfg.DeletionDelay {
			old = append(old, m)
		}
	}
	if len(old) == 0 {
		return nil, nil
	}
	rules, err := c.rules(ctx, s) // a round may take hours
	if err != nil {
		return nil, fmt.Errorf("deletions: %w", err)
	}
	whole := map[ulid.ULID]error{}
	var due []catalog.Mark
	for _, m := range old {
		keep := c.keepErased
		if !m.Gone {
			keep = func(ctx context.Context, s *state, m catalog.Mark, _ Rules) (bool, error) {
				return c.keepReplaced(ctx, s, m, whole)
			}
		}
		kept, err := keep(ctx, s, m, rules)
		if err != nil {
			return nil, err
		}
		if !kept {
			due = append(due, m)
		}
	}
	return due, nil
}

// keepErased keeps a block of which nothing was left if a deletion was taken back
// since, or profiles are kept for longer.
func (c *Compactor) keepErased(ctx context.Context, s *state, m catalog.Mark, rules Rules) (bool, error) {
	b := s.set.Get(m.Block)
	if rules.inForce(m.Rules) || b != nil && (rules.gone(b) || b.Stats.Rows == 0) {
		return false, nil
	}
	c.deps.Logger.Warn("a block is kept: it was marked since all of it was deleted, and what deleted it is not in force any more", "tenant", s.tenant, "block", m.Block)
	s.erased = slices.DeleteFunc(s.erased, func(e catalog.Erased) bool { return e.Block == m.Block })
	s.changed = true
	return true, c.unmark(ctx, s, m.Block)
}

// keepReplaced keeps a block if those that have taken its place are missing, or
// not whole. whole has what is known of these.
func (c *Compactor) keepReplaced(ctx context.Context, s *state, m catalog.Mark, whole map[ulid.ULID]error) (bool, error) {
	others := s.set.Replacements(m.Block)
	if len(others) == 0 {
		c.deps.Logger.Error("a block is kept: it was marked since others had taken its place, and these are missing", "tenant", s.tenant, "block", m.Block)
		return true, c.unmark(ctx, s, m.Block)
	}
	for _, o := range others {
		err, known := whole[o.ID]
		if !known {
			err = c.verify(ctx, s, o)
			whole[o.ID] = err
		}
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Corrupt) {
			c.deps.Logger.Error("a block is kept: others have taken its place, and one of these is not whole", "tenant", s.tenant, "block", m.Block, "not_whole", o.ID, "err", err)
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// Some stores take a moment to show what was written.
const (
	lookAgain = 20 * time.Millisecond // doubled each time
	looks     = 6                     // two thirds of a second altogether
)

// verify looks whether a block is whole in the bucket.
func (c *Compactor) verify(ctx context.Context, s *state, m *block.Meta) error {
	for pause, n := lookAgain, 1; ; pause, n = 2*pause, n+1 {
		err := catalog.Verify(ctx, c.deps.Bucket, s.tenant, m)
		if !fault.Is(err, fault.NotFound) || n == looks {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// cleanPartial removes what is left of uploads that nobody has gone on with for
// long.
func (c *Compactor) cleanPartial(ctx context.Context, s *state) error {
	for _, id := range s.partial {
		newest, err := bucket.Newest(ctx, c.deps.Bucket, s.tenant, id)
		if err != nil {
			return err
		}
		if age := c.deps.Now().Sub(newest); age < c.cfg.PartialAfter {
			continue
		}
		// Somebody may have gone on with it since the round began, whatever the
		// clocks say.
		if _, err := bucket.Meta(ctx, c.deps.Bucket, s.tenant, id); !fault.Is(err, fault.NotFound) {
			if err != nil {
				return err
			}
			continue
		}
		if err := bucket.Delete(ctx, c.deps.Bucket, s.tenant, id); err != nil {
			return fmt.Errorf("upload that was given up: %w", err)
		}
		c.metrics.partial.Inc()
		c.deps.Logger.Info("what was left of an upload removed", "tenant", s.tenant, "block", id, "since", newest.UTC().Format(time.RFC3339))
	}
	return nil
}
