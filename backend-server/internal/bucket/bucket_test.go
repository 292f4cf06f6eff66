package bucket

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

var id = ulid.MustParse("01ARZ3NDEKTSV4RRFFQ69G5FAV")

func open(t *testing.T, prefix string) (objstore.Bucket, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "some", "bucket")
	b, err := Open(Config{Backend: Filesystem, Dir: dir, Prefix: prefix}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return b, dir
}

// testBlock is a block of two files, kept in a map.
func testBlock(content map[string]string) Block {
	b := Block{Tenant: "team-a", ID: id, Meta: []byte(`{"version":1}`)}
	for _, name := range []string{"index.tsdb", "profiles.parquet"} {
		data := []byte(content[name])
		b.Files = append(b.Files, File{name, int64(len(data)), crc32.Checksum(data, castagnoli)})
	}
	b.Open = func(name string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte(content[name]))), nil
	}
	return b
}

func content() map[string]string {
	return map[string]string{"index.tsdb": "0123456789", "profiles.parquet": "abcdefgh"}
}

func TestUploadListRead(t *testing.T) {
	for _, prefix := range []string{"", "shared/hearth"} {
		ctx := t.Context()
		bkt, dir := open(t, prefix)
		tenants, err := Tenants(ctx, bkt)
		require.NoError(t, err)
		require.Empty(t, tenants)

		require.NoError(t, Upload(ctx, bkt, testBlock(content())))
		require.FileExists(t, filepath.Join(dir, prefix, "team-a/blocks", id.String(), "meta.json"))
		require.NoError(t, os.MkdirAll(filepath.Join(dir, prefix, "team-a/blocks/not-a-ulid/x"), 0o755))

		tenants, err = Tenants(ctx, bkt)
		require.NoError(t, err)
		require.Equal(t, []string{"team-a"}, tenants)
		blocks, err := Blocks(ctx, bkt, "team-a")
		require.NoError(t, err)
		require.Equal(t, []ulid.ULID{id}, blocks)
		meta, err := Meta(ctx, bkt, "team-a", id)
		require.NoError(t, err)
		require.Equal(t, `{"version":1}`, string(meta))

		src := NewSource(bkt, "team-a", id)
		p := make([]byte, 4)
		require.NoError(t, src.ReadAt(ctx, "index.tsdb", p, 3))
		require.Equal(t, "3456", string(p))
		require.NoError(t, src.ReadAt(ctx, "index.tsdb", nil, 10))
		require.True(t, fault.Is(src.ReadAt(ctx, "index.tsdb", p, 8), fault.Corrupt))
		require.True(t, fault.Is(src.ReadAt(ctx, "nothing", p, 0), fault.NotFound))
		_, err = Meta(ctx, bkt, "team-b", id)
		require.True(t, fault.Is(err, fault.NotFound))
	}
}

// failing fails the uploads of one object, after half of it, non-atomically.
type failing struct {
	objstore.Bucket
	dir, name string
	uploads   []string
}

func (f *failing) Upload(ctx context.Context, name string, r io.Reader, o ...objstore.ObjectUploadOption) error {
	f.uploads = append(f.uploads, lastPart(name))
	if lastPart(name) != f.name {
		return f.Bucket.Upload(ctx, name, r, o...)
	}
	half := make([]byte, 5)
	_, _ = io.ReadFull(r, half)
	if err := os.MkdirAll(filepath.Dir(filepath.Join(f.dir, name)), 0o755); err != nil {
		return err
	}
	return errors.Join(errors.New("connection lost"), os.WriteFile(filepath.Join(f.dir, name), half, 0o644))
}

func TestUploadGoesOnWhereItEnded(t *testing.T) {
	ctx := t.Context()
	bkt, dir := open(t, "")
	f := &failing{Bucket: bkt, dir: dir, name: "profiles.parquet"}
	require.ErrorContains(t, Upload(ctx, f, testBlock(content())), "profiles.parquet: connection lost")
	_, err := Meta(ctx, bkt, "team-a", id)
	require.True(t, fault.Is(err, fault.NotFound), "a block is there only when it is whole")

	f.name, f.uploads = "", nil
	require.NoError(t, Upload(ctx, f, testBlock(content())))
	require.Equal(t, []string{"profiles.parquet", "meta.json"}, f.uploads)
	f.uploads = nil
	require.NoError(t, Upload(ctx, f, testBlock(content())))
	require.Empty(t, f.uploads, "a whole block is not uploaded again")
}

func TestUploadReplacesAnObjectOfTheRightSizeButWrongContent(t *testing.T) {
	ctx := t.Context()
	bkt, dir := open(t, "")
	require.NoError(t, Upload(ctx, bkt, testBlock(content())))
	name := filepath.Join(dir, "team-a/blocks", id.String(), "index.tsdb")
	require.NoError(t, os.WriteFile(name, make([]byte, 10), 0o644))
	require.NoError(t, Upload(ctx, bkt, testBlock(content())))
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(got))
}

func TestABrokenBlockIsNotUploaded(t *testing.T) {
	ctx := t.Context()
	bkt, dir := open(t, "")
	b := testBlock(content())
	b.Files[1].CRC++
	err := Upload(ctx, bkt, b)
	require.True(t, fault.Is(err, fault.Corrupt), "%v", err)
	require.NoFileExists(t, filepath.Join(dir, "team-a/blocks", id.String(), "profiles.parquet"))
	require.NoFileExists(t, filepath.Join(dir, "team-a/blocks", id.String(), "meta.json"))
	entries, err := os.ReadDir(filepath.Join(dir, "team-a/blocks", id.String()))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing half-written stays")
}

func TestConfig(t *testing.T) {
	c := Config{Backend: "tape", Prefix: "/a/../b"}
	problems := c.Validate()
	require.Len(t, problems, 2)
	require.ErrorContains(t, problems[0], `-storage.backend: "tape" is not allowed; want one of filesystem, s3, gcs, azure, swift`)
	for _, ok := range []string{"", "a", "a-b/c_9"} {
		c = Config{Backend: Filesystem, Prefix: ok}
		require.Empty(t, c.Validate(), ok)
	}
}
