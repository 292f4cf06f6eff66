package compactor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Rules are what is deleted of a tenant.
type Rules struct {
	// Stored are deletions that somebody asked for, or the size cap. Blocks are
	// rewritten for them as soon as may be.
	Stored deletion.Rules
	// Retention follows the clock. A block is rewritten for it when all of its
	// time is over.
	Retention deletion.Rules
}

func (r Rules) all() deletion.Rules { return slices.Concat(r.Stored, r.Retention) }

// ruleName names a rule for block.Compaction.Applied. Those of retention are
// known by what they are about: their range moves.
func ruleName(r *deletion.Rule, retention bool) string {
	if !retention {
		return r.ID.String()
	}
	name := "older " + deletion.Selector(r.Matchers)
	for _, ms := range r.Except {
		name += " but " + deletion.Selector(ms)
	}
	return name
}

// applied names the rules that have had all their effect on a block of a range.
func (r Rules) applied(in profile.TimeRange) []string {
	var out []string
	for i := range r.Stored {
		if r.Stored[i].Range.Overlaps(in) {
			out = append(out, ruleName(&r.Stored[i], false))
		}
	}
	for i := range r.Retention {
		if covers(&r.Retention[i], in) {
			out = append(out, ruleName(&r.Retention[i], true))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func covers(r *deletion.Rule, in profile.TimeRange) bool {
	return r.Range.Start <= in.Start && in.End <= r.Range.End
}

// gone reports whether a rule leaves nothing of a block, whatever is in it.
func (r Rules) gone(m *block.Meta) bool {
	return slices.ContainsFunc(r.all(), func(rule deletion.Rule) bool {
		return len(rule.Matchers) == 0 && len(rule.Except) == 0 && covers(&rule, m.TimeRange())
	})
}

// reaching leaves out rules of retention that reach over none of the blocks: what
// is too old in part stays until all of it is, and is only not shown.
func (r Rules) reaching(blocks []*block.Meta) Rules {
	out := Rules{Stored: r.Stored}
	for _, rule := range r.Retention {
		if slices.ContainsFunc(blocks, func(m *block.Meta) bool { return covers(&rule, m.TimeRange()) }) {
			out.Retention = append(out.Retention, rule)
		}
	}
	return out
}

// pending returns the rules that a block has to be rewritten for.
func (r Rules) pending(m *block.Meta) (out deletion.Rules, names []string) {
	add := func(rule *deletion.Rule, retention bool) {
		name := ruleName(rule, retention)
		if m.Compaction == nil || !slices.Contains(m.Compaction.Applied, name) {
			out, names = append(out, *rule), append(names, name)
		}
	}
	for i := range r.Stored {
		if r.Stored[i].Range.Overlaps(m.TimeRange()) {
			add(&r.Stored[i], false)
		}
	}
	for i := range r.Retention {
		if covers(&r.Retention[i], m.TimeRange()) {
			add(&r.Retention[i], true)
		}
	}
	return out, names
}

// about names the rules that reach into a range, with their ends.
func (r Rules) about(in profile.TimeRange) map[string]int64 {
	out := map[string]int64{}
	add := func(rules deletion.Rules, retention bool) {
		for i := range rules {
			if rules[i].Range.Overlaps(in) {
				name := ruleName(&rules[i], retention)
				out[name] = max(out[name], int64(rules[i].Range.End))
			}
		}
	}
	add(r.Stored, false)
	add(r.Retention, true)
	return out
}

// inForce reports whether rules that about has named are there, and reach as far
// as they did. It is false of none.
func (r Rules) inForce(names map[string]int64) bool {
	now := r.about(profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64})
	for name, end := range names {
		if have, ok := now[name]; !ok || have < end {
			return false
		}
	}
	return len(names) > 0
}

// rewrites returns the blocks that rules have an effect on. Which rules have
// none on a block goes into the index.
func (c *Compactor) rewrites(ctx context.Context, s *state, blocks []*block.Meta, rules Rules) ([]*block.Meta, error) {
	var out []*block.Meta
	var errs []error
	for _, m := range blocks {
		pending, names := rules.pending(m)
		for i := range pending {
			if !m.MayMatch(pending[i].Matchers) || slices.Contains(s.cleared[m.ID], names[i]) {
				continue
			}
			concerned, err := c.concerned(ctx, s.tenant, m, &pending[i])
			if err != nil {
				errs = append(errs, fmt.Errorf("block %s: %w", m.ID, err))
				break
			}
			if concerned {
				out = append(out, m)
				break
			}
			s.cleared[m.ID] = append(s.cleared[m.ID], names[i])
			s.changed = true
		}
	}
	return out, errors.Join(errs...)
}

// concerned reports whether a block has series that a rule is about.
func (c *Compactor) concerned(ctx context.Context, tenantID string, m *block.Meta, rule *deletion.Rule) (bool, error) {
	b, err := block.Open(ctx, m, bucket.NewSource(c.deps.Bucket, tenantID, m.ID))
	if err != nil {
		return false, err
	}
	series, err := b.Select(ctx, rule.Matchers...)
	if closeErr := b.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return false, err
	}
	for _, s := range series {
		if rule.Concerns(s.Labels) {
			return true, nil
		}
	}
	return false, nil
}
