package index

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	tsdb "github.com/prometheus/prometheus/tsdb/index"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// Reader finds series in a TSDB index that Marshal has made.
type Reader struct{ *tsdb.Reader }

// byteSlice is an index in memory.
type byteSlice []byte

// Len implements tsdb.ByteSlice.
func (b byteSlice) Len() int { return len(b) }

// Range implements tsdb.ByteSlice.
func (b byteSlice) Range(start, end int) []byte { return b[start:end] }

// guard turns a panic into err: Prometheus' reader takes what it reads to be
// well-formed, and a checksum that holds does not make it so.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fault.New(fault.Corrupt, "index: content that cannot be: %v", p)
	}
}

// Open returns a reader of b, which must not change.
func Open(b []byte) (_ *Reader, err error) {
	defer guard(&err)
	if err := check(b); err != nil {
		return nil, err
	}
	r, err := tsdb.NewReader(byteSlice(b), tsdb.DecodePostingsRaw)
	if err != nil {
		return nil, fault.Mark(fault.Corrupt, fmt.Errorf("index: %w", err))
	}
	return &Reader{r}, nil
}

// check looks at what Prometheus' reader trusts: it takes memory for as many
// symbols as the table says that it has.
func check(b []byte) error {
	if len(b) < tsdb.HeaderLen || b[4] != tsdb.FormatV2 {
		return fault.New(fault.Corrupt, "index: not of format 2")
	}
	toc, err := tsdb.NewTOCFromByteSlice(byteSlice(b))
	if err != nil {
		return fault.Mark(fault.Corrupt, fmt.Errorf("index: %w", err))
	}
	if len(b) < 8 || toc.Symbols > uint64(len(b)-8) {
		return fault.New(fault.Corrupt, "index: symbols at %d of %d bytes", toc.Symbols, len(b))
	}
	if n := binary.BigEndian.Uint32(b[toc.Symbols+4:]); uint64(n) > uint64(len(b)) {
		return fault.New(fault.Corrupt, "index: %d symbols in %d bytes", n, len(b))
	}
	return nil
}

// Select calls fn with every series that all matchers match, until fn fails.
func (r *Reader) Select(ctx context.Context, fn func(Series) error, matchers ...*labels.Matcher) (err error) {
	defer guard(&err)
	postings, err := Select(ctx, r, matchers...)
	if err != nil {
		return fault.Mark(fault.Corrupt, fmt.Errorf("postings: %w", err))
	}
	var builder labels.ScratchBuilder
	var refs []chunks.Meta
	for n := 0; postings.Next(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.Series(postings.At(), &builder, &refs); err != nil {
			return fault.Mark(fault.Corrupt, fmt.Errorf("series: %w", err))
		}
		ls := builder.Labels()
		for _, c := range refs {
			if err := fn(Series{ls, uint64(c.Ref)}); err != nil {
				return err
			}
		}
	}
	if err := postings.Err(); err != nil {
		return fault.Mark(fault.Corrupt, fmt.Errorf("postings: %w", err))
	}
	return nil
}
