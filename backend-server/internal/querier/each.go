package querier

import (
	"context"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// each calls fn for the sessions that are wanted, at the same time, and returns
// the results by session. A session that fails, or hangs while the others are
// done, unless the caller is patient, ends all; the error is then a lostStore.
func each[T any](ctx context.Context, sessions []answered[replica.Session], patient bool, wanted func(int) bool, fn func(context.Context, int) (T, error)) ([]T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		i    int
		what T
		err  error
	}
	out := make([]T, len(sessions))
	results := make(chan result, len(sessions))
	running := map[int]bool{}
	for i := range sessions {
		if wanted(i) {
			running[i] = true
			go func() {
				what, err := fn(ctx, i)
				results <- result{i, what, err}
			}()
		}
	}
	begin := time.Now()
	patient = patient || len(running) == 1
	var hangs <-chan time.Time
	for len(running) > 0 {
		select {
		case res := <-results:
			delete(running, res.i)
			if res.err != nil && (final(res.err) || ctx.Err() != nil) {
				return nil, res.err
			}
			if res.err != nil {
				return nil, &lostStore{id: sessions[res.i].id, err: res.err}
			}
			out[res.i] = res.what
			if len(running) == 1 && !patient {
				timer := time.NewTimer(max(hangsAfter, hangsTimes*time.Since(begin)))
				defer timer.Stop()
				hangs = timer.C
			}
		case <-hangs:
			for i := range running {
				err := fault.New(fault.Unavailable, "it hangs: after %s all others are done", time.Since(begin).Round(time.Millisecond))
				return nil, &lostStore{id: sessions[i].id, err: err, hangs: true}
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return out, nil
}
