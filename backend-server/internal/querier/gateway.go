package querier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
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
func askGateway[T any](ctx context.Context, r *Replicas, peers []cluster.Peer, fn func(context.Context, cluster.Peer) (T, error), drop func(T)) (*answered[T], error) {
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

func tryGateway[T any](ctx context.Context, r *Replicas, p cluster.Peer, fn func(context.Context, cluster.Peer) (T, error)) tried[T] {
	a, err := fn(ctx, p)
	if err == nil {
		return tried[T]{answered: answered[T]{prefix + p.Id, a}}
	}
	r.failed(ctx, "store-gateway")
	return tried[T]{err: fmt.Errorf("store-gateway %s: %w", p.Id, err)}
}
