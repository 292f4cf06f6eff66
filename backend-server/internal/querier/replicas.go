package querier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grafana/dskit/ring"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// Directory tells where a tenant's data is.
type Directory interface {
	// Ingesters returns those that must be asked so that nothing acknowledged
	// is missed, and how many of them may fail.
	Ingesters(ctx context.Context, tenantID string) (cluster.Set, error)
	// Gateways returns store-gateways of which any one will do, those to be
	// asked first in front.
	Gateways(ctx context.Context, tenantID string) ([]cluster.Peer, error)
	// Owners returns the store-gateways that a block lies on, those to be asked
	// first in front. It is a hint: what they have cached others would have to
	// read.
	Owners(tenantID string, block ulid.ULID) []string
	// Overview asks a store-gateway what there is to be asked for.
	Overview(ctx context.Context, p cluster.Peer, tenantID string, q *question.Question) (catalog.Overview, error)
	// Ingester and Gateway return the stores of a peer.
	Ingester(cluster.Peer) (replica.Store, error)
	Gateway(cluster.Peer) (replica.Store, error)
}

// Replicas reads from many processes.
type Replicas struct {
	directory Directory
	zone      string // of this process
	deps      Deps
	metrics   *metrics
}

// NewReplicas returns a reader of the stores of a cluster. Ingesters in this
// process's zone are asked first.
func NewReplicas(d Directory, zone string, deps Deps) *Replicas {
	return &Replicas{directory: d, zone: zone, deps: deps, metrics: newMetrics(deps.Registerer)}
}

// Times that a store may take before others are asked too.
const (
	// hedgeAfter is how long the ingesters that were asked first may take to
	// show what they have.
	hedgeAfter = 300 * time.Millisecond
	// hangsAfter is how long a store may take for its part, at the least, when
	// all others are done; it may take hangsTimes as long as these have. Then
	// it hangs, or has far more to do or a slow bucket: without it all is asked
	// again, and of those that are asked then none is given up so (Q4).
	hangsAfter = 2 * time.Second
	hangsTimes = 4
)

// Read implements Reader.
func (r *Replicas) Read(ctx context.Context, tenantID string, q *question.Question) (*question.Answer, error) {
	var avoid []string
	suspect := ""  // of avoid, it may have much to do only
	stale := false // a block was gone when it was asked for
	for patient := false; ; {
		a, err := r.try(ctx, tenantID, q, avoid, patient)
		var lost *lostStore
		switch {
		case err == nil || ctx.Err() != nil:
			return a, err
		case fault.Is(err, fault.NotFound) && !stale:
			stale = true
		case errors.As(err, &lost) && !slices.Contains(avoid, lost.id):
			r.metrics.lost.Inc()
			r.deps.Logger.Warn("a store failed while it was read from; all is asked again without it", "store", lost.id, "err", lost.err)
			avoid = append(avoid, lost.id)
			if lost.hangs {
				suspect, patient = lost.id, true
			}
		case suspect != "" && fault.Is(err, fault.Unavailable):
			// There is no answer without it, so it is waited for.
			avoid = slices.DeleteFunc(avoid, func(id string) bool { return id == suspect })
			suspect = ""
		default:
			return a, err
		}
	}
}

// lostStore is the failure of one store in the middle of a question.
type lostStore struct {
	id    string
	err   error
	hangs bool // as far as can be told
}

func (l *lostStore) Error() string { return fmt.Sprintf("store %s: %v", l.id, l.err) }

// Unwrap returns what the store said.
func (l *lostStore) Unwrap() error { return l.err }

// final reports whether an error would be that of any store.
func final(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.TooLarge, fault.Unauthenticated, fault.Unimplemented:
		return true
	}
	return false
}

