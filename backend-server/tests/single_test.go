package tests

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/stretchr/testify/require"
)

// answers is what a server says about everything that TestEveryState pushed.
type answers struct {
	types    []string
	services []string
	total    int64
	stacks   map[string]int64
	points   map[string]map[int64]int64
}

// TestEveryState pushes in all ways there are and asks again whenever the data
// has moved: head, replayed head, local blocks, blocks of the bucket.
func TestEveryState(t *testing.T) {
	data, at := t.TempDir(), time.Now().Add(-10*time.Minute).Truncate(time.Millisecond)
	s := startReady(t, data)
	pushAll(t, s, at)
	want := ask(t, s, at)
	require.Equal(t, []string{cpuType}, want.types)
	require.Equal(t, []string{"connect", "grpc", "grpcweb", "ingest", "json", "multipart"}, want.services)
	require.EqualValues(t, 100+200+300+400+500+600, want.total)
	require.Equal(t, map[string]int64{"work": want.total - 6, "rest": 6}, want.stacks)
	require.Equal(t, map[int64]int64{at.UnixMilli(): 100}, want.points["connect"])

	pushAll(t, s, at)
	require.Equal(t, want, ask(t, s, at), "the same again changes nothing")
	s.kill()
	s = startReady(t, data)
	require.Equal(t, want, ask(t, s, at), "after a kill")
	s.flush(t)
	require.Equal(t, want, ask(t, s, at), "from local blocks")
	pushAll(t, s, at)
	require.Equal(t, want, ask(t, s, at), "the same again, with the first in blocks")
	s.stop(t)
	s = startReady(t, data)
	require.Equal(t, want, ask(t, s, at), "after a restart")
	s.stop(t)

	require.NoError(t, os.RemoveAll(filepath.Join(data, "tenants")))
	s = startReady(t, data)
	require.Equal(t, want, ask(t, s, at), "from the bucket alone")
	_, metrics := s.get("/metrics")
	require.Contains(t, metrics, "hearth_store_gateway_blocks_open 1")
}

// pushAll pushes a profile in each way the API has, each under its own service.
func pushAll(t *testing.T, s *server, at time.Time) {
	t.Helper()
	service := func(name string) map[string]string { return map[string]string{"service_name": name} }
	ctx := t.Context()
	require.NoError(t, push(ctx, s.pusher(), rawSeries(service("connect"), encode(t, at, 100))))
	require.NoError(t, push(ctx, s.pusher(connect.WithGRPC()), rawSeries(service("grpc"), encode(t, at, 200))))
	require.NoError(t, push(ctx, s.pusher(connect.WithGRPCWeb()), rawSeries(service("grpcweb"), encode(t, at, 300))))

	body := fmt.Sprintf(`{"series":[{"labels":[{"name":"__name__","value":"process_cpu"},{"name":"service_name","value":"json"}],"samples":[{"rawProfile":%q}]}]}`,
		base64.StdEncoding.EncodeToString(encode(t, at, 400)))
	code, answer := s.post("/push.v1.PusherService/Push", "application/json", []byte(body))
	require.Equal(t, http.StatusOK, code, answer)

	code, answer = s.post(fmt.Sprintf("/ingest?name=ingest&from=%d&until=%d", at.Unix(), at.Unix()+10), "application/octet-stream", encode(t, at, 500))
	require.Equal(t, http.StatusOK, code, answer)
	code, answer = s.post(fmt.Sprintf("/ingest?name=multipart%%7B%%7D&from=%d&until=%d&spyName=gospy", at.UnixNano(), at.UnixNano()+1e10),
		"multipart/form-data; boundary=xyz", multipart(encode(t, at, 600)))
	require.Equal(t, http.StatusOK, code, answer)
}

func multipart(raw []byte) []byte {
	var b bytes.Buffer
	b.WriteString("--xyz\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"profile.pprof\"\r\nContent-Type: application/octet-stream\r\n\r\n")
	b.Write(raw)
	b.WriteString("\r\n--xyz--\r\n")
	return b.Bytes()
}

func ask(t *testing.T, s *server, at time.Time) answers {
	t.Helper()
	ctx, from, to := t.Context(), at.Add(-time.Minute), at.Add(time.Minute)
	q := s.querier()
	types, err := q.ProfileTypes(ctx, connect.NewRequest(&querierv1.ProfileTypesRequest{Start: from.UnixMilli(), End: to.UnixMilli()}))
	require.NoError(t, err)
	a := answers{stacks: map[string]int64{}}
	for _, p := range types.Msg.ProfileTypes {
		a.types = append(a.types, p.ID)
	}
	code, body := s.post("/querier.v1.QuerierService/LabelValues", "application/json", []byte(`{"name":"service_name"}`))
	require.Equal(t, http.StatusOK, code, body)
	var values struct{ Names []string }
	require.NoError(t, json.Unmarshal([]byte(body), &values))
	a.services = values.Names

	graph, err := s.querier(connect.WithGRPC()).SelectMergeStacktraces(ctx, connect.NewRequest(&querierv1.SelectMergeStacktracesRequest{
		ProfileTypeID: cpuType, LabelSelector: "{}", Start: from.UnixMilli(), End: to.UnixMilli(),
	}))
	require.NoError(t, err)
	a.total = graph.Msg.Flamegraph.Total
	merged, err := q.SelectMergeProfile(ctx, connect.NewRequest(&querierv1.SelectMergeProfileRequest{
		ProfileTypeID: cpuType, LabelSelector: "{}", Start: from.UnixMilli(), End: to.UnixMilli(),
	}))
	require.NoError(t, err)
	p := merged.Msg
	for _, sample := range p.Sample {
		leaf := p.Location[sample.LocationId[0]-1].Line[0].FunctionId
		a.stacks[p.StringTable[p.Function[leaf-1].Name]] += sample.Value[0]
	}
	a.points = points(t, s, "{}", "service_name", from, to)
	return a
}

func TestTenantsAreKeptApart(t *testing.T) {
	s := startReady(t, t.TempDir(), "-auth.multitenancy-enabled")
	at := time.Now().Add(-time.Minute)
	push := func(tenant string, value int64) int {
		body := fmt.Sprintf(`{"series":[{"labels":[{"name":"__name__","value":"process_cpu"},{"name":"service_name","value":%q}],"samples":[{"rawProfile":%q}]}]}`,
			tenant, base64.StdEncoding.EncodeToString(encode(t, at, value)))
		return asTenant(t, s, tenant, "/push.v1.PusherService/Push", body, nil)
	}
	require.Equal(t, http.StatusUnauthorized, push("", 10))
	require.Equal(t, http.StatusBadRequest, push("a/b", 10))
	require.Equal(t, http.StatusOK, push("one", 10))
	require.Equal(t, http.StatusOK, push("two", 20))
	for range 2 {
		for _, tenant := range []string{"one", "two"} {
			var values struct{ Names []string }
			require.Equal(t, http.StatusOK, asTenant(t, s, tenant, "/querier.v1.QuerierService/LabelValues", `{"name":"service_name"}`, &values))
			require.Equal(t, []string{tenant}, values.Names)
		}
		s.flush(t)
	}
}

// asTenant posts JSON, compressed, and decodes the answer.
func asTenant(t *testing.T, s *server, tenant, path, body string, into any) int {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte(body))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	req, err := http.NewRequest(http.MethodPost, s.url+path, &packed)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	if tenant != "" {
		req.Header.Set("X-Scope-OrgID", tenant)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	if into != nil {
		require.NoError(t, json.NewDecoder(res.Body).Decode(into))
	}
	return res.StatusCode
}
