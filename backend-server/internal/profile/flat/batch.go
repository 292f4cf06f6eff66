package flat

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Batch is records in their encoded form, of which messages for several
// receivers are made. The zero Batch is ready for use. Once encoded it may be
// read by many goroutines, and the records and their profiles are not needed
// any more.
type Batch struct {
	encoder encoder
	buf     []byte
	symbols []span // of each profile
	records []piece
}

// span is where something lies in the bytes of a batch.
type span struct{ start, end int }

// piece is a record's part.
type piece struct {
	span
	profile int
}

// Encode replaces what the batch holds by recs. Records of one profile must
// follow each other, in order of their samples.
func (b *Batch) Encode(recs []profile.Record) {
	b.buf, b.symbols, b.records = b.buf[:0], b.symbols[:0], b.records[:0]
	var last *profile.Profile
	for i := range recs {
		if p := recs[i].Profile; p != last || i == 0 {
			start := len(b.buf)
			b.buf = b.encoder.symbols(b.buf, p)
			b.symbols, last = append(b.symbols, span{start, len(b.buf)}), p
		}
		start := len(b.buf)
		b.buf = b.encoder.record(b.buf, &recs[i])
		b.records = append(b.records, piece{span{start, len(b.buf)}, len(b.symbols) - 1})
	}
}

// Size returns how many bytes the batch holds.
func (b *Batch) Size() int { return len(b.buf) }

// MessageSize returns how many bytes Append will append.
func (b *Batch) MessageSize(items []int) int {
	n, last := 1, -1
	for _, i := range items {
		r := &b.records[i]
		if r.profile != last {
			s := b.symbols[r.profile]
			n, last = n+s.end-s.start, r.profile
		}
		n += r.end - r.start
	}
	return n
}

// Append appends the message for the records with these indices, which ascend.
func (b *Batch) Append(dst []byte, items []int) []byte {
	dst, last := append(dst, version), -1
	for _, i := range items {
		r := &b.records[i]
		if r.profile != last {
			s := b.symbols[r.profile]
			dst, last = append(dst, b.buf[s.start:s.end]...), r.profile
		}
		dst = append(dst, b.buf[r.start:r.end]...)
	}
	return dst
}

// Reset lets go of unusually large memory, so that the batch can wait in a pool.
func (b *Batch) Reset() {
	if cap(b.buf)+4*cap(b.encoder.indices)+8*cap(b.encoder.scratch) > maxKept {
		*b = Batch{}
	}
}

// Records decodes a message of a batch. The records and what they refer to are
// good until the decoder is used again, and only while message stays as it is.
func (d *Decoder) Records(message []byte) ([]profile.Record, error) {
	d.begin(message)
	var p *profile.Profile
	for len(d.r.b) > 0 {
		switch kind := d.r.byte("part"); {
		case kind == partSymbols:
			p = d.symbols()
		case kind == partRecord && p != nil:
			d.record(p)
		case kind == partRecord:
			d.r.fail("a record comes before any symbols")
		default:
			d.unknownPart(kind)
		}
	}
	if d.r.err != nil {
		return nil, d.r.err
	}
	return d.recs, nil
}

// record reads a record, whose samples are added to p as a label set of their
// own (P5).
func (d *Decoder) record(p *profile.Profile) {
	rec := profile.Record{Profile: p, ID: d.r.fixed64("record.id"), Time: profile.UnixMilli(d.r.signed("record.time")), SampleStart: len(p.Samples)}
	rec.Labels = d.labels()
	d.samples(p, d.r.count("samples"))
	if d.r.err != nil {
		return
	}
	rec.SampleEnd = len(p.Samples)
	for i := rec.SampleStart; i < rec.SampleEnd; i++ {
		p.Samples[i].Group = uint32(len(p.LabelSets))
	}
	p.LabelSets = append(p.LabelSets, nil)
	d.recs = append(d.recs, rec)
}

func (d *Decoder) labels() labels.Labels {
	d.names.Reset()
	last := ""
	for i := range d.r.count("labels") {
		name, value := d.valid(d.r.text("label name")), d.valid(d.r.text("label value"))
		if d.r.err == nil && i > 0 && name <= last {
			d.r.fail("label %q comes after %q; labels must be in order and occur once", name, last)
		}
		if d.r.err != nil {
			return labels.EmptyLabels()
		}
		d.names.Add(name, value)
		last = name
	}
	return d.names.Labels()
}
