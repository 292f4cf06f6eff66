package querier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// prefix tells a store-gateway from an ingester of the same ID.
const prefix = "gateway "

// tried is how the attempt to ask a store ended.
type tried[T any] struct {
	answered[T]
	err error
}

// askGateway asks store-gateways in turn: the next one when one fails or takes
// long. The first answer counts, others are given to drop. Patience doubles each
// time: if it is the bucket that is slow, they would all read the same from it.
func askGateway[T any](ctx context.Context, r *Replicas, tenantID string, avoid []string, fn func(context.Context, replica.Store) (T, error), drop func(T)) (*answered[T], error) {
	peers, err := r.directory.Gateways(ctx, tenantID)
	if err != nil {
		return nil, err
	}
	peers = slices.DeleteFunc(slices.Clone(peers), func(p cluster.Peer) bool { return slices.Contains(avoid, prefix+p.Id) })
	if len(peers) == 0 {
		return nil, fault.New(fault.Unavailable, "there is no store-gateway to ask, and answers without the bucket might miss profiles; failed have %v", avoid)
	}
	results := make(chan tried[T], len(peers))
	asked, pending := 0, 0
	next := func() {
		if asked < len(peers) {
			p := peers[asked]
			asked, pending = asked+1, pending+1
			go func() { results <- tryGateway(ctx, r, p, fn) }()
		}
	}
	defer func() {
		go func() { // those that come too late
			for range pending {
				if res := <-results; res.err == nil {
					drop(res.what)
				}
			}
		}()
	}()
	wait := hedgeAfter
	hedge := time.NewTimer(wait)
	defer hedge.Stop()
	var errs []error
	for next(); pending > 0; {
		select {
		case res := <-results:
			pending--
			if res.err == nil {
				return &res.answered, nil
			}
			if errs = append(errs, res.err); final(res.err) {
				return nil, res.err
			}
			next()
		case <-hedge.C:
			next()
			wait *= 2
			hedge.Reset(wait)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, errors.Join(errs...)
}

func tryGateway[T any](ctx context.Context, r *Replicas, p cluster.Peer, fn func(context.Context, replica.Store) (T, error)) tried[T] {
	store, err := r.directory.Gateway(p)
	if err == nil {
		var a T
		if a, err = fn(ctx, store); err == nil {
			return tried[T]{answered: answered[T]{prefix + p.Id, a}}
		}
	}
	r.failed(ctx, "store-gateway")
	return tried[T]{err: fmt.Errorf("store-gateway %s: %w", p.Id, err)}
}
