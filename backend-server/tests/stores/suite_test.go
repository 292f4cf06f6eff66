package stores

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/bucket/buckettest"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

func TestStores(t *testing.T) {
	Each(t, func(t *testing.T, s Store) {
		t.Run("check", func(t *testing.T) { testCheck(t, s) })
		t.Run("interface", func(t *testing.T) { objstore.AcceptanceTest(t, open(t, s.With(t, "-storage.prefix=interface"))) })
		t.Run("blocks", func(t *testing.T) { testBlocks(t, s) })
		t.Run("cut upload", func(t *testing.T) { testCutUpload(t, s) })
		t.Run("prefix", func(t *testing.T) { testPrefix(t, s) })
		t.Run("wrong settings", func(t *testing.T) { testWrong(t, s) })
	})
}

func open(t *testing.T, cfg bucket.Config) *bucket.Store {
	t.Helper()
	s, err := bucket.Open(cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// fileSize is more than what the clients hold in a buffer.
const fileSize = 3 << 20

// block returns a block of two files with contents that the seed gives.
func block(tenant string, seed uint64) (bucket.Block, map[string][]byte) {
	luck := rand.New(rand.NewPCG(seed, 1))
	b := bucket.Block{Tenant: tenant, ID: ulid.MustNew(seed, nil), Meta: []byte(`{"version":1}`)}
	content := map[string][]byte{}
	for name, size := range map[string]int{"data.hearth": fileSize, "small": 10} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(luck.Uint32())
		}
		content[name] = data
		b.Files = append(b.Files, bucket.File{Name: name, Size: int64(size), CRC: crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))})
	}
	b.Open = func(name string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content[name])), nil }
	return b, content
}

func testCheck(t *testing.T, s Store) {
	bkt := open(t, s.Config)
	for range 2 {
		require.NoError(t, bkt.Check(t.Context()))
	}
	require.Empty(t, names(t, bkt, ""), "a check leaves nothing")
}

func names(t *testing.T, bkt objstore.BucketReader, dir string, o ...objstore.IterOption) (out []string) {
	t.Helper()
	require.NoError(t, bkt.Iter(t.Context(), dir, func(name string) error { out = append(out, name); return nil }, o...))
	return out
}

func testBlocks(t *testing.T, s Store) {
	ctx, bkt := t.Context(), open(t, s.With(t, "-storage.prefix=blocks"))
	one, content := block("team-a", 1)
	other, _ := block("team-b", 2)
	require.NoError(t, bucket.Upload(ctx, bkt, one))
	require.NoError(t, bucket.Upload(ctx, bkt, other))

	tenants, err := bucket.Tenants(ctx, bkt)
	require.NoError(t, err)
	require.Equal(t, []string{"team-a", "team-b"}, tenants)
	blocks, err := bucket.Blocks(ctx, bkt, "team-a")
	require.NoError(t, err)
	require.Equal(t, []ulid.ULID{one.ID}, blocks)
	meta, err := bucket.Meta(ctx, bkt, "team-a", one.ID)
	require.NoError(t, err)
	require.Equal(t, one.Meta, meta)
	_, err = bucket.Meta(ctx, bkt, "team-a", other.ID)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	require.NoError(t, bucket.Verify(ctx, bkt, "team-a", one.ID, one.Files))

	testRanges(t, bkt, one, content["data.hearth"])

	require.NoError(t, bucket.Delete(ctx, bkt, "team-a", one.ID))
	require.NoError(t, bucket.Delete(ctx, bkt, "team-a", one.ID), "again")
	err = bucket.Verify(ctx, bkt, "team-a", one.ID, one.Files)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	blocks, err = bucket.Blocks(ctx, bkt, "team-a")
	require.NoError(t, err)
	require.Empty(t, blocks)
	require.Len(t, names(t, bkt, "", objstore.WithRecursiveIter()), 3, "those of the other block")
}

func testRanges(t *testing.T, bkt objstore.BucketReader, b bucket.Block, data []byte) {
	ctx, src := t.Context(), bucket.NewSource(bkt, b.Tenant, b.ID)
	for _, at := range []struct{ off, n int }{{0, 1}, {1, 4096}, {fileSize / 2, 1 << 20}, {fileSize - 1, 1}, {0, fileSize}} {
		p := make([]byte, at.n)
		require.NoError(t, src.ReadAt(ctx, "data.hearth", p, int64(at.off)))
		require.True(t, bytes.Equal(data[at.off:][:at.n], p), "%v", at)
	}
	for _, off := range []int64{fileSize - 1, fileSize, fileSize + 100} {
		err := src.ReadAt(ctx, "data.hearth", make([]byte, 2), off)
		require.True(t, fault.Is(err, fault.Corrupt), "from %d: %v", off, err)
	}
	err := src.ReadAt(ctx, "nothing", make([]byte, 2), 0)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	var copied bytes.Buffer
	require.NoError(t, bucket.Download(ctx, bkt, b.Tenant, b.ID, b.Files[0], &copied))
}

// cut is a reader that fails in the middle.
type cut struct {
	io.Reader
	left int
}

var errCut = errors.New("cut off")

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errCut
	}
	n, err := c.Reader.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *cut) Close() error { return nil }

