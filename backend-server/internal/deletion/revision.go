package deletion

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Revision stands for the rules that concern the unit, as far as they reach into
// its time: what was worked out from the unit's rows is good as long as it is
// the same. It is the same in all processes. The revision of a unit without rules
// is 0, that of one with rules is not. It is for units that do not grow.
func (r *remains) Revision() uint64 {
	has := r.Queryable.TimeRange()
	hashes := make([]uint64, 0, len(r.rules))
	for i := range r.rules {
		hashes = append(hashes, r.rules[i].hash(has))
	}
	slices.Sort(hashes)
	var sum xxhash.Digest
	sum.Reset()
	for _, h := range slices.Compact(hashes) {
		number(&sum, h)
	}
	return max(1, sum.Sum64())
}

// hash stands for what the rule does in a range.
func (r *Rule) hash(in profile.TimeRange) uint64 {
	var h xxhash.Digest
	h.Reset()
	number(&h, uint64(max(r.Range.Start, in.Start)))
	number(&h, uint64(min(r.Range.End, in.End)))
	hashMatchers(&h, r.Matchers)
	number(&h, uint64(len(r.Except)))
	for _, ms := range r.Except {
		hashMatchers(&h, ms)
	}
	return h.Sum64()
}

func hashMatchers(h *xxhash.Digest, ms []*labels.Matcher) {
	number(h, uint64(len(ms)))
	for _, m := range ms {
		number(h, uint64(m.Type))
		for _, text := range []string{m.Name, m.Value} {
			number(h, uint64(len(text)))
			_, _ = h.WriteString(text) // never fails
		}
	}
}

func number(h *xxhash.Digest, n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	_, _ = h.Write(b[:]) // never fails
}
