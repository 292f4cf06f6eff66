package replica_test

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/merge"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// listed is what the bucket has, to somebody who has heard of all blocks, or who
// has missed some of those that compactors made. None are missed whose inputs
// are not there any more.
func (w *world) listed(all bool) *catalog.Set {
	out := catalog.NewSet()
	for _, b := range w.shipped {
		m := b.Meta()
		missed := !all && m.Compaction != nil && w.rng.IntN(3) == 0 &&
			!slices.ContainsFunc(w.made[m.Compaction.Job], func(id ulid.ULID) bool { return w.removed[id] })
		if !w.removed[m.ID] && !missed {
			out.Add(m)
		}
	}
	return out
}

func (w *world) blocks(metas []*block.Meta) []query.Queryable {
	out := make([]query.Queryable, len(metas))
	for i, m := range metas {
		out[i] = w.find(m.ID)
	}
	return out
}

// compact has a compactor make blocks of some of those that were shipped. It may
// be a second one, which has not heard of what the first has done.
func (w *world) compact(rules deletion.Rules) {
	inputs := w.inputs(w.listed(w.rng.IntN(4) > 0).Counting())
	if len(inputs) == 0 {
		return
	}
	job := ulid.Make()
	outputs := w.merge(job, rules.Over(w.blocks(inputs)), inputs, 1+w.rng.IntN(3))
	for _, m := range inputs {
		w.made[job] = append(w.made[job], m.ID)
		if len(outputs) == 0 {
			w.removed[m.ID] = true
		}
	}
	w.counts["compacted"] += len(inputs)
}

// inputs draws some blocks: all of some hours, as a compactor plans them, or any.
func (w *world) inputs(from []*block.Meta) []*block.Meta {
	kind := w.rng.IntN(4)
	if kind == 0 {
		return from
	}
	in := w.timeRange(w.rng)
	return slices.DeleteFunc(from, func(m *block.Meta) bool {
		if kind == 3 {
			return w.rng.IntN(2) == 0
		}
		return !in.Contains(m.MinTime)
	})
}

// merge makes the blocks of a job.
func (w *world) merge(job ulid.ULID, units []query.Queryable, inputs []*block.Meta, shards int) (out []query.Queryable) {
	ctx := context.Background()
	union, err := replica.NewDigester(0).Unite(ctx, units)
	require.NoError(w.t, err)
	in, err := merge.New(ctx, query.Origin{Source: job}, union.Units)
	require.NoError(w.t, err)
	var metas []*block.Meta
	for i := range shards {
		id := ulid.Make()
		m, err := block.WriteWith(ctx, w.bucket, filepath.Join("bucket", id.String()), id, in.Shard(i, shards), in.TimeRange(), block.Options{})
		require.NoError(w.t, err)
		if m != nil {
			metas = append(metas, m)
		}
	}
	for i, m := range metas {
		m.Compaction = &block.Compaction{Job: job, Inputs: catalog.Inputs(inputs), Level: 1, Shard: i, Shards: len(metas)}
		raw, err := m.Marshal()
		require.NoError(w.t, err)
		require.NoError(w.t, vfs.WriteFileAtomic(w.bucket, filepath.Join("bucket", m.ID.String(), block.MetaFile), raw))
		b := w.openShipped(m.ID.String())
		w.shipped = append(w.shipped, b)
		out = append(out, b)
	}
	again, err := replica.NewDigester(0).Unite(ctx, out)
	require.NoError(w.t, err)
	require.Equal(w.t, union.Version, again.Version, "what was written is what was chosen")
	return out
}

// clean removes blocks whose place others have taken.
func (w *world) clean() {
	set := w.listed(true)
	for _, m := range set.All() {
		if set.Replaced(m.ID) && w.rng.IntN(2) == 0 {
			w.removed[m.ID] = true
			w.counts["removed"]++
		}
	}
}

// gateway shows the bucket.
func (w *world) gateway(context.Context, string, profile.TimeRange) ([]query.Queryable, func(), error) {
	return w.blocks(w.listed(w.rng.IntN(2) == 0).Counting()), func() {}, nil
}

// settle has everything shipped, and all made one by compactors.
func (w *world) settle() {
	w.shipAll()
	w.compact(w.erasing())
	w.clean()
}

func (w *world) shipAll() {
	for _, n := range w.nodes {
		w.flush(n)
		for len(n.db.Unshipped()) > 0 {
			w.ship(n)
		}
	}
}

// erasing are the rules that compactors take data out for.
func (w *world) erasing() deletion.Rules {
	if w.erases {
		return w.rules
	}
	return nil
}
