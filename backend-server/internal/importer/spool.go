package importer

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/cursor"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// spool is rows on their way into blocks: samples in a temporary file, the rest
// in memory, about 50 bytes a row. It is what the engine writes blocks from.
type spool struct {
	origin   query.Origin
	services []service
	series   []query.Series // Rows is the index in rows, of which each has one series
	rows     [][]spooled
	in       profile.TimeRange

	file    *os.File
	out     *bufio.Writer
	size    int64
	scratch []byte
}

// service is a partition.
type service struct {
	name string
	in   *symbols.Interner
}

// spooled is a row; its samples are size bytes at offset.
type spooled struct {
	time         profile.UnixMilli
	id           uint64
	total        int64
	offset, size int64
	n            int
}

func newSpool(name string, o query.Origin) (*spool, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	return &spool{origin: o, file: f, out: bufio.NewWriterSize(f, 1<<20)}, nil
}

// addSeries adds a series and returns its number.
func (s *spool) addSeries(ls labels.Labels, partition uint32) uint32 {
	n := uint32(len(s.rows))
	s.series = append(s.series, query.Series{Labels: ls, Partition: partition, Rows: n})
	s.rows = append(s.rows, nil)
	return n
}

// add adds a row; r.Rows is the series.
func (s *spool) add(r *query.Row) error {
	b, last := s.scratch[:0], uint32(0)
	for i, stack := range r.Stacks {
		b = binary.AppendUvarint(b, uint64(stack-last))
		b = binary.AppendUvarint(b, uint64(r.Values[i]))
		last = stack
	}
	b = binary.AppendUvarint(b, uint64(len(r.Spans)))
	for _, sp := range r.Spans {
		b = binary.AppendUvarint(b, uint64(sp.Stack))
		b = binary.BigEndian.AppendUint64(b, sp.SpanID)
		b = append(b, sp.TraceID[:]...)
		b = binary.AppendUvarint(b, uint64(sp.Value))
	}
	if len(s.rows[r.Rows]) == 0 && s.size == 0 {
		s.in = profile.TimeRange{Start: r.Time, End: r.Time}
	}
	s.in.Start, s.in.End = min(s.in.Start, r.Time), max(s.in.End, r.Time)
	s.rows[r.Rows] = append(s.rows[r.Rows], spooled{r.Time, r.ID, r.Total, s.size, int64(len(b)), len(r.Stacks)})
	s.size, s.scratch = s.size+int64(len(b)), b
	_, err := s.out.Write(b)
	return err
}

// finish is due after the last row.
func (s *spool) finish() error { return s.out.Flush() }

func (s *spool) close() error { return s.file.Close() }

// Origin implements query.Queryable.
func (s *spool) Origin() query.Origin { return s.origin }

// TimeRange implements query.Queryable.
func (s *spool) TimeRange() profile.TimeRange { return s.in }

// Partitions implements block.Input.
func (s *spool) Partitions() []string {
	out := make([]string, len(s.services))
	for i := range s.services {
		out[i] = s.services[i].name
	}
	return out
}

// Select implements query.Queryable.
func (s *spool) Select(_ context.Context, matchers ...*labels.Matcher) ([]query.Series, error) {
	var out []query.Series
series:
	for _, one := range s.series {
		for _, m := range matchers {
			if !m.Matches(one.Labels.Get(m.Name)) {
				continue series
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// Symbols implements query.Queryable.
func (s *spool) Symbols(_ context.Context, partition uint32) (*symbols.Table, error) {
	t := s.services[partition].in.View()
	return &t, nil
}

// rowsPerCheck is how many rows are read between looks at the context.
const rowsPerCheck = 64

// Scan implements query.Queryable.
func (s *spool) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	var row query.Row
	var buf []byte
	for _, rows := range req.Rows {
		for i, r := range s.rows[rows] {
			if i%rowsPerCheck == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if !req.Range.Contains(r.time) {
				continue
			}
			row = query.Row{Rows: rows, Time: r.time, ID: r.id, Total: r.total, Unit: 1, N: r.n, Stacks: row.Stacks[:0], Values: row.Values[:0], Spans: row.Spans[:0]}
			if !req.TotalsOnly {
				buf = append(buf[:0], make([]byte, r.size)...)
				if _, err := s.file.ReadAt(buf, r.offset); err != nil {
					return fmt.Errorf("temporary file: %w", err)
				}
				if err := readSamples(buf, &row, req.Spans); err != nil {
					return err
				}
			}
			if err := fn(&row); err != nil {
				return err
			}
		}
	}
	return nil
}

// readSamples reads what add has written.
func readSamples(b []byte, r *query.Row, spans bool) error {
	c := cursor.New("temporary file", b)
	last := uint32(0)
	for range r.N {
		last += uint32(c.Uvarint())
		r.Stacks, r.Values = append(r.Stacks, last), append(r.Values, int64(c.Uvarint()))
	}
	for n := c.Uvarint(); n > 0 && spans && c.Err() == nil; n-- {
		sp := query.SpanSample{Stack: uint32(c.Uvarint()), SpanID: c.Uint64()}
		copy(sp.TraceID[:], c.Take(16))
		sp.Value = int64(c.Uvarint())
		r.Spans = append(r.Spans, sp)
	}
	return c.Err()
}

var _ block.Input = (*spool)(nil)
