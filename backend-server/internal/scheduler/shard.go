package scheduler

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// shard is the queriers that work for a tenant.
type shard struct {
	queriers []string // sorted; nil: all
	workers  int      // of all of them
}

func (s shard) has(querier string) bool {
	if s.queriers == nil {
		return true
	}
	_, found := slices.BinarySearch(s.queriers, querier)
	return found
}

// shard returns the queriers of a tenant: of all that are connected those with
// the largest hash of their name together with the tenant's (Q6).
func (s *Scheduler) shard(tenantID string) shard {
	if sh, ok := s.mu.shards[tenantID]; ok {
		return sh
	}
	sh := choose(tenantID, s.mu.slots, s.cfg.MaxQueriers)
	s.mu.shards[tenantID] = sh
	return sh
}

func choose(tenantID string, slots map[string]int, most int) (out shard) {
	if most == 0 || len(slots) <= most {
		for _, n := range slots {
			out.workers += n
		}
		return out
	}
	type ranked struct {
		querier string
		hash    uint64
	}
	all := make([]ranked, 0, len(slots))
	for querier := range slots {
		all = append(all, ranked{querier, xxhash.Sum64String(tenantID + "\x00" + querier)})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.hash, a.hash), cmp.Compare(a.querier, b.querier))
	})
	for _, r := range all[:most] {
		out.queriers = append(out.queriers, r.querier)
		out.workers += slots[r.querier]
	}
	slices.Sort(out.queriers)
	return out
}