func (r *Replicas) try(ctx context.Context, tenantID string, q *question.Question, avoid []string, patient bool) (*question.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !q.Kind.Sums() {
		parts, err := ask(ctx, cancel, r, tenantID, q, avoid, func(ctx context.Context, s replica.Store, q *question.Question) (*question.Answer, error) {
			return s.List(ctx, tenantID, q)
		}, func(*question.Answer) {})
		if err != nil {
			return nil, err
		}
		answers := make([]*question.Answer, len(parts))
		for i, p := range parts {
			answers[i] = p.what
		}
		return question.Merge(q, answers)
	}
	sessions, err := ask(ctx, cancel, r, tenantID, q, avoid, func(ctx context.Context, s replica.Store, q *question.Question) (replica.Session, error) {
		return s.Open(ctx, tenantID, q)
	}, replica.Session.Close)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range sessions {
			s.what.Close()
		}
	}()
	return r.settle(ctx, q, sessions, patient)
}

// settle chooses what is taken from whom and asks for it.
func (r *Replicas) settle(ctx context.Context, q *question.Question, sessions []answered[replica.Session], patient bool) (*question.Answer, error) {
	shown := make([][]replica.Unit, len(sessions))
	for i, s := range sessions {
		shown[i] = s.what.Units()
	}
	choice := replica.NewChoice(shown)
	if refs := choice.Ask(); refs != nil {
		r.metrics.disputed.Inc()
		rows, err := each(ctx, sessions, patient, func(i int) bool { return len(refs[i]) > 0 }, func(ctx context.Context, i int) ([][]replica.Row, error) {
			return sessions[i].what.Rows(ctx, refs[i])
		})
		if err != nil {
			return nil, err
		}
		choice.Tell(rows)
	}
	var version question.Version
	if q.WantVersion {
		if version = versionOf(choice); version == q.Known {
			return &question.Answer{Version: version, Unchanged: true}, nil
		}
	}
	picks := choice.Picks()
	parts, err := each(ctx, sessions, patient, func(i int) bool { return len(picks[i]) > 0 }, func(ctx context.Context, i int) (*question.Answer, error) {
		return sessions[i].what.Ask(ctx, picks[i])
	})
	if err != nil {
		return nil, err
	}
	parts = slices.DeleteFunc(parts, func(a *question.Answer) bool { return a == nil })
	if len(parts) == 0 { // nobody has anything: a store knows what that looks like
		empty, err := sessions[0].what.Ask(ctx, nil)
		if err != nil {
			return nil, &lostStore{id: sessions[0].id, err: err}
		}
		parts = append(parts, empty)
	}
	a := parts[0]
	if len(parts) > 1 {
		if a, err = question.Merge(q, parts); err != nil {
			return nil, err
		}
	}
	a.Version = version
	return a, nil
}

// answered is what a store has answered.
type answered[T any] struct {
	id   string
	what T
}

// asks asks a store a question.
type asks[T any] func(ctx context.Context, s replica.Store, q *question.Question) (T, error)