func testCutUpload(t *testing.T, s Store) {
	ctx, bkt := t.Context(), buckettest.New(open(t, s.With(t, "-storage.prefix=cut")), buckettest.Lag{})
	b, content := block("team-a", 3)
	whole := b.Open
	b.Open = func(name string) (io.ReadCloser, error) {
		return &cut{bytes.NewReader(content[name]), len(content[name]) / 2}, nil
	}
	require.Error(t, bucket.Upload(ctx, bkt, b))
	_, err := bucket.Meta(ctx, bkt, "team-a", b.ID)
	require.True(t, fault.Is(err, fault.NotFound), "a block is there only when it is whole: %v", err)

	b.Open = whole
	require.NoError(t, bucket.Upload(ctx, bkt, b))
	require.NoError(t, bucket.Verify(ctx, bkt, "team-a", b.ID, b.Files))
	bkt.ResetStats()
	require.NoError(t, bucket.Upload(ctx, bkt, b))
	require.Zero(t, bkt.Stats().Mutations, "a whole block is not uploaded again")

	name := path.Join("team-a/blocks", b.ID.String(), "small")
	require.NoError(t, bkt.Upload(ctx, name, strings.NewReader("0123456789")))
	bkt.ResetStats()
	require.NoError(t, bucket.Upload(ctx, bkt, b))
	require.Equal(t, 1, bkt.Stats().Mutations, "the size is right, but not the content")
	got, err := bucket.Read(ctx, bkt, name)
	require.NoError(t, err)
	require.Equal(t, content["small"], got)
}

func testPrefix(t *testing.T, s Store) {
	ctx, root, inner := t.Context(), open(t, s.Config), open(t, s.With(t, "-storage.prefix=shared/hearth"))
	require.NoError(t, inner.Check(ctx))
	require.NoError(t, inner.Upload(ctx, "a/b", strings.NewReader("x")))
	require.NoError(t, root.Upload(ctx, "shared/other", strings.NewReader("x")))
	require.Equal(t, []string{"a/b"}, names(t, inner, "", objstore.WithRecursiveIter()))
	require.Equal(t, []string{"shared/hearth/a/b", "shared/other"}, names(t, root, "shared", objstore.WithRecursiveIter()))
}

// wrong are settings that do not work, with what is to be said about them.
var wrong = map[string][]struct {
	name  string
	flags func(t *testing.T) []string
	says  string
	flag  string
}{
	bucket.S3: {
		{"no bucket", flags("-storage.s3.bucket=nothing-here"), "there is no such bucket", "-storage.s3.bucket"},
		{"unknown key", flags("-storage.s3.access-key-id=nobody"), "the store does not accept the credentials", "-storage.s3.access-key-id"},
		{"wrong secret", flags("-storage.s3.secret-access-key=x"), "the store does not accept the credentials", "-storage.s3.access-key-id"},
		{"no permission", flags("-storage.s3.access-key-id="+ReaderKey, "-storage.s3.secret-access-key="+ReaderSecret), "there is no permission to put objects", "-storage.s3.access-key-id"},
		{"another region", flags("-storage.s3.region=us-west-2"), "the bucket is in another region", "-storage.s3.region"},
		{"TLS where none is", flags("-storage.s3.insecure=false"), "speaks TLS where none is expected, or the other way round", "-storage.s3.insecure"},
	},
	bucket.GCS: {
		{"no bucket", flags("-storage.gcs.bucket=nothing-here"), "there is no such bucket", "-storage.gcs.bucket"},
		{"unknown account", unknownAccount, "the store does not accept the credentials", "-storage.gcs.service-account"},
	},
	bucket.Azure: {
		{"no container", flags("-storage.azure.container=nothing-here"), "there is no such bucket", "-storage.azure.container"},
		{"wrong key", flags("-storage.azure.account-key=bm90IHRoaXM="), "the store does not accept the credentials", "-storage.azure.account-key"},
	},
	bucket.Swift: {
		{"no container", flags("-storage.swift.container=nothing-here"), "there is no such bucket", "-storage.swift.container"},
		{"wrong password", flags("-storage.swift.password=x"), "the store does not accept the credentials", "-storage.swift.password"},
	},
}

func flags(list ...string) func(*testing.T) []string {
	return func(*testing.T) []string { return list }
}

func unknownAccount(t *testing.T) []string {
	return []string{"-storage.gcs.service-account=" + serviceAccount(t, tokenService(t)+"/unknown")}
}

func testWrong(t *testing.T, s Store) {
	for _, c := range wrong[s.Name] {
		t.Run(c.name, func(t *testing.T) {
			err := open(t, s.With(t, c.flags(t)...)).Check(t.Context())
			require.Error(t, err)
			t.Log(err)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, c.flag)
			require.True(t, fault.Is(err, fault.Invalid), "%v", err)
			require.NotContains(t, err.Error(), "\n", "it is one sentence")
		})
	}
	if s.Address == "" {
		return
	}
	t.Run("away", func(t *testing.T) {
		nobody, _ := freeAddress(t)
		var changed []string
		for _, f := range s.Flags {
			changed = append(changed, strings.ReplaceAll(f, s.Address, nobody))
		}
		if s.Name == bucket.GCS {
			t.Setenv("STORAGE_EMULATOR_HOST", nobody)
		}
		bkt := open(t, parse(t, changed))
		err := bkt.Check(context.Background())
		t.Log(err)
		require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	})
}

// TestGetS3 gets what the store s3 needs, so that other tests find it.
func TestGetS3(t *testing.T) {
	if !wanted(bucket.S3) {
		t.Skip("nobody wants it")
	}
	require.FileExists(t, s3Program(t.Context(), t))
}
