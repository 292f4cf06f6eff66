package pprof

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// A labelTable gathers the distinct label sets of the samples.
type labelTable struct {
	sent   []labelRef // string labels of the sample at hand, as sent
	sets   [][]labelRef
	byHash map[uint64]uint32     // a set's group by hash; the first of equal hashes
	pool   [][]labelRef          // memory of sets of earlier profiles
	pairs  [][]profile.LabelPair // likewise, for LabelSets
}

// A labelRef is a label as two string indices.
type labelRef struct{ key, value uint32 }

func (t *labelTable) reset() {
	t.sent = t.sent[:0]
	t.pool = append(t.pool, t.sets...)
	t.sets = t.sets[:0]
	clear(t.byHash)
}

// forget lets go of the strings of the last profile.
func (t *labelTable) forget() {
	for _, pairs := range t.pairs {
		clear(pairs[:cap(pairs)])
	}
}

// label decodes a label. Numeric ones are skipped.
func (d *Decoder) label(at span) error {
	if d.isNumericLabel(at) {
		return nil
	}
	var n numberFields
	if err := n.read(d.plain, at, 4); err != nil {
		return err
	}
	k, err := d.stringAt(n[1], "label.key")
	if err != nil {
		return err
	}
	v, err := d.stringAt(n[2], "label.str")
	if err != nil {
		return err
	}
	if d.out.Strings[k] != "" && d.out.Strings[v] != "" {
		d.labels.sent = append(d.labels.sent, labelRef{k, v})
	}
	return nil
}

// isNumericLabel reports whether a label is a key and a number, as in every
// sample of a heap profile from Go. It may overlook one.
func (d *Decoder) isNumericLabel(at span) bool {
	b, i := d.plain, int(at.start)
	if i+12 > len(b) || b[i] != 1<<3|wireVarint {
		return false
	}
	key, i := short(b, i+1)
	if key >= uint64(d.names.sent) || key > maxShort || b[i] != 3<<3|wireVarint {
		return false
	}
	last := ^binary.LittleEndian.Uint64(b[i+1:]) & moreBytes
	return last != 0 && i+1+(bits.TrailingZeros64(last)+1)>>3 == int(at.end)
}

// assign gives s the span, trace and group that its labels stand for.
func (t *labelTable) assign(p *profile.Profile, s *profile.Sample, maxSets int) {
	kept := t.sent[:0]
	for _, l := range t.sent {
		if !identity(s, p.Strings[l.key], p.Strings[l.value]) {
			kept = append(kept, l)
		}
	}
	if len(kept) == 0 {
		return
	}
	kept = canonical(p, kept)
	h := hashOf(p, kept)
	group, known := t.byHash[h]
	if known && !equalSets(p, t.sets[group-1], kept) {
		group, known = t.find(p, kept)
	}
	switch {
	case known:
		s.Group = group
	case len(t.sets) >= maxSets:
		p.Dropped.UnlabelledSamples++
	default:
		s.Group = t.add(kept)
		if t.byHash == nil {
			t.byHash = map[uint64]uint32{}
		}
		if _, collides := t.byHash[h]; !collides {
			t.byHash[h] = s.Group
		}
	}
}

// identity takes a label that names a span or a trace, and reports whether it
// is one.
func identity(s *profile.Sample, key, value string) bool {
	switch key {
	case "span_id", "span id", "profile_id":
		if len(value) == 16 && s.SpanID == 0 {
			if id, err := strconv.ParseUint(value, 16, 64); err == nil {
				s.SpanID = id
			}
		}
		return true
	case "trace_id", "trace id":
		if id := [16]byte{}; len(value) == 32 && s.TraceID == id {
			if _, err := hex.Decode(id[:], []byte(value)); err == nil {
				s.TraceID = id
			}
		}
		return true
	}
	return false
}

// canonical sorts labels by key and leaves out repeated keys, the first stays.
func canonical(p *profile.Profile, refs []labelRef) []labelRef {
	slices.SortStableFunc(refs, func(a, b labelRef) int {
		return strings.Compare(p.Strings[a.key], p.Strings[b.key])
	})
	out := refs[:1]
	for _, r := range refs[1:] {
		if p.Strings[r.key] != p.Strings[out[len(out)-1].key] {
			out = append(out, r)
		}
	}
	return out
}

func hashOf(p *profile.Profile, refs []labelRef) uint64 {
	var h uint64
	for _, r := range refs {
		const odd = 0x9e3779b97f4a7c15
		h = (h ^ xxhash.Sum64String(p.Strings[r.key])) * odd
		h = (h ^ xxhash.Sum64String(p.Strings[r.value])) * odd
	}
	return h
}

func equalSets(p *profile.Profile, a, b []labelRef) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if p.Strings[a[i].key] != p.Strings[b[i].key] || p.Strings[a[i].value] != p.Strings[b[i].value] {
			return false
		}
	}
	return true
}

// find looks a set up without its hash.
func (t *labelTable) find(p *profile.Profile, refs []labelRef) (uint32, bool) {
	for i, set := range t.sets {
		if equalSets(p, set, refs) {
			return uint32(i + 1), true
		}
	}
	return 0, false
}

// add keeps a copy of a new set and returns its group.
func (t *labelTable) add(refs []labelRef) uint32 {
	var set []labelRef
	if n := len(t.pool); n > 0 {
		set, t.pool = t.pool[n-1][:0], t.pool[:n-1]
	}
	t.sets = append(t.sets, append(set, refs...))
	return uint32(len(t.sets))
}

// finish writes the sets out as LabelSets.
func (t *labelTable) finish(p *profile.Profile) {
	p.LabelSets = append(p.LabelSets, nil)
	for i, set := range t.sets {
		if i == len(t.pairs) {
			t.pairs = append(t.pairs, nil)
		}
		pairs := t.pairs[i][:0]
		for _, r := range set {
			pairs = append(pairs, profile.LabelPair{Name: p.Strings[r.key], Value: p.Strings[r.value]})
		}
		t.pairs[i] = pairs
		p.LabelSets = append(p.LabelSets, pairs)
	}
}
