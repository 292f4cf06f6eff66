package pyroblock

import (
	"github.com/parquet-go/parquet-go"
)

// Profile is one row of profiles.parquet: a profile of one sample type. It is
// good until the next one is read.
type Profile struct {
	ID        [16]byte // a UUID, which all sample types and replicas share
	Series    uint32
	Partition uint64 // of the symbols
	TimeNanos int64
	// Stated is the sum of the values as the block states it, or 0.
	Stated uint64
	// The samples: stack trace IDs of the partition, not distinct, and values.
	Stacks []uint64
	Values []int64
	// Spans are the span IDs of the samples, or empty; 0 stands for none.
	Spans []uint64
	// Traces are the trace IDs, or empty.
	Traces [][16]byte
}

// Sum is the sum of the values as a block states it.
func (p *Profile) Sum() uint64 {
	n := uint64(0)
	for _, v := range p.Values {
		n += uint64(v)
	}
	return n
}

// Profiles calls fn for every profile: by series, then by time.
func (b *Block) Profiles(fn func(*Profile) error) error {
	p := new(Profile)
	return b.profiles.rows(func(v [][]parquet.Value) error {
		if err := p.read(v); err != nil {
			return err
		}
		if _, ok := b.Series[p.Series]; !ok {
			return wrong(ProfilesFile, "a profile of series %d, which %s does not have", p.Series, IndexFile)
		}
		return fn(p)
	})
}

// Rows is the number of profiles that the table states.
func (b *Block) Rows() int64 { return b.profiles.file.NumRows() }

// The columns, in the order in which they are opened.
const (
	colSeries = iota
	colTime
	colStacks
	colValues
	colID
	colPartition
	colTotal
	colSpans
	colTraces
)

func (p *Profile) read(v [][]parquet.Value) error {
	p.Series, p.TimeNanos = uint32(number(v[colSeries])), int64(number(v[colTime]))
	p.Partition, p.Stated = number(v[colPartition]), number(v[colTotal])
	p.ID = [16]byte{}
	if len(v[colID]) > 0 {
		copy(p.ID[:], v[colID][0].ByteArray())
	}
	p.Stacks, p.Values, p.Spans, p.Traces = p.Stacks[:0], p.Values[:0], p.Spans[:0], p.Traces[:0]
	stacks, values, spans, traces := list(v[colStacks]), list(v[colValues]), v[colSpans], v[colTraces]
	if len(stacks) != len(values) {
		return wrong(ProfilesFile, "a profile has %d stack traces and %d values", len(stacks), len(values))
	}
	for i := range stacks {
		p.Stacks = append(p.Stacks, scalar(stacks[i]))
		p.Values = append(p.Values, int64(scalar(values[i])))
		if len(spans) == len(stacks) {
			p.Spans = append(p.Spans, number(spans[i:i+1]))
		}
		if len(traces) == len(stacks) {
			var id [16]byte
			copy(id[:], traces[i].ByteArray())
			p.Traces = append(p.Traces, id)
		}
	}
	return nil
}
