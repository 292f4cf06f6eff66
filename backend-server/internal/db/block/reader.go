package block

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	tsdb "github.com/prometheus/prometheus/tsdb/index"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/index"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Source is where a block's files are read from.
type Source interface {
	// ReadAt fills p with what the named file holds from off on. A file that
	// is too short is an error.
	ReadAt(ctx context.Context, name string, p []byte, off int64) error
}

// Block reads one block. It loads what a query needs when it needs it and
// keeps the small things. It is safe for concurrent use.
type Block struct {
	meta  *Meta
	src   Source
	close func() error

	index      once[*seriesIndex]
	partitions once[[]partition]
	rows       once[*rowColumns]
	ids        once[[]uint64]
	tables     [8]once[*parquet.File]

	mu struct {
		sync.Mutex
		symbols map[uint32]*once[*symbolsTable]
	}
}

var _ query.Queryable = (*Block)(nil)

// once computes a value when it is first asked for. A failure is not kept.
type once[T any] struct {
	mu      sync.Mutex
	running chan struct{} // closed when the one who computes is done; nil if nobody does
	done    bool
	v       T
}

// get returns the value. Whoever waits for another to compute it waits no
// longer than ctx lasts, and computes it should that one fail.
func (o *once[T]) get(ctx context.Context, compute func() (T, error)) (T, error) {
	for {
		o.mu.Lock()
		if o.done {
			defer o.mu.Unlock()
			return o.v, nil
		}
		running := o.running
		if running == nil {
			o.running = make(chan struct{})
			o.mu.Unlock()
			return o.compute(compute)
		}
		o.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

func (o *once[T]) compute(compute func() (T, error)) (v T, err error) {
	returned := false // rather than panicked
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if returned && err == nil {
			o.v, o.done = v, true
		}
		close(o.running)
		o.running = nil
	}()
	v, err = compute()
	returned = true
	return v, err
}

// Open returns a reader for the block that meta describes. Nothing is read
// yet. The caller must Close it.
func Open(_ context.Context, meta *Meta, src Source) (*Block, error) {
	b := &Block{meta: meta, src: src, close: func() error { return nil }}
	b.mu.symbols = map[uint32]*once[*symbolsTable]{}
	return b, nil
}

// OpenDir opens the block in a directory of the local disk.
func OpenDir(dir string) (*Block, error) {
	raw, err := os.ReadFile(filepath.Join(dir, MetaFile))
	if err != nil {
		return nil, fmt.Errorf("block meta: %w", err)
	}
	meta, err := ReadMeta(raw)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, DataFile))
	if err != nil {
		return nil, fmt.Errorf("block data: %w", err)
	}
	b, err := Open(context.Background(), meta, FileSource{f})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b.close = f.Close
	return b, nil
}

// FileSource reads DataFile from an open file.
type FileSource struct{ io.ReaderAt }

// ReadAt implements Source.
func (s FileSource) ReadAt(_ context.Context, name string, p []byte, off int64) error {
	if name != DataFile {
		return fault.New(fault.NotFound, "block file %q", name)
	}
	_, err := s.ReaderAt.ReadAt(p, off)
	return err
}

// Close releases the block's files. No method may be running or follow.
func (b *Block) Close() error { return b.close() }

// OnClose makes Close call fn too, after what it does by itself.
func (b *Block) OnClose(fn func() error) {
	first := b.close
	b.close = func() error { return errors.Join(first(), fn()) }
}

// Meta returns the block's description, which must not be changed.
func (b *Block) Meta() *Meta { return b.meta }

// Origin implements query.Queryable.
func (b *Block) Origin() query.Origin { return query.Origin{ID: b.meta.ID, Parent: b.meta.Parent} }

// TimeRange implements query.Queryable.
func (b *Block) TimeRange() profile.TimeRange { return b.meta.TimeRange() }

// maxSection bounds the sections that are read whole, so that a damaged meta
// file cannot ask for all memory.
const maxSection = 1 << 30

