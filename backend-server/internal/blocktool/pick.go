package blocktool

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// AllTimes is the range that every profile lies in.
var AllTimes = profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}

// digestBytes bounds what a digester keeps for a second look, of which there is
// none.
const digestBytes = 1 << 20

// withUnits calls fn with units that hold each profile of the selection once:
// of the blocks of a tenant those that count (K1 of package catalog) and, of
// what several of them hold, the copy that was chosen.
func withUnits(ctx context.Context, p Place, tenant string, sel replica.Selection, fn func([]query.Queryable) error) error {
	blocks, err := counting(ctx, p, tenant, sel.Range)
	defer func() {
		for _, b := range blocks {
			_ = b.Close() // it was only read from
		}
	}()
	if err != nil {
		return err
	}
	units := make([]query.Queryable, len(blocks))
	for i, b := range blocks {
		units[i] = b
	}
	snapshot, err := replica.NewDigester(digestBytes).Take(ctx, units, sel)
	if err != nil {
		return err
	}
	choice := replica.NewChoice([][]replica.Unit{snapshot.Units()})
	if refs := choice.Ask(); refs != nil {
		rows, err := snapshot.Rows(ctx, refs[0])
		if err != nil {
			return err
		}
		choice.Tell([][][]replica.Row{rows})
	}
	picked, err := snapshot.Pick(choice.Picks()[0])
	if err != nil {
		return err
	}
	return fn(picked)
}

// counting opens those blocks of a tenant that count and overlap a range, by
// time. One that cannot be read is an error, since an answer would lack it; one
// without a meta file is none.
func counting(ctx context.Context, p Place, tenant string, r profile.TimeRange) ([]*block.Block, error) {
	ids, err := p.Blocks(ctx, tenant)
	if err != nil {
		return nil, err
	}
	metas := catalog.NewSet()
	for _, id := range ids {
		raw, err := p.Meta(ctx, tenant, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		var meta *block.Meta
		if err == nil {
			meta, err = block.ReadMeta(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("block %s: %w", id, err)
		}
		metas.Add(meta)
	}
	var out []*block.Block
	for _, meta := range metas.Counting() {
		if !meta.TimeRange().Overlaps(r) {
			continue
		}
		b, err := openMeta(ctx, p, tenant, meta)
		if err != nil {
			return out, err
		}
		out = append(out, b)
	}
	return out, nil
}

func openMeta(ctx context.Context, p Place, tenant string, meta *block.Meta) (*block.Block, error) {
	src, closeSource, err := p.Source(tenant, meta.ID)
	if err != nil {
		return nil, fmt.Errorf("block %s: %w", meta.ID, err)
	}
	b, err := block.Open(ctx, meta, src)
	if err != nil {
		return nil, errors.Join(err, closeSource())
	}
	b.OnClose(closeSource)
	return b, nil
}

// open opens a block by its ID. The caller must close it.
func open(ctx context.Context, p Place, tenant string, id ulid.ULID) (*block.Block, error) {
	raw, err := p.Meta(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	meta, err := block.ReadMeta(raw)
	if err != nil {
		return nil, err
	}
	return openMeta(ctx, p, tenant, meta)
}
