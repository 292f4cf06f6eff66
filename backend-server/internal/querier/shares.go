package querier

import (
	"context"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// overview is what a store-gateway has told, and those that may be asked now.
type overview struct {
	catalog.Overview
	gateways []cluster.Peer
}

// overview asks any store-gateway for the blocks that there are and for what is
// deleted. All know the same: who adds to it tells all of them.
func (r *Replicas) overview(ctx context.Context, tenantID string, q *question.Question, avoid []string) (*overview, error) {
	peers, err := r.directory.Gateways(ctx, tenantID)
	if err != nil {
		return nil, err
	}
	peers = slices.DeleteFunc(slices.Clone(peers), func(p cluster.Peer) bool { return slices.Contains(avoid, prefix+p.Id) })
	if len(peers) == 0 {
		return nil, fault.New(fault.Unavailable, "there is no store-gateway to ask, and answers without the bucket might miss profiles; failed have %v", avoid)
	}
	told, err := askGateway(ctx, r, peers, func(ctx context.Context, p cluster.Peer) (catalog.Overview, error) {
		return r.directory.Overview(ctx, p, tenantID, q)
	}, func(catalog.Overview) {})
	if err != nil {
		return nil, err
	}
	return &overview{told.what, peers}, nil
}

// share is blocks with the store-gateways to ask for them: the first, or one of
// the others if that fails.
type share struct {
	gateways []cluster.Peer
	blocks   []ulid.ULID
}

// shares gives each block to the first of its owners that may be asked. Blocks
// of owners that may not go to the gateway that is first in any case.
func (r *Replicas) shares(tenantID string, o *overview) []share {
	gateways := o.gateways
	if o.Unsplit {
		return []share{{gateways: gateways}}
	}
	at := map[string]int{} // of a gateway in out
	var out []share
	for _, id := range o.Blocks {
		first := 0
		for _, owner := range r.directory.Owners(tenantID, id) {
			if i := slices.IndexFunc(gateways, func(p cluster.Peer) bool { return p.Id == owner }); i >= 0 {
				first = i
				break
			}
		}
		n, ok := at[gateways[first].Id]
		if !ok {
			n = len(out)
			at[gateways[first].Id] = n
			out = append(out, share{gateways: slices.Concat(gateways[first:first+1], gateways[:first], gateways[first+1:])})
		}
		out[n].blocks = append(out[n].blocks, id)
	}
	return out
}
