package compactor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// state is what a round knows of a tenant.
type state struct {
	tenant string
	set    *catalog.Set
	marks  map[ulid.ULID]catalog.Mark
	// partial are blocks without a meta file: their upload has not ended.
	partial []ulid.ULID
	// erased are blocks of which nothing was left lately.
	erased []catalog.Erased
	// cleared are the rules that were found to have no effect on a block.
	cleared map[ulid.ULID][]string
	// changed says that the set is not what the index has.
	changed bool
}

// metaReads is how many small objects are read at a time.
const metaReads = 16

// load learns what the bucket has of a tenant. A listing may lag: a block that
// only the index has is looked for by its name.
func (c *Compactor) load(ctx context.Context, tenantID string) (*state, error) {
	s := &state{tenant: tenantID, set: catalog.NewSet(), marks: map[ulid.ULID]catalog.Mark{}, cleared: map[ulid.ULID][]string{}}
	indexed := catalog.NewSet()
	switch idx, err := catalog.ReadIndex(ctx, c.deps.Bucket, tenantID); {
	case err == nil:
		indexed, s.erased = catalog.NewSet(idx.Blocks...), idx.Erased
		if idx.Cleared != nil {
			s.cleared = idx.Cleared
		}
	case fault.Is(err, fault.Corrupt):
		c.deps.Logger.Error("the index of a tenant cannot be read; it is made anew", "tenant", tenantID, "err", err)
	case !fault.Is(err, fault.NotFound):
		return nil, err
	}
	ids, err := bucket.Blocks(ctx, c.deps.Bucket, tenantID)
	if err != nil {
		return nil, err
	}
	var unknown []ulid.ULID
	listed := map[ulid.ULID]bool{}
	for _, id := range ids {
		listed[id] = true
		if m := indexed.Get(id); m != nil {
			s.set.Add(m)
		} else {
			unknown = append(unknown, id)
		}
	}
	for _, m := range indexed.All() {
		if !listed[m.ID] {
			unknown = append(unknown, m.ID)
		}
	}
	if err := c.readMetas(ctx, s, unknown, listed); err != nil {
		return nil, err
	}
	s.changed = s.set.Len() != indexed.Len()
	for _, m := range s.set.All() {
		s.changed = s.changed || indexed.Get(m.ID) == nil
	}
	return s, c.readMarks(ctx, s)
}

// readMetas reads the meta files of blocks that the index does not have, or the
// listing.
func (c *Compactor) readMetas(ctx context.Context, s *state, ids []ulid.ULID, listed map[ulid.ULID]bool) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(metaReads)
	for _, id := range ids {
		g.Go(func() error {
			raw, err := bucket.Meta(ctx, c.deps.Bucket, s.tenant, id)
			var m *block.Meta
			if err == nil {
				if m, err = block.ReadMeta(raw); err == nil && m.ID != id {
					err = fault.New(fault.Corrupt, "it names block %s", m.ID)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				s.set.Add(m)
			case fault.Is(err, fault.NotFound) && listed[id]:
				s.partial = append(s.partial, id)
			case fault.Is(err, fault.NotFound):
			case fault.Is(err, fault.Corrupt):
				c.metrics.damaged.Inc()
				c.deps.Logger.Error("block of the bucket left alone: its meta file is broken", "tenant", s.tenant, "block", id, "err", err)
			default:
				return err
			}
			return nil
		})
	}
	return g.Wait()
}

func (c *Compactor) readMarks(ctx context.Context, s *state) error {
	ids, err := catalog.Marked(ctx, c.deps.Bucket, s.tenant)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(metaReads)
	for _, id := range ids {
		g.Go(func() error {
			m, err := catalog.ReadMark(ctx, c.deps.Bucket, s.tenant, id)
			switch {
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				s.marks[id] = m
			case fault.Is(err, fault.NotFound), fault.Is(err, fault.Corrupt):
				c.deps.Logger.Warn("mark left out: it cannot be read, and is made anew if it is needed", "tenant", s.tenant, "block", id, "err", err)
			default:
				return err
			}
			return nil
		})
	}
	return g.Wait()
}

// settle brings the index up to date and marks the blocks whose place others
// have taken (O2).
func (c *Compactor) settle(ctx context.Context, s *state) error {
	if err := c.writeIndex(ctx, s); err != nil {
		return err
	}
	var marks []catalog.Mark
	for _, m := range s.set.All() {
		if s.set.Replaced(m.ID) {
			marks = append(marks, catalog.Mark{Block: m.ID, Reason: "other blocks have taken its place"})
		}
	}
	return c.mark(ctx, s, marks...)
}

// erasedFor is how long it is known of a block that nothing was left of it:
// longer than an ingester keeps one that is in the bucket.
const erasedFor = 14 * 24 * time.Hour

func (c *Compactor) writeIndex(ctx context.Context, s *state) error {
	if !s.changed {
		return nil
	}
	now := c.deps.Now().UTC()
	s.erased = slices.DeleteFunc(s.erased, func(e catalog.Erased) bool { return now.Sub(e.At) > erasedFor })
	maps.DeleteFunc(s.cleared, func(id ulid.ULID, _ []string) bool { return s.set.Get(id) == nil })
	idx := catalog.Index{Written: now, Blocks: s.set.All(), Erased: s.erased, Cleared: s.cleared}
	if err := catalog.WriteIndex(ctx, c.deps.Bucket, s.tenant, idx); err != nil {
		return err
	}
	s.changed = false
	return nil
}

// mark marks blocks, each once.
func (c *Compactor) mark(ctx context.Context, s *state, marks ...catalog.Mark) error {
	marks = slices.DeleteFunc(marks, func(m catalog.Mark) bool {
		_, marked := s.marks[m.Block]
		return marked
	})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(changes)
	for i := range marks {
		marks[i].At = c.deps.Now().UTC()
		g.Go(func() error { return catalog.WriteMark(ctx, c.deps.Bucket, s.tenant, marks[i]) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, m := range marks {
		s.marks[m.Block] = m
	}
	return nil
}
