package block

import (
	"bufio"
	"encoding/json"
	"hash/crc32"
	"io"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Names of a block's files.
const (
	MetaFile = "meta.json"
	DataFile = "data.hearth"
)

// Version is the format written. A reader refuses newer ones.
const Version = 1

// Meta describes a block. It is stored as JSON in MetaFile.
type Meta struct {
	Version int       `json:"version"`
	ID      ulid.ULID `json:"ulid"`
	// Parent is the head that the block was cut from.
	Parent ulid.ULID `json:"parent"`
	// Source is the database that took the profiles in, see query.Origin.
	Source ulid.ULID `json:"source,omitzero"`
	// MinTime and MaxTime are the times of the first and the last profile, in
	// milliseconds since the epoch, both included.
	MinTime profile.UnixMilli `json:"minTime"`
	MaxTime profile.UnixMilli `json:"maxTime"`
	Stats   Stats             `json:"stats"`
	// Services are the services that the block has profiles of, sorted; nil if
	// they are too many to be listed, or the block is from before they were.
	Services []string `json:"services,omitempty"`
	// Compaction is how the block came about; nil for one cut from a head.
	Compaction *Compaction `json:"compaction,omitempty"`
	// Files are the block's files but MetaFile.
	Files    []File    `json:"files"`
	Sections []Section `json:"sections"`
}

// Stats are counts over a block.
type Stats struct {
	Partitions int64 `json:"partitions"`
	Series     int64 `json:"series"`
	Rows       int64 `json:"rows"`    // one a profile and independent sample type
	Samples    int64 `json:"samples"` // values over all rows
}

// Compaction says what a block was made of by a compactor. Together, the Shards
// blocks of one Job hold each profile of the Inputs once, but for those that
// were deleted.
type Compaction struct {
	// Job is the ID that the blocks made together share.
	Job ulid.ULID `json:"job"`
	// Inputs are all blocks whose place the blocks of the job take: those that
	// were read, and those whose place these had taken.
	Inputs []ulid.ULID `json:"inputs"`
	// Level is how many times profiles of the block were compacted.
	Level int `json:"level"`
	// Shard is the number of the block, counted from 0, among Shards. A service
	// is in one shard.
	Shard  int `json:"shard"`
	Shards int `json:"shards"`
	// Applied names the deletions that nothing in the block falls under any more.
	Applied []string `json:"applied,omitempty"`
}

// File is one file of a block.
type File struct {
	Name string `json:"name"`
	Size int64  `json:"sizeBytes"`
	CRC  uint32 `json:"crc32c"`
}

// Section is one part of DataFile.
type Section struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Size   int64  `json:"sizeBytes"`
	CRC    uint32 `json:"crc32c"`
}

// Names of the sections of DataFile: the columns of the large tables, those of
// the small ones, the index, and the footer of each table under its name.
const (
	sectionColumns    = "columns"
	sectionTables     = "tables"
	sectionIndex      = "index"
	sectionRows       = "rows"
	sectionSums       = "sums"
	sectionSpans      = "spans"
	sectionPartitions = "partitions"
	sectionGroups     = "groups"
	sectionRowSeries  = "row_series"
	sectionSeries     = "series"
	sectionDigests    = "digests"
	sectionCounters   = "counters"
	sectionSince      = "since"
	sectionTexts      = "texts"
	sectionStrings    = "strings"
	sectionMappings   = "mappings"
	sectionFunctions  = "functions"
	sectionLines      = "lines"
	sectionLocations  = "locations"
	sectionNodes      = "nodes"
	sectionStacks     = "stacks"
)

// Origin tells which data the block is.
func (m *Meta) Origin() query.Origin {
	return query.Origin{ID: m.ID, Parent: m.Parent, Source: m.Source}
}

// TimeRange is the range of the block's profiles.
func (m *Meta) TimeRange() profile.TimeRange {
	return profile.TimeRange{Start: m.MinTime, End: m.MaxTime}
}

// Size is the size of the block's files but MetaFile, in bytes.
func (m *Meta) Size() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// ReadMeta parses and checks what MetaFile holds.
func ReadMeta(b []byte) (*Meta, error) {
	m := new(Meta)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fault.New(fault.Corrupt, "block meta: %w", err)
	}
	if m.Version < 1 || m.Version > Version {
		return nil, fault.New(fault.Corrupt, "block meta: version %d; this program reads 1 to %d", m.Version, Version)
	}
	if len(m.Files) != 1 || m.Files[0].Name != DataFile || m.MinTime > m.MaxTime {
		return nil, fault.New(fault.Corrupt, "block meta of %s: %d files, times %d to %d", m.ID, len(m.Files), m.MinTime, m.MaxTime)
	}
	if c := m.Compaction; c != nil && (c.Shard < 0 || c.Shard >= c.Shards || c.Level < 1) {
		return nil, fault.New(fault.Corrupt, "block meta of %s: shard %d of %d, level %d", m.ID, c.Shard, c.Shards, c.Level)
	}
	for _, s := range m.Sections {
		if s.Offset < 0 || s.Size < 0 || s.Offset > m.Files[0].Size-s.Size {
			return nil, fault.New(fault.Corrupt, "block meta of %s: section %s at %d has %d bytes in a file of %d", m.ID, s.Name, s.Offset, s.Size, m.Files[0].Size)
		}
	}
	return m, nil
}

// Marshal returns the JSON of m.
func (m *Meta) Marshal() ([]byte, error) { return json.Marshal(m) }

// tail is the part of DataFile that says where everything in it is: all behind
// the columns.
func (m *Meta) tail() extent {
	for _, s := range m.Sections {
		if s.Name == sectionColumns {
			at := s.Offset + s.Size
			return extent{at, m.Files[0].Size - at}
		}
	}
	return extent{0, m.Files[0].Size}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// dataWriter writes DataFile and keeps the checksums of file and sections.
type dataWriter struct {
	w        *bufio.Writer
	size     int64
	crc      uint32
	sections []Section
}

func newDataWriter(w io.Writer) *dataWriter { return &dataWriter{w: bufio.NewWriterSize(w, 64<<10)} }

// Write implements io.Writer.
func (d *dataWriter) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	s := &d.sections[len(d.sections)-1]
	s.CRC = crc32.Update(s.CRC, castagnoli, p[:n])
	s.Size += int64(n)
	d.crc = crc32.Update(d.crc, castagnoli, p[:n])
	d.size += int64(n)
	return n, err
}

// Offset implements table.Sink.
func (d *dataWriter) Offset() int64 { return d.size }

func (d *dataWriter) begin(name string) {
	d.sections = append(d.sections, Section{Name: name, Offset: d.size})
}

// Checksum is the checksum of a section's content.
func Checksum(content []byte) uint32 { return crc32.Checksum(content, castagnoli) }
