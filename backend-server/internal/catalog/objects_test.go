package catalog

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

const team = "team-a"

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// whole returns a block as it is read from a meta file.
func whole(m *block.Meta, size int) *block.Meta {
	m.Version = block.Version
	m.Files = []block.File{{Name: block.DataFile, Size: int64(size)}}
	m.MaxTime = m.MinTime
	return m
}

// put brings a block into the bucket.
func put(t *testing.T, bkt objstore.Bucket, m *block.Meta) {
	t.Helper()
	raw, err := m.Marshal()
	require.NoError(t, err)
	folder := fmt.Sprintf("%s/blocks/%s/", team, m.ID)
	require.NoError(t, bkt.Upload(t.Context(), folder+block.DataFile, strings.NewReader(strings.Repeat("x", int(m.Files[0].Size)))))
	require.NoError(t, bkt.Upload(t.Context(), folder+block.MetaFile, bytes.NewReader(raw)))
}

func TestIndexAndMarks(t *testing.T) {
	ctx, bkt := t.Context(), objstore.NewInMemBucket()
	_, err := ReadIndex(ctx, bkt, team)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	idx := Index{
		Written: noon, Blocks: []*block.Meta{whole(plain(1), 3), whole(made(2, 9, 0, 1, id(1)), 5)},
		Erased:  []Erased{{Block: id(7), At: noon}},
		Cleared: map[ulid.ULID][]string{id(1): {"a", "b"}},
	}
	require.NoError(t, WriteIndex(ctx, bkt, team, idx))
	got, err := ReadIndex(ctx, bkt, team)
	require.NoError(t, err)
	idx.Version = version
	require.Equal(t, &idx, got)

	marked, err := Marked(ctx, bkt, team)
	require.NoError(t, err)
	require.Empty(t, marked)
	_, err = ReadMark(ctx, bkt, team, id(1))
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	want := Mark{Block: id(1), At: noon, Gone: true, Reason: "x"}
	require.NoError(t, WriteMark(ctx, bkt, team, want))
	require.NoError(t, bkt.Upload(ctx, team+"/marks/readme.txt", strings.NewReader("")))
	marked, err = Marked(ctx, bkt, team)
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{id(1)}, marked)
	mark, err := ReadMark(ctx, bkt, team, id(1))
	require.NoError(t, err)
	want.Version = version
	require.Equal(t, want, mark)
	require.NoError(t, RemoveMark(ctx, bkt, team, id(1)))
	require.NoError(t, RemoveMark(ctx, bkt, team, id(1)), "it need not be there")

	tenants, err := bucket.Tenants(ctx, bkt)
	require.NoError(t, err)
	require.Equal(t, []string{team}, tenants)
}

func gzipped(text string) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return out.Bytes()
}

func TestWhatCannotBeReadIsCorrupt(t *testing.T) {
	for _, text := range []string{"", "{", `{}`, `{"version":2}`, `{"version":1,"blocks":[{}]}`, `{"version":1,"blocks":[{"version":99}]}`, `{"version":1,"written":"x"}`} {
		_, err := decodeIndex(gzipped(text))
		require.True(t, fault.Is(err, fault.Corrupt), "%s: %v", text, err)
	}
	_, err := decodeIndex([]byte(`{"version":1}`))
	require.True(t, fault.Is(err, fault.Corrupt), "not compressed: %v", err)
	cut := gzipped(`{"version":1,"written":"2026-01-01T00:00:00Z","blocks":[]}`)
	_, err = decodeIndex(cut[:len(cut)/2])
	require.True(t, fault.Is(err, fault.Corrupt), "cut off: %v", err)
	good := fmt.Sprintf(`{"version":1,"block":"%s","at":"2026-01-01T00:00:00Z"}`, id(1))
	_, err = decodeMark([]byte(good), id(1))
	require.NoError(t, err)
	for _, text := range []string{"", "{}", strings.Replace(good, "1", "2", 1), fmt.Sprintf(`{"version":1,"block":"%s"}`, id(1))} {
		_, err := decodeMark([]byte(text), id(1))
		require.True(t, fault.Is(err, fault.Corrupt), "%s: %v", text, err)
	}
	_, err = decodeMark([]byte(good), id(2))
	require.True(t, fault.Is(err, fault.Corrupt), "of another block: %v", err)
}

func FuzzDecodeIndex(f *testing.F) {
	f.Add(`{"version":1,"blocks":[{"version":1,"files":[{"name":"data.hearth"}]}],"cleared":{}}`, true)
	f.Add("x", false)
	f.Fuzz(func(t *testing.T, text string, zip bool) {
		raw := []byte(text)
		if zip {
			raw = gzipped(text)
		}
		idx, err := decodeIndex(raw)
		require.Equal(t, err == nil, idx != nil)
		if err != nil {
			require.True(t, fault.Is(err, fault.Corrupt), "%v", err)
			return
		}
		for _, m := range NewSet(idx.Blocks...).Counting() {
			require.NotNil(t, m)
		}
	})
}

func FuzzDecodeMark(f *testing.F) {
	f.Add(fmt.Sprintf(`{"version":1,"block":"%s","at":"2026-01-01T00:00:00Z"}`, id(1)))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := decodeMark([]byte(text), id(1))
		if err != nil {
			require.True(t, fault.Is(err, fault.Corrupt), "%v", err)
			return
		}
		require.Equal(t, id(1), m.Block)
	})
}

func TestHolds(t *testing.T) {
	a, b := whole(plain(1), 3), whole(plain(2), 3)
	one, two := whole(made(11, 21, 0, 2, a.ID), 4), whole(made(12, 21, 1, 2, a.ID), 5)
	short := whole(plain(1), 2)
	for _, c := range []struct {
		name   string
		index  *Index
		bucket []*block.Meta
		want   []ulid.ULID
		kind   fault.Kind
	}{
		{name: "itself", bucket: []*block.Meta{a}, want: []ulid.ULID{a.ID}},
		{name: "nothing, not even an index", kind: fault.NotFound},
		{name: "another", index: &Index{Blocks: []*block.Meta{b}}, bucket: []*block.Meta{b}, kind: fault.NotFound},
		{name: "those in its place", bucket: []*block.Meta{one, two}, want: []ulid.ULID{one.ID, two.ID}},
		{name: "a shard that the index lacks", index: &Index{Blocks: []*block.Meta{one}}, bucket: []*block.Meta{one, two}, kind: fault.NotFound},
		{name: "a shard that the bucket lacks", index: &Index{Blocks: []*block.Meta{one, two}}, bucket: []*block.Meta{one}, kind: fault.NotFound},
		{name: "all of it was deleted", index: &Index{Erased: []Erased{{Block: a.ID, At: noon}}}, bucket: []*block.Meta{b}},
		{name: "a file that is too short", bucket: []*block.Meta{short}, kind: fault.Corrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			bkt := objstore.NewInMemBucket()
			for _, m := range c.bucket {
				put(t, bkt, m)
			}
			if c.index == nil && len(c.bucket) > 0 {
				c.index = &Index{Blocks: c.bucket}
			}
			if c.index != nil {
				require.NoError(t, WriteIndex(t.Context(), bkt, team, *c.index))
			}
			got, err := Holds(t.Context(), bkt, team, a)
			if c.kind != fault.Unknown {
				require.True(t, fault.Is(err, c.kind), "%v", err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	bkt := objstore.NewInMemBucket()
	require.NoError(t, bkt.Upload(context.Background(), team+"/"+indexFile, strings.NewReader("x")))
	_, err := Holds(t.Context(), bkt, team, a)
	require.ErrorContains(t, err, "not known")
}
