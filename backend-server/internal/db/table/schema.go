package table

import (
	"fmt"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Kind is the type of a column and how it is encoded.
type Kind uint8

// The kinds of columns.
const (
	Uint32 Kind = iota // split into byte streams
	Uint64             // split into byte streams
	Random             // 64-bit numbers without a pattern, plain
	Bytes              // byte strings, plain
)

// Column is one column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Schema is the columns of a table.
type Schema struct {
	Name    string
	Columns []Column
}

// Compression says how pages are compressed. A reader takes either.
type Compression uint8

// The kinds of compression.
const (
	Zstd Compression = iota
	None
)

// String returns the name of c.
func (c Compression) String() string {
	if c == None {
		return "none"
	}
	return "zstd"
}

// Set makes a *Compression a flag.Value.
func (c *Compression) Set(s string) error {
	switch s {
	case "zstd":
		*c = Zstd
	case "none":
		*c = None
	default:
		return fmt.Errorf("unknown compression %q; zstd and none are known", s)
	}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (c Compression) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Compression) UnmarshalText(b []byte) error { return c.Set(string(b)) }

func (c Compression) codec() format.CompressionCodec {
	if c == None {
		return format.Uncompressed
	}
	return format.Zstd
}

func (k Kind) physical() format.Type {
	switch k {
	case Uint32:
		return format.Int32
	case Bytes:
		return format.ByteArray
	}
	return format.Int64
}

func (k Kind) encoding() format.Encoding {
	if k == Random || k == Bytes {
		return format.Plain
	}
	return format.ByteStreamSplit
}

// width is the size of a number in bytes.
func (k Kind) width() int {
	if k == Uint32 {
		return 4
	}
	return 8
}

// elements is the schema as a footer states it.
func (s *Schema) elements() []format.SchemaElement {
	out := []format.SchemaElement{{Name: s.Name, NumChildren: thrift.New(int32(len(s.Columns)))}}
	for _, c := range s.Columns {
		e := format.SchemaElement{Name: c.Name, Type: thrift.New(c.Kind.physical()), RepetitionType: thrift.New(format.Required)}
		switch c.Kind {
		case Uint32:
			e.ConvertedType = thrift.New(deprecated.Uint32)
		case Uint64, Random:
			e.ConvertedType = thrift.New(deprecated.Uint64)
		}
		out = append(out, e)
	}
	return out
}
