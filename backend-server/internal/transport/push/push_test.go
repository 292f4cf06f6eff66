package push_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/push"
)

// pusher remembers what it was given and answers as told.
type pusher struct {
	got    []upload.Series
	result upload.Result
	err    error
	panics bool
}

func (p *pusher) Push(_ context.Context, series []upload.Series) (upload.Result, error) {
	if p.panics {
		panic("on purpose")
	}
	p.got = nil
	for _, s := range series {
		c := s
		c.Profiles = nil
		for _, raw := range s.Profiles {
			raw.Data = bytes.Clone(raw.Data)
			c.Profiles = append(c.Profiles, raw)
		}
		p.got = append(p.got, c)
	}
	return p.result, p.err
}

// serve starts a server that speaks HTTP/1 and HTTP/2 without TLS.
func serve(t *testing.T, p *pusher) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range push.New(p, slog.New(slog.DiscardHandler)).Routes() {
		mux.Handle(pattern, http.MaxBytesHandler(h, 1<<20))
	}
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func h2cClient(t *testing.T) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func request() *pushv1.PushRequest {
	return &pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{
		Labels:  []*typesv1.LabelPair{{Name: "__name__", Value: "process_cpu"}, {Name: "pod", Value: "ä"}},
		Samples: []*pushv1.RawSample{{RawProfile: []byte("one"), ID: "id-1"}, {RawProfile: []byte("two")}},
	}, {Labels: []*typesv1.LabelPair{{Name: "", Value: "x"}}}}}
}

func wanted() []upload.Series {
	return []upload.Series{{
		Labels:   []profile.LabelPair{{Name: "__name__", Value: "process_cpu"}, {Name: "pod", Value: "ä"}},
		Profiles: []upload.Profile{{Data: []byte("one"), ID: "id-1"}, {Data: []byte("two")}},
	}, {Labels: []profile.LabelPair{{Name: "", Value: "x"}}}}
}

func TestPushSpeaksAllProtocols(t *testing.T) {
	p := &pusher{}
	srv := serve(t, p)
	protocols := map[string][]connect.ClientOption{
		"connect":      nil,
		"connect json": {connect.WithProtoJSON()},
		"connect gzip": {connect.WithSendGzip()},
		"grpc":         {connect.WithGRPC()},
		"grpc gzip":    {connect.WithGRPC(), connect.WithSendGzip()},
		"grpc-web":     {connect.WithGRPCWeb()},
	}
	for name, opts := range protocols {
		t.Run(name, func(t *testing.T) {
			client := pushv1connect.NewPusherServiceClient(h2cClient(t), srv.URL, opts...)
			p.result, p.err = upload.Result{Received: 2, Stored: 2}, nil
			_, err := client.Push(t.Context(), connect.NewRequest(request()))
			require.NoError(t, err)
			require.Equal(t, wanted(), p.got)

			p.result = upload.Result{Received: 2, Stored: 1, Refused: []upload.Refusal{{Series: 1, Profile: 0, Labels: `{pod="x"}`, Err: fault.New(fault.Invalid, "it is bad")}}}
			_, err = client.Push(t.Context(), connect.NewRequest(request()))
			require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
			require.ErrorContains(t, err, `1 of 2 profiles were stored; refused: series 1 {pod="x"}, profile 0: it is bad`)

			p.err = &upload.RetryError{Err: fault.New(fault.Exhausted, "too fast"), After: 1500 * time.Millisecond}
			_, err = client.Push(t.Context(), connect.NewRequest(request()))
			require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
			var rpc *connect.Error
			require.ErrorAs(t, err, &rpc)
			require.Equal(t, "2", rpc.Meta().Get("Retry-After"))
		})
	}
}

// TestPushLeavesTextToTheDistributor sends a label that is not UTF-8, which
// must not take the other series of the request along.
func TestPushLeavesTextToTheDistributor(t *testing.T) {
	p := &pusher{}
	srv := serve(t, p)
	req := request()
	req.Series[1].Labels[0].Value = "x\xff"
	body, err := req.MarshalVT()
	require.NoError(t, err)
	status, answer := post(t, srv.URL+rpcPath, "application/proto", body)
	require.Equal(t, 200, status, answer)
	require.Len(t, p.got, 2)
	require.Equal(t, "x\xff", p.got[1].Labels[0].Value)
}

// post sends a body and returns the status and the answer.
func post(t *testing.T, url, contentType string, body []byte, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

const rpcPath = pushv1connect.PusherServicePushProcedure

func TestPushJSONAsPeopleWriteIt(t *testing.T) {
	p := &pusher{}
	srv := serve(t, p)
	raw := base64.StdEncoding.EncodeToString([]byte("one"))
	for _, name := range []string{"rawProfile", "raw_profile"} {
		body := fmt.Sprintf(`{"series":[{"labels":[{"name":"a","value":"b"}],"samples":[{%q:%q,"ID":"x","new_field":{"a":[1]}}],"other":1}],"more":null}`, name, raw)
		status, answer := post(t, srv.URL+rpcPath, "application/json", []byte(body))
		require.Equal(t, 200, status, answer)
		require.Equal(t, "{}", answer)
		require.Equal(t, []upload.Series{{Labels: []profile.LabelPair{{Name: "a", Value: "b"}}, Profiles: []upload.Profile{{Data: []byte("one"), ID: "x"}}}}, p.got)
	}
}

func TestPushRefusesWhatIsNoRequest(t *testing.T) {
	p := &pusher{}
	srv := serve(t, p)
	cases := []struct {
		name, contentType string
		body              []byte
		header            []string
		status            int
		want              string
	}{
		{"not protobuf", "application/proto", []byte("junkjunk"), nil, 400, `"code":"invalid_argument"`},
		{"not JSON", "application/json", []byte("{"), nil, 400, `"code":"invalid_argument"`},
		{"bytes that are no base64", "application/json", []byte(`{"series":[{"samples":[{"rawProfile":"%%"}]}]}`), nil, 400, `"code":"invalid_argument"`},
		{"plain text", "text/plain", []byte("x"), nil, 415, ""},
		{"broken gzip", "application/proto", []byte("junk"), []string{"Content-Encoding", "gzip"}, 400, `"code":"invalid_argument"`},
		{"unknown encoding", "application/proto", []byte("junk"), []string{"Content-Encoding", "br"}, 501, "br"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, answer := post(t, srv.URL+rpcPath, c.contentType, c.body, c.header...)
			require.Equal(t, c.status, status, answer)
			require.Contains(t, answer, c.want)
		})
	}
	res, err := http.Get(srv.URL + rpcPath)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
	require.Empty(t, p.got)

	p.panics = true
	status, answer := post(t, srv.URL+rpcPath, "application/json", []byte(`{}`))
	require.Equal(t, 500, status)
	require.Contains(t, answer, "internal")
}

func TestErrorsListNoMoreThanTen(t *testing.T) {
	r := upload.Result{Received: 12}
	for i := range 12 {
		r.Refused = append(r.Refused, upload.Refusal{Series: i, Profile: upload.All, Labels: "{}", Err: fault.New(fault.TooLarge, "large")})
	}
	require.Equal(t, 10, strings.Count(r.Err().Error(), "large"))
	require.ErrorContains(t, r.Err(), "; and 2 more")
	require.Equal(t, fault.TooLarge, fault.KindOf(r.Err()))
}
