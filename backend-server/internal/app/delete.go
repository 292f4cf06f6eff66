package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/compactor"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion/admin"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	api "github.com/hearth-profiles/hearth/backend-server/internal/transport/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/store"
)

// What is deleted is known to store-gateways, who tell queriers; these tell all
// whom they ask. A deletion is stored in the bucket, then all store-gateways are
// told to read it. The compactor takes out of blocks what is deleted, and serves
// the requests: it has the bucket, and every cluster has one.

// deleted returns what is deleted of a tenant. Who asks looks at the bucket too,
// and learns from that if this is not known yet.
func (a *App) deleted(tenantID string) deletion.Rules {
	rules, _ := a.gateway.Deleted(tenantID)
	return rules
}

func (a *App) storedDeletions(ctx context.Context, tenantID string) (deletion.Rules, error) {
	return deletion.List(ctx, a.bucket, tenantID)
}

func (a *App) tooOld(tenantID string) deletion.Rules { return a.retention.Rules(tenantID, time.Now()) }

// deletionRules is what is deleted of a tenant, for the compactor.
func (a *App) deletionRules(ctx context.Context, tenantID string) (compactor.Rules, error) {
	stored, err := a.storedDeletions(ctx, tenantID)
	return compactor.Rules{Stored: stored, Retention: a.tooOld(tenantID)}, err
}

// serveDeletions serves the requests of those who have profiles deleted.
func (a *App) serveDeletions() {
	deps := admin.Deps{
		Bucket: a.bucket, Asker: a.previews(), Announce: a.announceDeletions, Blocks: a.concernedBlocks,
		Now: time.Now, Logger: a.logger.With("component", Compactor),
	}
	a.serveAPI(api.New(admin.New(deps), time.Now).Routes())
}

// nobody is asked where no query can be.
type nobody struct{}

// Ask implements question.Asker.
func (nobody) Ask(context.Context, *question.Question) (*question.Answer, error) {
	return nil, fault.New(fault.Unavailable, "this process is alone and answers no queries, so it cannot say what would be deleted")
}

// previews is what is asked for what a deletion would do.
func (a *App) previews() question.Asker {
	switch {
	case a.scheduler != nil:
		return a.scheduler
	case a.peers == nil:
		return nobody{}
	}
	return a.distantSchedulers(a.logger.With("component", Compactor))
}

