package push

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

func pair(name, value string) *typesv1.LabelPair {
	return &typesv1.LabelPair{Name: name, Value: value}
}

// messages are requests of several shapes.
func messages() []*pushv1.PushRequest {
	return []*pushv1.PushRequest{
		{},
		{Series: []*pushv1.RawProfileSeries{{}}},
		{Series: []*pushv1.RawProfileSeries{{
			Labels:  []*typesv1.LabelPair{pair("__name__", "process_cpu"), pair("", ""), pair("pod", "x\xff")},
			Samples: []*pushv1.RawSample{{RawProfile: []byte("one"), ID: "id"}, {}, {RawProfile: []byte("two")}},
		}, {
			Samples:     []*pushv1.RawSample{{RawProfile: bytes.Repeat([]byte("long"), 1000)}},
			Annotations: []*typesv1.ProfileAnnotation{{Key: "k", Value: "v"}},
		}}},
	}
}

// FuzzRequest holds the reader against the generated decoder: what ours takes
// is the same series there.
func FuzzRequest(f *testing.F) {
	for _, m := range messages() {
		b, err := m.MarshalVT()
		require.NoError(f, err)
		f.Add(b)
		f.Add(append(b, 0x12, 1, 'x', 0x18, 5)) // fields of a newer version
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r request
		if r.read(b) != nil {
			return
		}
		var want pushv1.PushRequest
		require.NoError(t, want.UnmarshalVT(b))
		requireSeries(t, toSeries(&want), r.upload())
		r.release()
	})
}

// requireSeries compares without telling empty from nil.
func requireSeries(t *testing.T, want, got []upload.Series) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.Len(t, got[i].Labels, len(want[i].Labels))
		for j, l := range want[i].Labels {
			require.Equal(t, l, got[i].Labels[j])
		}
		require.Len(t, got[i].Profiles, len(want[i].Profiles))
		for j, p := range want[i].Profiles {
			require.Equal(t, p.ID, got[i].Profiles[j].ID)
			require.True(t, bytes.Equal(p.Data, got[i].Profiles[j].Data))
		}
	}
}

// TestRequestMemoryIsUsedAgain reads one request into the memory of another,
// which must not have changed before that was given back.
func TestRequestMemoryIsUsedAgain(t *testing.T) {
	b, err := messages()[2].MarshalVT()
	require.NoError(t, err)
	var r, s request
	require.NoError(t, r.read(b))
	clear(b)
	require.NoError(t, s.read([]byte{0x0a, 0}))
	requireSeries(t, toSeries(messages()[2]), r.upload())
	r.release()
	require.Empty(t, r.upload())
	require.Error(t, r.read([]byte{0x08, 1}), "series with the wrong wire type")
	require.Error(t, r.read([]byte{0x0a, 2, 0x0a, 5}), "a label that is cut off")
}

type discard struct{}

func (discard) Push(context.Context, []upload.Series) (upload.Result, error) {
	return upload.Result{}, nil
}

// BenchmarkPush is what a request costs, client included, before the
// distributor gets it.
func BenchmarkPush(b *testing.B) {
	raw, err := os.ReadFile("../../profile/pprof/testdata/go-cpu.pb.gz")
	require.NoError(b, err)
	m := &pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{
		Labels:  []*typesv1.LabelPair{pair("__name__", "process_cpu"), pair("service_name", "checkout"), pair("pod", "checkout-0")},
		Samples: []*pushv1.RawSample{{RawProfile: raw}},
	}}}
	body, err := m.MarshalVT()
	require.NoError(b, err)
	mux := http.NewServeMux()
	for pattern, h := range New(discard{}, slog.New(slog.DiscardHandler)).Routes() {
		mux.Handle(pattern, h)
	}
	srv := httptest.NewServer(mux)
	defer srv.Close()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		res, err := http.Post(srv.URL+pushv1connect.PusherServicePushProcedure, "application/proto", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			b.Fatal(res.Status)
		}
	}
}