// ask asks as many ingesters as are needed, and store-gateways for all blocks
// that there are. What is not used after all is given to drop. If one of them
// fails for good, stop ends ctx, so that nobody waits for the others.
func ask[T any](ctx context.Context, stop context.CancelFunc, r *Replicas, tenantID string, q *question.Question, avoid []string, fn asks[T], drop func(T)) ([]answered[T], error) {
	set, err := r.directory.Ingesters(ctx, tenantID) // before the bucket is looked at (Q2)
	if err != nil {
		return nil, err
	}
	if set, err = without(set, avoid); err != nil {
		return nil, err
	}
	o, err := r.overview(ctx, tenantID, q, avoid)
	if err != nil {
		return nil, err
	}
	q = q.Excluding(o.Deleted)
	var all []answered[T]
	var mu sync.Mutex
	var g errgroup.Group
	var first atomic.Pointer[error] // the others then fail for its sake
	add := func(some []answered[T], err error) error {
		if err != nil && first.CompareAndSwap(nil, &err) {
			stop()
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, some...)
		return err
	}
	g.Go(func() error {
		return add(askIngesters(ctx, r, set, func(ctx context.Context, s replica.Store) (T, error) { return fn(ctx, s, q) }, drop))
	})
	for _, share := range r.shares(tenantID, o) {
		theirs := *q
		theirs.Only = share.blocks
		g.Go(func() error {
			a, err := askGateway(ctx, r, share.gateways, func(ctx context.Context, p cluster.Peer) (T, error) {
				store, err := r.directory.Gateway(p)
				if err != nil {
					var none T
					return none, err
				}
				return fn(ctx, store, &theirs)
			}, drop)
			if err != nil {
				return add(nil, err)
			}
			return add([]answered[T]{*a}, nil)
		})
	}
	if g.Wait() != nil {
		for _, a := range all {
			drop(a.what)
		}
		return nil, *first.Load()
	}
	// Ingesters first: that is how data moves.
	slices.SortStableFunc(all, func(a, b answered[T]) int {
		return cmp.Compare(strings.Index(a.id, prefix), strings.Index(b.id, prefix))
	})
	return all, nil
}

func askIngesters[T any](ctx context.Context, r *Replicas, set cluster.Set, fn func(context.Context, replica.Store) (T, error), drop func(T)) ([]answered[T], error) {
	cfg := ring.DoUntilQuorumConfig{MinimizeRequests: true, HedgingDelay: hedgeAfter, IsTerminalError: final, ZoneSorter: r.zones}
	return ring.DoUntilQuorumWithoutSuccessfulContextCancellation(ctx, set, cfg,
		func(ctx context.Context, p *ring.InstanceDesc, _ context.CancelCauseFunc) (answered[T], error) {
			store, err := r.directory.Ingester(*p)
			if err != nil {
				return answered[T]{}, err
			}
			a, err := fn(ctx, store)
			if err != nil {
				r.failed(ctx, "ingester")
				return answered[T]{}, fmt.Errorf("ingester %s: %w", p.Id, err)
			}
			return answered[T]{p.Id, a}, nil
		}, func(a answered[T]) { drop(a.what) })
}

// failed counts a store that could not be asked; one that was not needed any
// more, so that ctx has ended, has not failed.
func (r *Replicas) failed(ctx context.Context, role string) {
	if ctx.Err() == nil {
		r.metrics.failed.WithLabelValues(role).Inc()
	}
}

// zones puts this process's zone in front; the others share the work.
func (r *Replicas) zones(zones []string) []string {
	rand.Shuffle(len(zones), func(i, j int) { zones[i], zones[j] = zones[j], zones[i] })
	slices.SortStableFunc(zones, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == r.zone:
			return -1
		case b == r.zone:
			return 1
		}
		return 0
	})
	return zones
}

// without returns the set without some members, which count as failed.
func without(set cluster.Set, avoid []string) (cluster.Set, error) {
	var gone []string // zones, or members
	kept := make([]cluster.Peer, 0, len(set.Instances))
	for _, p := range set.Instances {
		if !slices.Contains(avoid, p.Id) {
			kept = append(kept, p)
		} else if set.ZoneAwarenessEnabled {
			gone = append(gone, p.Zone)
		} else {
			gone = append(gone, p.Id)
		}
	}
	if len(gone) == 0 {
		return set, nil
	}
	slices.Sort(gone)
	n := len(slices.Compact(gone))
	if set.ZoneAwarenessEnabled {
		kept = slices.DeleteFunc(kept, func(p cluster.Peer) bool { return slices.Contains(gone, p.Zone) })
		set.MaxUnavailableZones -= n
	} else {
		set.MaxErrors -= n
	}
	set.Instances = kept
	if set.MaxErrors < 0 || set.MaxUnavailableZones < 0 {
		return set, fault.New(fault.Unavailable, "ingesters %v have failed, and without them answers might miss profiles", avoid)
	}
	return set, nil
}
