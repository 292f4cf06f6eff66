package compactor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// task is blocks to be made one.
type task struct {
	blocks []*block.Meta
	why    string
}

// size is the size of its blocks.
func (t *task) size() (n int64) {
	for _, m := range t.blocks {
		n += m.Size()
	}
	return n
}

// A large block is not rewritten for the sake of little that came late, unless
// it has waited for long.
const (
	lateShare = 8 // an eighth of the large one is not little
	lateWait  = 6 * time.Hour
)

// lot is the blocks that one job has made, or a block that was cut from a head.
type lot struct {
	blocks  []*block.Meta
	size    int64
	created time.Time
	start   profile.UnixMilli
}

// plan says which blocks to merge, of those that count. Every block is in one
// task at most. The longest range that is over and has blocks to merge decides,
// so that what lies about for a day is rewritten once; if that would be more than
// limit bytes, 0 for any, a shorter one does.
func plan(blocks []*block.Meta, ranges []int64, after time.Duration, limit int64, now time.Time) []task {
	lots := lotsOf(blocks)
	var out []task
	for i := len(ranges) - 1; i >= 0; i-- {
		length := ranges[i]
		byWindow := map[int64][]*lot{}
		for _, l := range lots {
			w := floor(int64(l.start), length)
			if time.UnixMilli(w + length).Add(after).After(now) {
				continue
			}
			byWindow[w] = append(byWindow[w], l)
		}
		for _, w := range slices.Sorted(maps.Keys(byWindow)) {
			chosen := worthwhile(byWindow[w], now)
			if len(chosen) < 2 {
				continue
			}
			t := task{why: fmt.Sprintf("%s from %s", time.Duration(length)*time.Millisecond, time.UnixMilli(w).UTC().Format(time.RFC3339))}
			for _, l := range chosen {
				t.blocks = append(t.blocks, l.blocks...)
			}
			if limit > 0 && t.size() > limit {
				continue
			}
			out = append(out, t)
			lots = slices.DeleteFunc(lots, func(l *lot) bool { return slices.Contains(chosen, l) })
		}
	}
	slices.SortStableFunc(out, func(a, b task) int { return cmp.Compare(a.blocks[0].MinTime, b.blocks[0].MinTime) })
	return out
}

// lotsOf groups blocks by the job that made them.
func lotsOf(blocks []*block.Meta) []*lot {
	var out []*lot
	byJob := map[ulid.ULID]*lot{}
	for _, m := range blocks {
		var l *lot
		if c := m.Compaction; c != nil {
			l = byJob[c.Job]
		}
		if l == nil {
			l = &lot{start: m.MinTime, created: m.ID.Timestamp()}
			out = append(out, l)
			if c := m.Compaction; c != nil {
				byJob[c.Job] = l
			}
		}
		l.blocks, l.size, l.start = append(l.blocks, m), l.size+m.Size(), min(l.start, m.MinTime)
	}
	return out
}

// worthwhile leaves out the largest lot if the others have little to add.
func worthwhile(lots []*lot, now time.Time) []*lot {
	largest := slices.MaxFunc(lots, func(a, b *lot) int { return cmp.Compare(a.size, b.size) })
	rest, oldest := int64(0), now
	for _, l := range lots {
		if l != largest {
			rest += l.size
			if l.created.Before(oldest) {
				oldest = l.created
			}
		}
	}
	if largest.blocks[0].Compaction == nil || rest >= largest.size/lateShare || now.Sub(oldest) >= lateWait {
		return lots
	}
	return slices.DeleteFunc(slices.Clone(lots), func(l *lot) bool { return l == largest })
}

// floor returns the multiple of step that is not above t.
func floor(t, step int64) int64 {
	rest := t % step
	if rest < 0 {
		rest += step
	}
	return t - rest
}
