package head

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// isCounter reports whether a series has running totals of a sample type: what
// was allocated since the process began, unless the sender has taken the
// differences. Such a series keeps the difference of each profile to the one
// before it, by stack, after samples of equal stacks are summed.
//
//   - The first profile yields nothing: nobody knows since when it counts.
//   - A total that falls, or is gone, says that the process began anew. Nobody
//     knows when, so that profile yields nothing of its type and is what the
//     next one is compared with.
//   - A profile that is not newer than the one compared with yields nothing and
//     changes nothing.
//
// Totals are not taken apart by span.
func isCounter(lset labels.Labels, column profile.ValueType) bool {
	return profile.IsCounter(lset, column.Type)
}

// totals are what the next profile of a counter is compared with. Their memory
// is written again with every profile; no reader ever has it.
type totals struct {
	known bool
	time  profile.UnixMilli
	data  []byte // see appendSample
	// seen is when the counter was last known to get profiles, in milliseconds
	// since the epoch by this server's clock; 0 if it got one in this head.
	seen uint64
}

// carriedFor is how long totals are carried on without a profile, in
// milliseconds: most of those processes are gone, and there are ever more.
const carriedFor = 6 * 60 * 60 * 1000

// behind reports whether a profile of the time t is newer.
func (c *totals) behind(t profile.UnixMilli) bool { return !c.known || c.time < t }

// counts reports whether a profile of the time t has something to say about a
// counter; if its totals are all zero, only where there are others to fall from.
func (p *partition) counts(k *seriesKey, t profile.UnixMilli, zero bool) bool {
	s := p.lookUp(k)
	return s == nil && !zero || s != nil && s.totals.behind(t) && (s.totals.known || !zero)
}

// count takes the running totals in r and turns r into the difference to those
// before. It reports whether there is any. The caller holds p.mu.
func (p *partition) count(s *rowSeries, r *row, seen uint64) bool {
	if !s.totals.behind(r.time) {
		return false
	}
	difference := row{time: r.time, id: r.id, unit: r.unit}
	grown := false
	if s.totals.known {
		if since := uint64(r.time) - uint64(s.totals.time); since <= math.MaxUint32 {
			difference.since = uint32(since)
		}
		grown = difference.subtract(r.data, s.totals.data, &p.difference)
	}
	p.counterBytes -= int64(cap(s.totals.data))
	s.totals = totals{true, r.time, append(s.totals.data[:0], r.data...), seen}
	p.counterBytes += int64(cap(s.totals.data))
	*r = difference
	return grown && r.n > 0
}

// subtract makes r the samples of now less those of before, in the memory of
// buf. It returns false if a total fell.
func (r *row) subtract(now, before []byte, buf *[]byte) bool {
	n, b := sampleReader{rest: now}, sampleReader{rest: before}
	out, previous := (*buf)[:0], uint64(0)
	left := b.next()
	for n.next() {
		if left && b.stack < n.stack {
			return false
		}
		v := n.value
		if left && b.stack == n.stack {
			if v < b.value {
				return false
			}
			v -= b.value
			left = b.next()
		}
		if v == 0 {
			continue
		}
		out = appendSample(out, uint32(n.stack-previous), int64(v))
		previous = n.stack
		r.total, _ = profile.AddSaturating(r.total, int64(v))
		r.n++
	}
	*buf, r.data = out, out
	return !left
}

// sampleReader reads the samples of a row that is whole (H2).
type sampleReader struct {
	rest         []byte
	stack, value uint64
}

func (s *sampleReader) next() bool {
	if len(s.rest) == 0 {
		return false
	}
	v, n := binary.Uvarint(s.rest)
	s.rest, s.stack, s.value = s.rest[n:], s.stack+v>>1, 1
	if v&1 == 0 {
		s.value, n = binary.Uvarint(s.rest)
		s.rest = s.rest[n:]
	}
	return true
}

// Carry takes over the running totals of old that are newer than h's own, and
// returns when they are in the log. A head begins with it, so that no
// difference is lost where one head ends; to do it again changes nothing. No
// Append may run meanwhile, on either head. Left out are totals that got no
// profile for carriedFor, and those that the log takes in pieces only: the next
// profile is the first then.
func (h *Head) Carry(ctx context.Context, old *Head) error {
	old.mu.RLock()
	partitions := old.mu.partitions
	old.mu.RUnlock()
	var last wal.Ticket
	for _, from := range partitions {
		from.mu.Lock()
		ticket, err := h.carry(from)
		from.mu.Unlock()
		if err != nil {
			return err
		}
		last = max(last, ticket)
	}
	if last == 0 {
		return nil
	}
	return h.log.Wait(ctx, last)
}

