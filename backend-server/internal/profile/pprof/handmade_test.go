package pprof_test

import (
	"bytes"
	"encoding/binary"
	"strings"

	google "github.com/google/pprof/profile"
	"github.com/klauspost/compress/gzip"
)

// A msg is a protobuf message under construction, field by field, so that
// tests decide the order and form of every field.
type msg []byte

func (m msg) num(field int, v uint64) msg {
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3), v)
}

func (m msg) bytes(field int, b []byte) msg {
	m = binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3|2), uint64(len(b)))
	return append(m, b...)
}

func (m msg) packed(field int, vs ...uint64) msg {
	var b []byte
	for _, v := range vs {
		b = binary.AppendUvarint(b, v)
	}
	return m.bytes(field, b)
}

func (m msg) strings(table ...string) msg {
	for _, s := range table {
		m = m.bytes(6, []byte(s))
	}
	return m
}

// tinyTable is the string table of tiny.
var tinyTable = []string{"", "cpu", "nanoseconds", "main.leaf", "main.go", "main.root", "samples", "count", "key", "value"}

// tiny is a valid profile of one stack, in the order of the fields' numbers.
func tiny() msg {
	return msg{}.
		bytes(1, msg{}.num(1, 6).num(2, 7)).bytes(1, msg{}.num(1, 1).num(2, 2)).
		bytes(2, msg{}.packed(1, 1, 2).packed(2, 1, 10)).
		bytes(3, msg{}.num(1, 1).num(7, 1)).
		bytes(4, msg{}.num(1, 1).num(2, 1).num(3, 16).bytes(4, msg{}.num(1, 1).num(2, 7))).
		bytes(4, msg{}.num(1, 2).num(2, 1).num(3, 32).bytes(4, msg{}.num(1, 2).num(2, 9))).
		bytes(5, msg{}.num(1, 1).num(2, 3).num(3, 3).num(4, 4)).
		bytes(5, msg{}.num(1, 2).num(2, 5).num(3, 5).num(4, 4)).
		strings(tinyTable...).
		num(9, 1700000000000000000).num(10, 10e9).
		bytes(11, msg{}.num(1, 1).num(2, 2)).num(12, 10_000_000)
}

// backwards is tiny with the string table last, messages before what they refer
// to, numbers unpacked, IDs out of order, and fields that nobody knows.
func backwards() msg {
	return msg{}.
		num(99, 5).bytes(98, []byte("unknown")).
		bytes(2, msg{}.num(2, 1).num(1, 700).num(1, 3).num(2, 10).num(77, 1)).
		bytes(4, msg{}.bytes(4, msg{}.num(2, 7).num(1, 1<<40)).num(1, 700).num(2, 9)).
		bytes(4, msg{}.bytes(4, msg{}.num(2, 9).num(1, 2)).num(1, 3).num(2, 9)).
		bytes(5, msg{}.num(2, 3).num(1, 1<<40)).
		bytes(5, msg{}.num(2, 5).num(1, 2)).
		bytes(3, msg{}.num(1, 9)).
		num(12, 10_000_000).bytes(11, msg{}.num(2, 2).num(1, 1)).num(10, 10e9).num(9, 1700000000000000000).
		bytes(1, msg{}.num(2, 7).num(1, 6)).bytes(1, msg{}.num(1, 1).num(2, 2)).
		strings(tinyTable...)
}

// handmade returns messages that no encoder writes.
func handmade() map[string][]byte {
	return map[string][]byte{
		"tiny":          tiny(),
		"backwards":     backwards(),
		"fixed fields":  append(tiny(), 0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0x9d, 0x06, 1, 2, 3, 4),
		"no samples":    msg{}.bytes(1, msg{}.num(1, 1)).strings("", "x"),
		"no types":      msg{}.strings("", "x"),
		"two times":     tiny().num(9, 1),
		"two packs":     tiny().bytes(2, msg{}.packed(1, 1).packed(1, 2).packed(2, 3).num(2, 4)),
		"no frames":     tiny().bytes(2, msg{}.packed(2, 1, 2)),
		"long varint":   tiny().bytes(2, append(msg{}.packed(2, 1), 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)),
		"missing map":   tiny().bytes(4, msg{}.num(1, 3).num(2, 99)),
		"gzip of tiny":  compress(tiny()),
		"gzip of junk":  compress([]byte("junk")),
		"empty message": tiny().bytes(2, nil),
		"as from Go": tiny().
			bytes(4, msg{}.num(1, 3).num(3, 1<<40).bytes(4, msg{}.num(1, 1).num(2, 300)).bytes(4, msg{}.num(1, 2)).num(2, 1)).
			bytes(2, msg{}.num(2, 1).num(2, 10_000_000).packed(1, 3, 2).bytes(3, msg{}.num(1, 8).num(3, 1<<20))),
		"labelled": tiny().
			bytes(2, msg{}.packed(1, 1, 2).packed(2, 1, 10).bytes(3, msg{}.num(1, 8).num(2, 9))).
			bytes(2, msg{}.packed(1, 1, 2).packed(2, 2, 20)),
		"shapes": wire(&google.Profile{
			SampleType: []*google.ValueType{{Type: "x"}},
			Function:   shapes, Location: []*google.Location{{ID: 1, Line: []google.Line{{Function: shapes[0]}, {Function: shapes[1]}}}},
		}),
	}
}

var shapes = []*google.Function{
	{ID: 1, Name: "slices.Sort[go.shape.[]int,go.shape.int].func1"},
	{ID: 2, Name: "a[go.shape.b"},
}

// wire encodes p, with one sample for each of its locations added.
func wire(p *google.Profile) []byte {
	for _, l := range p.Location {
		p.Sample = append(p.Sample, &google.Sample{Location: []*google.Location{l}, Value: make([]int64, len(p.SampleType))})
		p.Sample[len(p.Sample)-1].Value[0] = 1
	}
	return encode(p)
}

func encode(p *google.Profile) []byte {
	var b bytes.Buffer
	if err := p.WriteUncompressed(&b); err != nil {
		panic(err) // writing to memory does not fail
	}
	return b.Bytes()
}

func compress(parts ...[]byte) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		w := gzip.NewWriter(&b)
		w.Write(p)
		w.Close()
	}
	return b.Bytes()
}

// deep returns a profile whose one stack has depth frames, f0 being the leaf.
func deep(depth, inlined int) *google.Profile {
	p := &google.Profile{SampleType: []*google.ValueType{{Type: "samples", Unit: "count"}}}
	s := &google.Sample{Value: []int64{5}}
	for n := 0; n < depth; n += inlined {
		l := &google.Location{ID: uint64(len(p.Location) + 1)}
		for i := range inlined {
			f := &google.Function{ID: uint64(len(p.Function) + 1), Name: "f" + strings.Repeat("x", n+i)}
			p.Function = append(p.Function, f)
			l.Line = append(l.Line, google.Line{Function: f})
		}
		p.Location = append(p.Location, l)
		s.Location = append(s.Location, l)
	}
	p.Sample = append(p.Sample, s)
	return p
}
