package importer

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer/pyroblock"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

// tally is what a series must come to (I4).
type tally struct {
	profiles int64
	sum      int64
}

func (t *tally) add(total int64) {
	t.profiles++
	t.sum, _ = profile.AddSaturating(t.sum, total)
}

// converter makes the rows of a spool of the profiles of a foreign block.
type converter struct {
	block *pyroblock.Block
	spool *spool
	depth int // of stacks, see distributor.Limits

	services map[string]uint32
	series   map[string]uint32 // by labels
	bySeries map[uint32]uint32 // by series of the foreign block
	stacks   map[stackScope]*stacks
	symbols  map[uint64]*pyroblock.Symbols
	seen     map[rowKey]bool

	tallies []tally // by series of the spool
	// Left out: profiles without any sample, and samples with negative values.
	empty, negative int64
	// odd are profiles whose values do not come to what is stated.
	odd int64

	samples []sample
	spans   []query.SpanSample
	decoder pprof.Decoder
	mapper  symbols.Mapper
}

// stackScope is a foreign partition and a service.
type stackScope struct {
	partition uint64
	service   uint32
}

type rowKey struct {
	series uint32
	id     uint64
}

type sample struct {
	stack uint32
	value int64
}

func newConverter(b *pyroblock.Block, s *spool, depth int) *converter {
	return &converter{
		block: b, spool: s, depth: depth, services: map[string]uint32{}, series: map[string]uint32{}, bySeries: map[uint32]uint32{},
		stacks: map[stackScope]*stacks{}, symbols: map[uint64]*pyroblock.Symbols{}, seen: map[rowKey]bool{},
	}
}

// add converts one profile.
func (c *converter) add(p *pyroblock.Profile) error {
	series, err := c.seriesOf(p.Series)
	if err != nil {
		return err
	}
	partition := c.spool.series[series].Partition
	s, err := c.stacksOf(p.Partition, partition)
	if err != nil {
		return err
	}
	if err := s.translate(p.Stacks); err != nil {
		return err
	}
	c.collect(p, s)
	if p.Stated != 0 && p.Stated != p.Sum() {
		c.odd++
	}
	if len(c.samples) == 0 {
		c.empty++
		return nil
	}
	r := &query.Row{Rows: series, Time: profile.UnixMilli(p.TimeNanos / 1e6), Unit: 1, Spans: c.spans}
	for _, one := range c.samples {
		r.Stacks, r.Values = append(r.Stacks, one.stack), append(r.Values, one.value)
		r.Total, _ = profile.AddSaturating(r.Total, one.value)
	}
	r.ID = c.identify(p, series, r)
	c.tallies[series].add(r.Total)
	return c.spool.add(r)
}

// collect sums the samples of p by stack.
func (c *converter) collect(p *pyroblock.Profile, s *stacks) {
	c.samples, c.spans = c.samples[:0], c.spans[:0]
	for i, id := range p.Stacks {
		v := p.Values[i]
		if v < 0 {
			c.negative++
		}
		if v <= 0 {
			continue
		}
		c.samples = append(c.samples, sample{s.known[id], v})
		if len(p.Spans) > 0 && p.Spans[i] != 0 {
			span := query.SpanSample{Stack: s.known[id], SpanID: p.Spans[i], Value: v}
			if len(p.Traces) > 0 {
				span.TraceID = p.Traces[i]
			}
			c.spans = append(c.spans, span)
		}
	}
	slices.SortFunc(c.samples, func(a, b sample) int { return cmp.Compare(a.stack, b.stack) })
	sums := c.samples[:0]
	for _, one := range c.samples {
		if n := len(sums); n > 0 && sums[n-1].stack == one.stack {
			sums[n-1].value, _ = profile.AddSaturating(sums[n-1].value, one.value)
		} else {
			sums = append(sums, one)
		}
	}
	c.samples = sums
	slices.SortFunc(c.spans, func(a, b query.SpanSample) int {
		return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.SpanID, b.SpanID), bytes.Compare(a.TraceID[:], b.TraceID[:]))
	})
}

