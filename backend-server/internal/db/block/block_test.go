package block_test

import (
	"context"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/dbtest"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const start = profile.UnixMilli(1_700_000_000_000)

var everything = profile.TimeRange{Start: start, End: start + 3_600_000}

// memoryLog is a log that keeps nothing.
type memoryLog struct{}

func (memoryLog) Enqueue([]byte) (wal.Ticket, error)     { return 0, nil }
func (memoryLog) Wait(context.Context, wal.Ticket) error { return nil }
func (memoryLog) Last() wal.Ticket                       { return 0 }

// fill returns a head with n records and their twin.
func fill(t testing.TB, n int) (*head.Head, *dbtest.Twin) {
	t.Helper()
	gen := &dbtest.Generator{Rng: rand.New(rand.NewPCG(3, 4)), Start: start, Length: 3_600_000}
	h := head.New(ulid.ULID{1}, memoryLog{})
	twin := new(dbtest.Twin)
	for range n {
		rec := gen.Record()
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
		twin.Add(rec)
	}
	return h, twin
}

func requireSame(t *testing.T, twin *dbtest.Twin, q query.Queryable) {
	t.Helper()
	ctx := context.Background()
	for _, typ := range dbtest.Types {
		sel := query.Selection{Type: typ, Range: everything}
		tree, err := query.Tree(ctx, []query.Queryable{q}, sel)
		require.NoError(t, err)
		require.Equal(t, twin.Tree(sel), dbtest.FlattenTree(tree))
		prof, err := query.Profile(ctx, []query.Queryable{q}, sel)
		require.NoError(t, err)
		require.Equal(t, twin.Profile(sel), dbtest.FlattenProfile(prof))
		sel.Spans = dbtest.Spans
		tree, err = query.Tree(ctx, []query.Queryable{q}, sel)
		require.NoError(t, err)
		require.Equal(t, twin.Tree(sel), dbtest.FlattenTree(tree))
	}
}

func TestWriteAndRead(t *testing.T) {
	h, twin := fill(t, 300)
	requireSame(t, twin, h)
	dir := filepath.Join(t.TempDir(), "block")
	meta, err := block.Write(context.Background(), vfs.OS{}, dir, ulid.ULID{2}, h, everything)
	require.NoError(t, err)
	require.Equal(t, int64(len(dbtest.Services)), meta.Stats.Partitions)
	b, err := block.OpenDir(dir)
	require.NoError(t, err)
	defer b.Close()
	require.Equal(t, query.Origin{ID: ulid.ULID{2}, Parent: ulid.ULID{1}}, b.Origin())
	requireSame(t, twin, b)
	for _, rec := range twin.Records {
		found, err := b.Has(context.Background(), head.Key(&rec))
		require.NoError(t, err)
		require.True(t, found)
	}
	found, err := b.Has(context.Background(), 12345)
	require.NoError(t, err)
	require.False(t, found)
}

func TestNothingToWrite(t *testing.T) {
	h, _ := fill(t, 10)
	dir := filepath.Join(t.TempDir(), "block")
	meta, err := block.Write(context.Background(), vfs.OS{}, dir, ulid.ULID{2}, h, profile.TimeRange{Start: 1, End: 2})
	require.NoError(t, err)
	require.Nil(t, meta)
	require.NoDirExists(t, dir)
}

var rewrite = flag.Bool("rewrite-golden", false, "write the golden block anew: only together with a new format version")

// The block in testdata must be readable by every later version.
func TestGoldenBlock(t *testing.T) {
	h, twin := fill(t, 40)
	dir := filepath.Join("testdata", "v1")
	if *rewrite {
		require.NoError(t, os.RemoveAll(dir))
		_, err := block.Write(context.Background(), vfs.OS{}, dir, ulid.ULID{9}, h, everything)
		require.NoError(t, err)
	}
	b, err := block.OpenDir(dir)
	require.NoError(t, err)
	defer b.Close()
	requireSame(t, twin, b)
}

// memorySource is a block in memory.
type memorySource []byte

func (m memorySource) ReadAt(_ context.Context, name string, p []byte, off int64) error {
	if name != block.DataFile || off < 0 || off+int64(len(p)) > int64(len(m)) {
		return fault.New(fault.Corrupt, "%s: %d bytes at %d of %d", name, len(p), off, len(m))
	}
	copy(p, m[off:])
	return nil
}

// Damage is found or does no harm; it never brings the process down.
func TestDamage(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "v1", block.DataFile))
	require.NoError(t, err)
	raw, err := os.ReadFile(filepath.Join("testdata", "v1", block.MetaFile))
	require.NoError(t, err)
	meta, err := block.ReadMeta(raw)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		broken := append(memorySource(nil), data...)
		broken[rng.IntN(len(broken))] ^= byte(1 + rng.IntN(255))
		b, err := block.Open(context.Background(), meta, broken)
		require.NoError(t, err)
		requireCorrupt(t, readAll(b))
	}
}