// announceDeletions has all store-gateways read what is deleted of a tenant.
// Those that are not heard of may be read from by others, so they count, until
// they are forgotten.
func (a *App) announceDeletions(ctx context.Context, tenantID string) error {
	if a.peers == nil {
		if a.gateway == nil {
			return nil
		}
		return a.gateway.LearnDeletions(ctx, tenantID)
	}
	gateways, err := a.peers.rings[cluster.StoreGateway].All(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(gateways))
	var running sync.WaitGroup
	for i, p := range gateways {
		running.Go(func() {
			if err := a.tellDeletions(ctx, p, tenantID); err != nil {
				errs[i] = fmt.Errorf("store-gateway %s: %w", p.Id, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func (a *App) tellDeletions(ctx context.Context, p cluster.Peer, tenantID string) error {
	if a.gateway != nil && p.Id == a.cfg.Cluster.Instance.ID {
		return a.gateway.LearnDeletions(ctx, tenantID)
	}
	conn, err := a.peers.pool.Member(p.Id, p.Addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	return store.LearnDeletions(ctx, conn, tenantID)
}

// concernedBlocks lists the blocks that a rule may have an effect on, as the
// index has them. One of which nothing is left is on its way out, as one whose
// place others have taken.
func (a *App) concernedBlocks(ctx context.Context, tenantID string, r *deletion.Rule) ([]admin.Block, error) {
	idx, err := catalog.ReadIndex(ctx, a.bucket, tenantID)
	if err != nil {
		return nil, err
	}
	var out []admin.Block
	for _, m := range catalog.NewSet(idx.Blocks...).Counting() {
		if slices.ContainsFunc(idx.Erased, func(e catalog.Erased) bool { return e.Block == m.ID }) {
			continue
		}
		if m.TimeRange().Overlaps(r.Range) && m.MayMatch(r.Matchers) {
			applied := slices.Contains(idx.Cleared[m.ID], r.ID.String()) || m.Compaction != nil && slices.Contains(m.Compaction.Applied, r.ID.String())
			out = append(out, admin.Block{ID: m.ID, Bytes: m.Size(), Applied: applied})
		}
	}
	return out, nil
}

// sizeCap is the reason of deletions that a size cap makes.
const sizeCap = "-retention.max-bytes"

// tidyRules ends deletions that retention has overtaken, and keeps a tenant
// below its size cap: what is older than a certain time is deleted then. The
// youngest block stays in any case.
func (a *App) tidyRules(ctx context.Context, tenantID string, blocks []*block.Meta, rules compactor.Rules) error {
	oldest := deletion.BeginningOfTime
	for _, r := range slices.Concat(rules.Retention, rules.Stored) {
		if len(r.Matchers) == 0 && len(r.Except) == 0 && r.Range.Start == deletion.BeginningOfTime {
			oldest = max(oldest, r.Range.End+1)
		}
	}
	if err := a.endOvertaken(ctx, tenantID, rules.Stored, oldest); err != nil {
		return err
	}
	limit := a.retention.MaxBytes(tenantID)
	last := overCap(blocks, limit)
	if last == nil {
		return nil
	}
	now := time.Now()
	r := deletion.Rule{ID: ulid.Make(), Created: now, Reason: sizeCap}
	r.Range.Start, r.Range.End = deletion.BeginningOfTime, last.MaxTime
	if err := deletion.Put(ctx, a.bucket, tenantID, &r); err != nil {
		return err
	}
	a.logger.Info("a tenant's blocks are over the size cap; what is oldest goes", "tenant", tenantID, "limit", limit, "until", r.Range.End)
	e := deletion.Event{Time: now, Kind: deletion.RetentionEnforced, Rule: &r, Reason: sizeCap}
	return errors.Join(deletion.Append(ctx, a.bucket, tenantID, e), a.announceDeletions(ctx, tenantID))
}

// endOvertaken ends deletions of what everything before a time is too old for, as
// soon as the bucket has no block of that time: should profiles be kept for
// longer again, what was deleted must not be back.
func (a *App) endOvertaken(ctx context.Context, tenantID string, stored deletion.Rules, oldest profile.UnixMilli) error {
	overtaken := slices.DeleteFunc(slices.Clone(stored), func(r deletion.Rule) bool { return r.Range.End+1 >= oldest })
	if len(overtaken) == 0 {
		return nil
	}
	idx, err := catalog.ReadIndex(ctx, a.bucket, tenantID)
	if fault.Is(err, fault.NotFound) { // a tenant without blocks
		idx, err = new(catalog.Index), nil
	}
	if err != nil {
		return err
	}
	for _, r := range overtaken {
		if slices.ContainsFunc(idx.Blocks, func(m *block.Meta) bool { return m.TimeRange().Overlaps(r.Range) }) {
			continue
		}
		if err := deletion.Remove(ctx, a.bucket, tenantID, r.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// overCap returns the youngest block that has to go so that the others, without
// which a tenant would have nothing, take no more than limit; nil if none has to.
func overCap(blocks []*block.Meta, limit int64) (last *block.Meta) {
	if limit <= 0 {
		return nil
	}
	blocks = slices.SortedFunc(slices.Values(blocks), func(a, b *block.Meta) int { return int(max(-1, min(1, a.MaxTime-b.MaxTime))) })
	total := int64(0)
	for _, m := range blocks {
		total += m.Size()
	}
	for i, m := range blocks {
		if total <= limit || i == len(blocks)-1 {
			break
		}
		last, total = m, total-m.Size()
	}
	return last
}

// audit logs what the compactor did because of deletions.
func (a *App) audit(ctx context.Context, tenantID string, e compactor.Event) {
	event := deletion.Event{Time: time.Now(), Kind: deletion.BlockRewritten, Blocks: e.Blocks, Made: e.Made, Profiles: e.Removed, Reason: fmt.Sprint(e.Rules)}
	if len(e.Made) == 0 {
		event.Kind = deletion.BlockDeleted
	}
	if err := deletion.Append(ctx, a.bucket, tenantID, event); err != nil {
		a.logger.Error("the audit log misses an event", "tenant", tenantID, "event", event.Kind, "blocks", e.Blocks, "rules", e.Rules, "err", err)
	}
}
