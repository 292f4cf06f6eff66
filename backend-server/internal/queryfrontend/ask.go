package queryfrontend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tracing"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// ask answers a question that has been checked, unless that takes too long.
func (f *Frontend) ask(ctx context.Context, q *question.Question) (*question.Answer, error) {
	if f.cfg.Timeout <= 0 {
		return f.askParts(ctx, q)
	}
	limited, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	a, err := f.askParts(limited, q)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("the query has no answer after %s, the limit (-%s): %w", f.cfg.Timeout, timeoutFlag, context.DeadlineExceeded)
	}
	return a, err
}

// askParts splits a question; each part is answered, from the cache if it can
// be, and what comes back is merged.
func (f *Frontend) askParts(ctx context.Context, q *question.Question) (*question.Answer, error) {
	parts := split(q, f.cfg.SplitInterval)
	if len(parts) == 1 {
		return f.part(ctx, parts[0])
	}
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	f.metrics.parts.Add(float64(len(parts)))
	answers := make([]*question.Answer, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(f.cfg.MaxParallelism)
	all := f.crowd.enter(id)
	defer f.crowd.leave(id)
	for i, part := range parts {
		group.Go(func() (err error) {
			answers[i], err = all.ask(ctx, i > 0, func() (*question.Answer, error) { return f.part(ctx, part) })
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return question.Merge(q, answers)
}

// settled is how long ago a time must be for answers up to it to be kept. What
// is younger changes all the time.
const settled = 10 * time.Minute

// cached reports whether the answer to q is kept: where it is a sum, and of
// times that are over. Late profiles and deletions change such answers all the
// same, but seldom, and it is noticed (F3).
func (f *Frontend) cached(q *question.Question) bool {
	switch q.Kind {
	case question.Tree, question.Profile, question.Series:
		return f.cache != nil && q.Interval().End < profile.UnixMilli(f.now().Add(-settled).UnixMilli())
	}
	return false
}

// part answers a question that is not split. The answer must only be read,
// except for a tree.
func (f *Frontend) part(ctx context.Context, q *question.Question) (_ *question.Answer, err error) {
	r := q.Interval()
	ctx, span := tracing.Start(ctx, "query-frontend: part", attribute.String("kind", q.Kind.String()),
		attribute.Int64("start", int64(r.Start)), attribute.Int64("end", int64(r.End)))
	defer func() { span.End(err) }()
	if !f.cached(q) {
		return f.retry(ctx, q)
	}
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	key := keyOf(id, q)
	old := f.cache.get(key)
	versioned := *q
	versioned.WantVersion = true
	if old != nil {
		versioned.Known = old.version
	}
	a, err := f.retry(ctx, &versioned)
	if err != nil {
		return nil, err
	}
	span.Set(attribute.Bool("unchanged", a.Unchanged))
	switch {
	case a.Unchanged && old != nil:
		f.metrics.cache.WithLabelValues(cacheUnchanged).Inc()
		return old.unpack(q.Kind)
	case a.Unchanged:
		return nil, fmt.Errorf("an answer says that it has not changed, but none was known")
	case old != nil:
		f.metrics.cache.WithLabelValues(cacheChanged).Inc()
	default:
		f.metrics.cache.WithLabelValues(cacheMiss).Inc()
	}
	if a.Version != (question.Version{}) {
		f.cache.put(pack(key, q.Kind, a))
	}
	return a, nil
}

// How often a question is asked again that could not be answered now, and the
// pause before the first time.
const (
	mostRetries = 2
	retryPause  = 100 * time.Millisecond
)

// retry asks, and asks again if it might help. A question that several queriers
// have died of is left alone.
func (f *Frontend) retry(ctx context.Context, q *question.Question) (*question.Answer, error) {
	pause := retryPause
	for try := 0; ; try++ {
		a, err := f.asker.Ask(ctx, q)
		if !fault.Is(err, fault.Unavailable) || try == mostRetries || fault.ReasonOf(err) == question.ReasonQueriersGone {
			return a, err
		}
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, err // it says more than that time is up
		case <-wait.C:
		}
		f.metrics.retries.Inc()
		pause *= 4
	}
}
