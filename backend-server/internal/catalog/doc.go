// Package catalog is what the bucket says of a tenant's blocks beyond the
// blocks themselves: which take the place of which, which are on their way out,
// and an index that saves reading every meta file.
//
//	<tenant>/index.json.gz       the meta files of all blocks (Index)
//	<tenant>/marks/<ULID>.json   a block that will be removed (Mark)
//
// # Which blocks count
//
// A compactor writes blocks that take the place of others, its inputs. All are
// in the bucket for a while, and whoever lists it may see any part of them. So
// that a reader needs no agreement with anybody, each block says which inputs it
// stands for (block.Compaction), and a Set works out which of the blocks that
// somebody knows count:
//
//	K1  a block does not count if blocks that take its place are known, all
//	    shards of the job that made them;
//	K2  otherwise it counts. Profiles that are then in two blocks that count are
//	    dealt with like replicas, see package replica; so no order of events can
//	    lose or double anything.
//
// Marks say nothing to readers. They tell the compactor when a block may go:
//
//	K3  a block is marked only when the blocks that take its place are in the
//	    bucket, whole, and in the index; or when nothing of it is left;
//	K4  it is removed a while after it was marked, longer than any reader goes on
//	    without a new look at the bucket.
package catalog