// carry carries the totals of a partition. The caller holds its lock.
func (h *Head) carry(from *partition) (last wal.Ticket, err error) {
	if !slices.ContainsFunc(from.series, func(s *rowSeries) bool { return s.totals.known }) {
		return 0, nil
	}
	p := h.partition(from.name)
	p.mu.Lock()
	defer p.mu.Unlock()
	c := newCarrier(from.in.View(), p.in)
	var payload []byte
	now := h.id.Time()
	for _, s := range from.series {
		seen := cmp.Or(s.totals.seen, now)
		if !s.totals.known || now > seen+carriedFor {
			continue
		}
		to := p.find(seriesKey{labels: s.labels, column: s.column, period: s.period, counter: true})
		if !to.totals.behind(s.totals.time) {
			continue
		}
		r := newRow{to, row{time: s.totals.time, unit: 1}}
		c.translate(&r.row, s.totals.data)
		payload = p.appendRecord(payload[:0], carriedRecord, seen, r.time, []newRow{r})
		ticket, err := h.log.Enqueue(payload)
		if err != nil {
			p.in.Rollback(p.logged)
			c.forget()
			if fault.Is(err, fault.TooLarge) {
				continue // or no head could be cut any more
			}
			return 0, err
		}
		last, p.logged, to.logged = ticket, p.in.Mark(), true
		p.carried(to, &r.row, seen)
	}
	h.account(p)
	return last, nil
}

// carried takes totals that were carried over. The caller holds p.mu.
func (p *partition) carried(s *rowSeries, r *row, seen uint64) {
	if s.totals.behind(r.time) {
		s.totals.known = false
		p.count(s, r, seen)
	}
}

// carrier translates the stacks of one table into those of an interner.
type carrier struct {
	table   symbols.Table
	in      *symbols.Interner
	mapper  symbols.Mapper
	source  profile.Profile
	stacks  []uint32 // index + 1 by index in table; 0 is not yet known
	samples []stackValue
}

type stackValue struct {
	stack uint32
	value int64
}

func newCarrier(t symbols.Table, in *symbols.Interner) *carrier {
	c := &carrier{table: t, in: in, stacks: make([]uint32, len(t.Stacks))}
	c.source = profile.Profile{Strings: t.Strings, Mappings: t.Mappings, Functions: t.Functions, Lines: t.Lines, Locations: t.Locations}
	return c
}

// forget is due after a Rollback of the interner.
func (c *carrier) forget() {
	c.mapper.Forget()
	clear(c.stacks)
}

func (c *carrier) stack(old uint32) uint32 {
	if c.stacks[old] == 0 {
		c.source.Frames = c.source.Frames[:0]
		for n := c.table.Stacks[old]; n != 0; n = c.table.Nodes[n].Parent {
			c.source.Frames = append(c.source.Frames, c.table.Nodes[n].Location)
		}
		c.mapper.Reset(c.in, &c.source)
		c.stacks[old] = c.mapper.Stack(&profile.Sample{FrameEnd: uint32(len(c.source.Frames))}) + 1
	}
	return c.stacks[old] - 1
}

// translate makes r the samples in data.
func (c *carrier) translate(r *row, data []byte) {
	c.samples = c.samples[:0]
	for s := (sampleReader{rest: data}); s.next(); {
		c.samples = append(c.samples, stackValue{c.stack(uint32(s.stack)), int64(s.value)})
	}
	slices.SortFunc(c.samples, func(a, b stackValue) int { return cmp.Compare(a.stack, b.stack) })
	previous := uint32(0)
	for i := 0; i < len(c.samples); r.n++ {
		stack, value := c.samples[i].stack, int64(0)
		// After a damaged log a table may have a stack twice.
		for ; i < len(c.samples) && c.samples[i].stack == stack; i++ {
			value, _ = profile.AddSaturating(value, c.samples[i].value)
		}
		r.data = appendSample(r.data, stack-previous, value)
		previous = stack
	}
}
