package blocktool

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/progress"
)

// Verdict is what Verify found out about a block.
type Verdict struct {
	Named
	Rows, Samples int64 // that were read
	Problems      []string
	More          int // problems that are not listed
}

// maxProblems is how many problems of a block are listed: what is wrong once is
// often wrong everywhere.
const maxProblems = 20

func (v *Verdict) wrong(format string, args ...any) {
	if len(v.Problems) == maxProblems {
		v.More++
		return
	}
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// Size is how many bytes Verify is going to read of a block, 0 if that cannot
// be told.
func Size(ctx context.Context, p Place, n Named) int64 {
	raw, err := p.Meta(ctx, n.Tenant, n.ID)
	if err != nil {
		return 0
	}
	meta, err := block.ReadMeta(raw)
	if err != nil {
		return 0
	}
	return meta.Size()
}

// Verify reads all of a block. What is wrong with it is in the verdict; the
// error is that of a place which does not answer.
func Verify(ctx context.Context, p Place, n Named, bar *progress.Bar) (*Verdict, error) {
	v := &Verdict{Named: n}
	b, err := open(ctx, p, n.Tenant, n.ID)
	if err == nil {
		defer b.Close()
		err = v.block(ctx, p, b, bar)
	}
	switch {
	case ctx.Err() != nil:
		return v, ctx.Err()
	case fault.Is(err, fault.NotFound):
		v.wrong("%s", Incomplete)
	case fault.Is(err, fault.Corrupt):
		v.wrong("%v", err)
	case err != nil:
		return v, fmt.Errorf("block %s: %w", n, err)
	}
	return v, nil
}

func (v *Verdict) block(ctx context.Context, p Place, b *block.Block, bar *progress.Bar) error {
	meta := b.Meta()
	if meta.ID != v.ID {
		v.wrong("meta.json is that of block %s", meta.ID)
	}
	src, closeSource, err := p.Source(v.Tenant, v.ID)
	if err != nil {
		return err
	}
	defer func() { _ = closeSource() }() // it was only read from
	if err := v.checksums(ctx, src, meta, bar); err != nil {
		return err
	}
	return v.content(ctx, b)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunk is how much of a file is read at a time: in a bucket that is a request.
const chunk = 8 << 20

// checksums reads the data file and compares it, and its sections, with what
// the meta file states.
func (v *Verdict) checksums(ctx context.Context, src block.Source, meta *block.Meta, bar *progress.Bar) error {
	file := meta.Files[0]
	sections := make([]uint32, len(meta.Sections))
	sum, buf := uint32(0), make([]byte, chunk)
	for at := int64(0); at < file.Size; {
		part := buf[:min(chunk, file.Size-at)]
		if err := src.ReadAt(ctx, file.Name, part, at); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, part)
		end := at + int64(len(part))
		for i, s := range meta.Sections {
			if from, to := max(at, s.Offset), min(end, s.Offset+s.Size); from < to {
				sections[i] = crc32.Update(sections[i], castagnoli, part[from-at:to-at])
			}
		}
		at = end
		bar.Add(int64(len(part)))
	}
	if sum != file.CRC {
		v.wrong("%s has the checksum %08x; written was %08x", file.Name, sum, file.CRC)
	}
	covered := int64(0)
	for i, s := range meta.Sections {
		covered += s.Size
		if sections[i] != s.CRC {
			v.wrong("section %s at byte %d has the checksum %08x; written was %08x", s.Name, s.Offset, sections[i], s.CRC)
		}
	}
	if covered != file.Size {
		v.wrong("sections have %d of the %d bytes of %s", covered, file.Size, file.Name)
	}
	return nil
}