// load reads a section whole and checks it.
func (b *Block) load(ctx context.Context, name string) ([]byte, error) {
	s, err := b.meta.section(name)
	if err != nil {
		return nil, err
	}
	if s.Size > maxSection {
		return nil, fault.New(fault.Corrupt, "block %s: section %s of %d bytes", b.meta.ID, name, s.Size)
	}
	p := make([]byte, s.Size)
	if err := b.src.ReadAt(ctx, DataFile, p, s.Offset); err != nil {
		return nil, fmt.Errorf("block %s: section %s: %w", b.meta.ID, name, err)
	}
	if sum := crc32.Checksum(p, castagnoli); sum != s.CRC {
		return nil, fault.New(fault.Corrupt, "block %s: section %s: checksum %08x, written %08x", b.meta.ID, name, sum, s.CRC)
	}
	return p, nil
}

// loadTable reads a section that is a Parquet table.
func (b *Block) loadTable(ctx context.Context, name string) (*parquet.File, error) {
	p, err := b.load(ctx, name)
	if err != nil {
		return nil, err
	}
	return openTable(bytes.NewReader(p), int64(len(p)))
}

func openTable(r io.ReaderAt, size int64) (f *parquet.File, err error) {
	defer guard(&err)
	f, err = parquet.OpenFile(r, size, parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fault.Mark(fault.Corrupt, fmt.Errorf("parquet: %w", err))
	}
	return f, nil
}

// sectionReader reads a section by ranges.
type sectionReader struct {
	ctx context.Context
	src Source
	s   Section
}

// ReadAt implements io.ReaderAt.
func (r sectionReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= r.s.Size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), r.s.Size-off)
	if err := r.src.ReadAt(r.ctx, DataFile, p[:n], r.s.Offset+off); err != nil {
		return 0, err
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// byteSlice is an index section in memory.
type byteSlice []byte

func (b byteSlice) Len() int                    { return len(b) }
func (b byteSlice) Range(start, end int) []byte { return b[start:end] }

// seriesIndex is the TSDB index and what it refers to.
type seriesIndex struct {
	*tsdb.Reader
	refs []rowRef
}

func (b *Block) loadIndex(ctx context.Context) (*seriesIndex, error) {
	return b.index.get(ctx, func() (_ *seriesIndex, err error) {
		defer guard(&err)
		p, err := b.load(ctx, sectionIndex)
		if err != nil {
			return nil, err
		}
		r, err := tsdb.NewReader(byteSlice(p), tsdb.DecodePostingsRaw)
		if err != nil {
			return nil, fault.Mark(fault.Corrupt, fmt.Errorf("block %s: index: %w", b.meta.ID, err))
		}
		refs, err := b.loadRefs(ctx)
		return &seriesIndex{r, refs}, err
	})
}

func (b *Block) loadRefs(ctx context.Context) ([]rowRef, error) {
	f, err := b.loadTable(ctx, sectionSeries)
	if err != nil {
		return nil, err
	}
	partition, e0 := readColumn[uint32](f, 0, 0, f.NumRows())
	rows, e1 := readColumn[uint32](f, 1, 0, f.NumRows())
	scaled, e2 := readColumn[uint32](f, 2, 0, f.NumRows())
	if err := errors.Join(e0, e1, e2); err != nil {
		return nil, fmt.Errorf("block %s: series: %w", b.meta.ID, err)
	}
	out := make([]rowRef, len(rows))
	for i := range out {
		out[i] = rowRef{partition: partition[i], series: rows[i], scaled: scaled[i] == 1}
	}
	return out, nil
}

// Select implements query.Queryable.
func (b *Block) Select(ctx context.Context, matchers ...*labels.Matcher) (_ []query.Series, err error) {
	defer guard(&err)
	r, err := b.loadIndex(ctx)
	if err != nil {
		return nil, err
	}
	postings, err := index.Select(ctx, r, matchers...)
	if err != nil {
		return nil, fmt.Errorf("block %s: postings: %w", b.meta.ID, err)
	}
	var out []query.Series
	var builder labels.ScratchBuilder
	var refs []chunks.Meta
	for postings.Next() {
		if err := r.Series(postings.At(), &builder, &refs); err != nil {
			return nil, fmt.Errorf("block %s: series: %w", b.meta.ID, err)
		}
		lset := builder.Labels()
		for _, c := range refs {
			if uint64(c.Ref) >= uint64(len(r.refs)) {
				return nil, fault.New(fault.Corrupt, "block %s: series %d of %d", b.meta.ID, c.Ref, len(r.refs))
			}
			ref := r.refs[c.Ref]
			out = append(out, query.Series{Labels: lset, Partition: ref.partition, Rows: ref.series, Scaled: ref.scaled})
		}
	}
	return out, postings.Err()
}
