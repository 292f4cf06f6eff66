package bucket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// moody is a bucket that fails deletions, and finds objects only after some
// reads of their attributes.
type moody struct {
	objstore.Bucket
	fails   func(name string) error
	blind   int
	deleted []string
}

func (m *moody) Delete(ctx context.Context, name string) error {
	m.deleted = append(m.deleted, lastPart(name))
	if m.fails != nil {
		if err := m.fails(name); err != nil {
			return err
		}
	}
	return m.Bucket.Delete(ctx, name)
}

func (m *moody) Attributes(ctx context.Context, name string) (objstore.ObjectAttributes, error) {
	attrs, err := m.Bucket.Attributes(ctx, name)
	if err == nil && m.blind > 0 {
		m.blind--
		return m.Bucket.Attributes(ctx, "nothing of that name")
	}
	return attrs, err
}

func TestDelete(t *testing.T) {
	ctx := t.Context()
	bkt := &moody{Bucket: objstore.NewInMemBucket()}
	require.NoError(t, Delete(ctx, bkt, "team-a", id), "nothing is there")
	require.NoError(t, Upload(ctx, bkt, testBlock(content())))
	lost := errors.New("connection lost")
	bkt.deleted, bkt.fails = nil, func(name string) error {
		if lastPart(name) == "index.tsdb" {
			return lost
		}
		return nil
	}
	require.ErrorIs(t, Delete(ctx, bkt, "team-a", id), lost)
	require.Equal(t, metaFile, bkt.deleted[0], "first it is no block any more")
	_, err := Meta(ctx, bkt, "team-a", id)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	bkt.fails = nil
	require.NoError(t, Delete(ctx, bkt, "team-a", id))
	blocks, err := Blocks(ctx, bkt, "team-a")
	require.NoError(t, err)
	require.Empty(t, blocks)

	require.NoError(t, Upload(ctx, bkt, testBlock(content())))
	bkt.fails = func(name string) error {
		if name == object("team-a", id, metaFile) {
			return lost
		}
		return nil
	}
	require.ErrorIs(t, Delete(ctx, bkt, "team-a", id), lost)
	require.NoError(t, Verify(ctx, bkt, "team-a", id, testBlock(content()).Files), "all of it is still there")
	bkt.fails = func(string) error { return lost }
	require.NoError(t, Remove(ctx, bkt, "nothing"), "what is not there is removed, whatever the store says")
}

func TestNewest(t *testing.T) {
	ctx, bkt := t.Context(), objstore.NewInMemBucket()
	newest, err := Newest(ctx, bkt, "team-a", id)
	require.NoError(t, err)
	require.True(t, newest.IsZero())
	before := time.Now()
	require.NoError(t, Upload(ctx, bkt, testBlock(content())))
	require.NoError(t, bkt.Upload(ctx, "team-a/blocks/other", strings.NewReader("")))
	newest, err = Newest(ctx, bkt, "team-a", id)
	require.NoError(t, err)
	meta, err := bkt.Attributes(ctx, object("team-a", id, metaFile))
	require.NoError(t, err)
	require.Equal(t, meta.LastModified, newest, "the meta file comes last")
	require.False(t, newest.Before(before))
	_, err = Newest(ctx, broken{bkt}, "team-a", id)
	require.ErrorContains(t, err, "no attributes")
}

// broken is a bucket without attributes.
type broken struct{ objstore.Bucket }

func (broken) Attributes(context.Context, string) (objstore.ObjectAttributes, error) {
	return objstore.ObjectAttributes{}, errors.New("no attributes")
}

func TestDownload(t *testing.T) {
	ctx, bkt := t.Context(), objstore.NewInMemBucket()
	b := testBlock(content())
	require.NoError(t, Upload(ctx, bkt, b))
	var out bytes.Buffer
	require.NoError(t, Download(ctx, bkt, "team-a", id, b.Files[0], &out))
	require.Equal(t, "0123456789", out.String())
	for _, bad := range []string{"0123456788", "012345678", "01234567890", ""} {
		require.NoError(t, bkt.Upload(ctx, object("team-a", id, "index.tsdb"), strings.NewReader(bad)))
		err := Download(ctx, bkt, "team-a", id, b.Files[0], new(bytes.Buffer))
		require.True(t, fault.Is(err, fault.Corrupt), "%q: %v", bad, err)
	}
	err := Download(ctx, bkt, "team-b", id, b.Files[0], &out)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
}

// Some stores take a moment to show what was written.
func TestUploadLooksAgain(t *testing.T) {
	bkt := &moody{Bucket: objstore.NewInMemBucket(), blind: 3}
	require.NoError(t, Upload(t.Context(), bkt, testBlock(content())))
	require.Zero(t, bkt.blind)
	ctx, cancel := context.WithCancel(t.Context())
	bkt = &moody{Bucket: objstore.NewInMemBucket(), blind: 1 << 30}
	b := testBlock(content())
	open := b.Open
	b.Open = func(name string) (io.ReadCloser, error) { cancel(); return open(name) }
	require.Error(t, Upload(ctx, bkt, b))
	_, err := Meta(t.Context(), bkt, "team-a", id)
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
}