// identify returns the ID of a row. All replicas of a profile, and what a
// compactor has made of them, have the same UUID, which was drawn before the
// profile was sent to ingesters, and so do its sample types. A profile without
// one is known by its time and what it comes to. Should a series have the same
// one twice, they are counted.
func (c *converter) identify(p *pyroblock.Profile, series uint32, r *query.Row) uint64 {
	var h xxhash.Digest
	h.Reset()
	var b [24]byte
	binary.BigEndian.PutUint64(b[:], uint64(r.Time))
	copy(b[8:], p.ID[:])
	if p.ID == ([16]byte{}) {
		binary.BigEndian.PutUint64(b[8:], uint64(r.Total))
	}
	_, _ = h.Write(b[:]) // never fails
	base := labels.NewBuilder(c.spool.series[series].Labels).Del(typeLabels...).Labels()
	binary.BigEndian.PutUint64(b[:], labels.StableHash(base))
	_, _ = h.Write(b[:8])
	for n := uint64(0); ; n++ {
		one := h
		if n > 0 {
			binary.BigEndian.PutUint64(b[:], n)
			_, _ = one.Write(b[:8])
		}
		key := rowKey{series, one.Sum64()}
		if !c.seen[key] {
			c.seen[key] = true
			return key.id
		}
	}
}

var typeLabels = []string{profile.LabelProfileType, profile.LabelType, profile.LabelUnit, profile.LabelPeriodType, profile.LabelPeriodUnit}

// seriesOf returns the series of the spool for one of the block.
func (c *converter) seriesOf(foreign uint32) (uint32, error) {
	if n, ok := c.bySeries[foreign]; ok {
		return n, nil
	}
	ls, err := seriesLabels(c.block.Series[foreign])
	if err != nil {
		return 0, err
	}
	key := string(ls.Bytes(nil))
	n, ok := c.series[key]
	if !ok {
		name := ls.Get(profile.LabelServiceName)
		partition, known := c.services[name]
		if !known {
			partition = uint32(len(c.spool.services))
			c.services[name] = partition
			c.spool.services = append(c.spool.services, service{name, symbols.NewInterner()})
		}
		n = c.spool.addSeries(ls, partition)
		c.series[key] = n
		c.tallies = append(c.tallies, tally{})
	}
	c.bySeries[foreign] = n
	return n, nil
}

// foreignLabels mean something to the other system alone: how series are
// sorted, and which session of a program it was.
var foreignLabels = []string{"__service_name__", "__order__", "__session_id__"}

// seriesLabels returns the labels that a series has here.
func seriesLabels(foreign labels.Labels) (labels.Labels, error) {
	t, err := profile.ParseType(foreign.Get(profile.LabelProfileType))
	if err != nil {
		return labels.Labels{}, fault.New(fault.Corrupt, "the series %s: %w", foreign, err)
	}
	b := labels.NewBuilder(foreign).Del(foreignLabels...)
	b.Set(profile.LabelName, t.Name)
	if foreign.Get(profile.LabelServiceName) == "" {
		b.Set(profile.LabelServiceName, profile.UnknownService)
	}
	column := profile.ValueType{Type: t.SampleType, Unit: t.SampleUnit}
	if profile.IsCounter(b.Labels(), t.SampleType) {
		b.Set(profile.LabelDelta, "false") // differences were taken before it was stored
	}
	return profile.TypeLabels(b.Labels(), column, profile.ValueType{Type: t.PeriodType, Unit: t.PeriodUnit}), nil
}

func (c *converter) stacksOf(partition uint64, service uint32) (*stacks, error) {
	scope := stackScope{partition, service}
	if s := c.stacks[scope]; s != nil {
		return s, nil
	}
	from := c.symbols[partition]
	if from == nil {
		var err error
		if from, err = c.block.Symbols(partition); err != nil {
			return nil, err
		}
		c.symbols[partition] = from
	}
	s := &stacks{from: from, to: c.spool.services[service].in, depth: c.depth, known: map[uint64]uint32{}, decoder: &c.decoder, mapper: &c.mapper}
	c.stacks[scope] = s
	return s, nil
}
