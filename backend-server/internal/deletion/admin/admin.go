package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/selector"
)

const (
	// MaxRules is how many deletions of a tenant may be in force: every reader
	// looks at all of them.
	MaxRules = 1000
	// maxReason is the longest reason, in bytes.
	maxReason = 1000
)

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// rule makes a rule of a request, without an ID.
func (a *Admin) rule(req Request) (*deletion.Rule, error) {
	if strings.TrimSpace(req.Query) == "" {
		return nil, invalid("the query is missing; it is a selector such as {service_name=\"x\"}, or {} to delete everything in the range")
	}
	if !utf8.ValidString(req.Query) || !utf8.ValidString(req.Reason) {
		return nil, invalid("the query and the reason must be UTF-8")
	}
	if len(req.Reason) > maxReason {
		return nil, invalid("the reason has %d bytes; limit %d", len(req.Reason), maxReason)
	}
	ms, err := selector.Parse(req.Query)
	if err != nil {
		return nil, err
	}
	now := a.deps.Now()
	if end := profile.UnixMilli(now.UnixMilli()); req.End > end {
		return nil, invalid("end is %d, which is after now, %d; it would delete what is yet to come", req.End, end)
	}
	r := &deletion.Rule{Matchers: ms, Range: profile.TimeRange{Start: req.Start, End: req.End}, Created: now.UTC(), Reason: req.Reason}
	return r, r.Check()
}

// Delete puts a deletion in force. If the error is Unavailable, it may be stored
// and not known to everybody; the request should be repeated.
func (a *Admin) Delete(ctx context.Context, req Request, who deletion.Who) (*State, error) {
	id, r, err := a.check(ctx, req)
	if err != nil {
		return nil, err
	}
	rules, err := deletion.List(ctx, a.deps.Bucket, id)
	if err != nil {
		return nil, err
	}
	if at := slices.IndexFunc(rules, func(o deletion.Rule) bool { return same(&o, r) }); at >= 0 {
		return &State{Rule: rules[at], Existed: true}, a.announce(ctx, id, "the deletion is in force")
	}
	if len(rules) >= MaxRules {
		return nil, fault.New(fault.Exhausted, "%d deletions are in force; limit %d: take back those that have been carried out and of which nothing will come any more", len(rules), MaxRules)
	}
	if r.ID, err = ulid.New(ulid.Timestamp(r.Created), ulid.DefaultEntropy()); err != nil {
		return nil, err
	}
	if err := a.log(ctx, id, deletion.DeletionRequested, r, who); err != nil {
		return nil, err
	}
	if err := deletion.Put(ctx, a.deps.Bucket, id, r); err != nil {
		return nil, err
	}
	a.deps.Logger.Info("profiles are deleted", "tenant", id, "deletion", r.ID, "query", deletion.Selector(r.Matchers), "start", r.Range.Start, "end", r.Range.End, "reason", r.Reason, "by", who.By, "address", who.Address)
	return &State{Rule: *r}, a.announce(ctx, id, "the deletion is stored")
}

func (a *Admin) check(ctx context.Context, req Request) (string, *deletion.Rule, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return "", nil, err
	}
	r, err := a.rule(req)
	return id, r, err
}

// announce has everybody told. What has been done so far goes into the error.
func (a *Admin) announce(ctx context.Context, tenantID, done string) error {
	if err := a.deps.Announce(ctx, tenantID); err != nil {
		return fault.New(fault.Unavailable, "%s, but not everybody who answers queries knows yet; repeat the request: %w", done, err)
	}
	return nil
}

func (a *Admin) log(ctx context.Context, tenantID string, kind deletion.EventKind, r *deletion.Rule, who deletion.Who) error {
	who.Tenant = tenantID
	return deletion.Append(ctx, a.deps.Bucket, tenantID, deletion.Event{Time: a.deps.Now(), Kind: kind, Who: who, Rule: r, Reason: r.Reason})
}

// same reports whether two rules delete the same by their wording.
func same(a, b *deletion.Rule) bool {
	return a.Range == b.Range && len(a.Except) == 0 && len(b.Except) == 0 && slices.Equal(words(a.Matchers), words(b.Matchers))
}

func words(ms []*labels.Matcher) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = m.String()
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// List returns the deletions in force, the oldest first.
func (a *Admin) List(ctx context.Context) ([]State, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := deletion.List(ctx, a.deps.Bucket, id)
	if err != nil {
		return nil, err
	}
	out := make([]State, len(rules))
	for i := range rules {
		out[i].Rule = rules[i]
		blocks, known, err := a.blocks(ctx, id, &rules[i])
		if err != nil {
			return nil, err
		}
		out[i].Blocks, out[i].Bytes, out[i].Known = len(blocks), size(blocks), known
	}
	return out, nil
}

// blocks returns the blocks that a rule has not been applied to, if they can be
// known.
func (a *Admin) blocks(ctx context.Context, tenantID string, r *deletion.Rule) ([]Block, bool, error) {
	if a.deps.Blocks == nil {
		return nil, false, nil
	}
	blocks, err := a.deps.Blocks(ctx, tenantID, r)
	if fault.Is(err, fault.NotFound) { // nobody has listed them yet
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("blocks of deletion: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(blocks), func(b Block) bool { return b.Applied }), true, nil
}

func size(blocks []Block) (n int64) {
	for _, b := range blocks {
		n += b.Bytes
	}
	return n
}

// TakeBack ends a deletion: what is still there is shown again. It is NotFound
// if there is none of that ID.
func (a *Admin) TakeBack(ctx context.Context, which ulid.ULID, who deletion.Who) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	r, err := deletion.Read(ctx, a.deps.Bucket, id, which)
	switch {
	case fault.Is(err, fault.NotFound):
		// It may have been taken back by a request that not everybody heard of.
		if err := a.announce(ctx, id, "there is no such deletion any more"); err != nil {
			return err
		}
		return fault.New(fault.NotFound, "there is no deletion %s", which)
	case deletion.Unreadable(err): // it keeps the tenant's data from being shown
		a.deps.Logger.Warn("a deletion that cannot be read is taken back", "tenant", id, "deletion", which, "err", err)
		r = &deletion.Rule{ID: which, Reason: "it could not be read"}
	case err != nil:
		return err
	}
	if err := a.log(ctx, id, deletion.DeletionTakenBack, r, who); err != nil {
		return err
	}
	if err := deletion.Remove(ctx, a.deps.Bucket, id, which); err != nil {
		return err
	}
	a.deps.Logger.Info("a deletion is taken back", "tenant", id, "deletion", which, "by", who.By, "address", who.Address)
	return a.announce(ctx, id, "the deletion is taken back")
}

// MaxEvents is how many events of the audit log can be had at once.
const MaxEvents = 1000

// Audit returns the latest events of the audit log, the newest first; those
// before a certain one unless that is zero.
func (a *Admin) Audit(ctx context.Context, before ulid.ULID, limit int) ([]deletion.Event, error) {
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	if limit < 1 || limit > MaxEvents {
		return nil, invalid("the limit is %d; it must be from 1 to %d", limit, MaxEvents)
	}
	return deletion.Events(ctx, a.deps.Bucket, id, before, limit)
}