// readAll asks a block for everything and returns what failed.
func readAll(b *block.Block) []error {
	ctx := context.Background()
	var errs []error
	for _, typ := range dbtest.Types {
		sel := query.Selection{Type: typ, Range: everything}
		_, err := query.Tree(ctx, []query.Queryable{b}, sel)
		errs = append(errs, err)
		sel.Spans = dbtest.Spans
		_, err = query.Profile(ctx, []query.Queryable{b}, sel)
		errs = append(errs, err)
	}
	_, err := query.LabelNames(ctx, []query.Queryable{b}, nil, everything)
	errs = append(errs, err)
	_, err = b.Has(ctx, 1)
	errs = append(errs, err)
	parts, err := b.Partitions(ctx)
	errs = append(errs, err)
	for p := range parts {
		groups, err := b.Groups(ctx, uint32(p))
		errs = append(errs, err)
		for _, g := range groups {
			_, err := b.ScanSums(ctx, uint32(p), g, everything, func(*query.Row) error { return nil })
			errs = append(errs, err)
		}
	}
	return errs
}

// requireCorrupt wants every failure to be of kind Corrupt.
func requireCorrupt(t *testing.T, errs []error) {
	t.Helper()
	for _, err := range errs {
		require.True(t, err == nil || fault.Is(err, fault.Corrupt), "%v", err)
	}
}

// FuzzSection gives a block a section of the tail with other content and a
// checksum that agrees with it.
func FuzzSection(f *testing.F) {
	data, meta := summedBlock(f)
	raw, err := meta.Marshal()
	require.NoError(f, err)
	for i, s := range meta.Sections {
		f.Add(uint8(i), []byte(data[s.Offset:s.Offset+s.Size]))
	}
	f.Fuzz(func(t *testing.T, section uint8, content []byte) {
		m, err := block.ReadMeta(raw)
		require.NoError(t, err)
		s := &m.Sections[1+int(section)%(len(m.Sections)-1)]
		s.Offset, s.Size, s.CRC = int64(len(data)), int64(len(content)), block.Checksum(content)
		whole := append(append(memorySource(nil), data...), content...)
		m.Files[0].Size = int64(len(whole))
		b, err := block.Open(context.Background(), m, whole)
		require.NoError(t, err)
		requireCorrupt(t, readAll(b))
	})
}

// FuzzColumns damages the columns, whose pages have checksums of their own.
func FuzzColumns(f *testing.F) {
	data, meta := summedBlock(f)
	f.Add(uint32(0), []byte{1})
	f.Add(uint32(5), []byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, at uint32, change []byte) {
		broken := append(memorySource(nil), data...)
		for i, c := range change {
			broken[(int(at)+i)%int(meta.Sections[0].Size)] ^= c
		}
		b, err := block.Open(context.Background(), meta, broken)
		require.NoError(t, err)
		requireCorrupt(t, readAll(b))
	})
}

func FuzzReadMeta(f *testing.F) {
	raw, err := os.ReadFile(filepath.Join("testdata", "v1", block.MetaFile))
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte(`{"version":1,"files":[{}]}`))
	data, err := os.ReadFile(filepath.Join("testdata", "v1", block.DataFile))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := block.ReadMeta(b)
		if err != nil {
			require.True(t, fault.Is(err, fault.Corrupt))
			return
		}
		again, err := m.Marshal()
		require.NoError(t, err)
		require.True(t, json.Valid(again))
		if m.Size() > 1<<20 {
			return // what a reader would take memory for, since the file would be that large
		}
		opened, err := block.Open(context.Background(), m, memorySource(data))
		require.NoError(t, err)
		requireCorrupt(t, readAll(opened))
	})
}
