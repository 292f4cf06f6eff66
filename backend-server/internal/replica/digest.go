package replica

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Digester takes snapshots and remembers the digests of blocks, which do not
// change. It may be used by many goroutines.
type Digester struct {
	limit int64

	mu     sync.Mutex
	blocks map[blockKey]*blockDigests
	bytes  int64
}

// NewDigester returns a Digester that remembers no more than limit bytes.
func NewDigester(limit int64) *Digester {
	return &Digester{limit: limit, blocks: map[blockKey]*blockDigests{}}
}

// blockKey names a block as it is shown: what is deleted of it changes.
type blockKey struct {
	id       ulid.ULID
	revision uint64
}

// revised is implemented by units of which less is shown than they have (package
// deletion). As long as the revision is the same, so is what is shown.
type revised interface{ Revision() uint64 }

func keyOf(u *unit) blockKey {
	key := blockKey{id: u.Origin().ID}
	if r, ok := u.Queryable.(revised); ok {
		key.revision = r.Revision()
	}
	return key
}

// blockDigests are the digests of row series of a block, over all of its time.
type blockDigests struct{ byRows map[rowsKey][]digestedPart }

// Memory of what is remembered, about.
const (
	perBlock     = 128
	perRowSeries = 96
	perPart      = 56
)

// parts returns the digests of the row series that a unit selects.
func (d *Digester) parts(ctx context.Context, u *unit) ([]digestedPart, error) {
	keys := make([]rowsKey, 0, len(u.series))
	for _, s := range u.series {
		keys = append(keys, rowsKey{s.Partition, s.Rows})
	}
	keys = slices.Compact(keys) // series are sorted
	if parts, ok, err := stored(ctx, u, keys); ok || err != nil {
		return parts, err
	}
	has := u.TimeRange()
	if u.growing || u.in.Start > has.Start || u.in.End < has.End {
		return digest(ctx, u, keys, u.in)
	}
	key := keyOf(u)
	known, missing := d.known(key, keys)
	if len(missing) > 0 {
		fresh, err := digest(ctx, u, missing, u.in)
		if err != nil {
			return nil, err
		}
		d.remember(key, missing, fresh)
		known = append(known, fresh...)
		slices.SortFunc(known, digestedPart.compare)
	}
	return known, nil
}

func (p digestedPart) compare(o digestedPart) int {
	return cmp.Or(p.rowsKey.compare(o.rowsKey), cmp.Compare(p.window, o.window))
}

// known returns the digests that are remembered, sorted, and the row series of
// which none are.
func (d *Digester) known(block blockKey, keys []rowsKey) (known []digestedPart, missing []rowsKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.blocks[block]
	if b == nil {
		return nil, keys
	}
	known = make([]digestedPart, 0, len(keys))
	for _, key := range keys {
		if parts, ok := b.byRows[key]; ok {
			known = append(known, parts...)
		} else {
			missing = append(missing, key)
		}
	}
	return known, missing
}

// remember keeps the digests of row series. To make room, any others go.
func (d *Digester) remember(block blockKey, keys []rowsKey, parts []digestedPart) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.blocks[block]
	if b == nil {
		b = &blockDigests{byRows: map[rowsKey][]digestedPart{}}
		d.blocks[block] = b
		d.bytes += perBlock
	}
	for _, key := range keys {
		if _, ok := b.byRows[key]; ok {
			continue
		}
		from, _ := slices.BinarySearchFunc(parts, key, func(p digestedPart, k rowsKey) int { return p.rowsKey.compare(k) })
		to := from
		for to < len(parts) && parts[to].rowsKey == key {
			to++
		}
		b.byRows[key] = slices.Clone(parts[from:to])
		d.bytes += perRowSeries + int64(to-from)*perPart
	}
	for other, o := range d.blocks {
		if d.bytes <= d.limit {
			break
		}
		d.bytes -= o.size()
		delete(d.blocks, other)
	}
}

func (b *blockDigests) size() int64 {
	n := int64(perBlock)
	for _, parts := range b.byRows {
		n += perRowSeries + int64(len(parts))*perPart
	}
	return n
}

// digest reads the rows of row series in a range, without their samples. The
// result is sorted.
func digest(ctx context.Context, u *unit, keys []rowsKey, in profile.TimeRange) ([]digestedPart, error) {
	var requests []query.ScanRequest
	for _, key := range keys {
		if n := len(requests); n == 0 || requests[n-1].Partition != key.partition {
			requests = append(requests, query.ScanRequest{Partition: key.partition, Range: in, TotalsOnly: true, Since: true})
		}
		r := &requests[len(requests)-1]
		r.Rows = append(r.Rows, key.rows)
	}
	found := make([][]digestedPart, len(requests))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(query.AtOnce(u.Queryable))
	for i, req := range requests {
		g.Go(func() (err error) {
			found[i], err = digestPartition(ctx, u, req)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

func digestPartition(ctx context.Context, u *unit, req query.ScanRequest) ([]digestedPart, error) {
	sums := map[digestKey]*digestedPart{}
	var last *digestedPart
	var lastKey digestKey
	err := u.Queryable.Scan(ctx, req, func(row *query.Row) error {
		key := digestKey{rowsKey{req.Partition, row.Rows}, windowOf(row.Time)}
		if last == nil || key != lastKey {
			if last = sums[key]; last == nil {
				last = &digestedPart{rowsKey: key.rowsKey, window: key.window}
				sums[key] = last
			}
			lastKey = key
		}
		last.digest.add(row.ID, row.Total)
		last.reach.Merge(query.ReachOf(row.Time, row.Since))
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]digestedPart, 0, len(sums))
	for _, sum := range sums {
		out = append(out, *sum)
	}
	slices.SortFunc(out, digestedPart.compare)
	return out, nil
}

type digestKey struct {
	rowsKey
	window int64
}
