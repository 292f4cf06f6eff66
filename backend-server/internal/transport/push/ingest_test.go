package push_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grafana/pyroscope-go/upstream"
	"github.com/grafana/pyroscope-go/upstream/remote"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// A file of a form.
type file struct{ field, content string }

func form(t *testing.T, files ...file) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range files {
		part, err := w.CreateFormFile(f.field, f.field+".bin")
		require.NoError(t, err)
		_, err = part.Write([]byte(f.content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.Bytes()
}

var gz = []byte("\x1f\x8b rest of a gzip")

func query(kv ...string) string {
	q := url.Values{}
	for i := 0; i < len(kv); i += 2 {
		q.Set(kv[i], kv[i+1])
	}
	return q.Encode()
}

func TestIngestTakes(t *testing.T) {
	p := &pusher{}
	srv := serve(t, p)
	multi, multiBody := form(t, file{"sample_type_config", `{"contentions":{"units":"lock_samples","display-name":"mutex_count","cumulative":false}}`},
		file{"profile", "raw pprof"}, file{"prev_profile", ""}, file{"unheard_of", "x"})
	cases := []struct {
		name, path, contentType string
		body                    []byte
		labels                  string
		time                    profile.UnixMilli
		metric                  string // the name chosen for contentions
	}{
		{"form", "/ingest?" + query("name", "app", "from", "1700000000123456789", "until", "1700000010", "spyName", "gospy", "sampleRate", "x", "units", "y"), multi, multiBody,
			"service_name=app __delta__=false pyroscope_spy=gospy", 1700000000123, "mutex"},
		{"plain", "/ingest?format=pprof&" + query("name", "my.app{env=prod, region = eu ,__x__=1}", "from", "1700000000"), "", []byte("raw pprof"),
			"env=prod region=eu service_name=my.app __delta__=false pyroscope_spy=unknown", 1700000000000, "contentions"},
		{"gzip, no format", "/pyroscope/ingest?" + query("name", "app{service_name=other,pyroscope_spy=me}", "from", "1700000000123"), "binary/octet-stream", gz,
			"service_name=other __delta__=false pyroscope_spy=unknown", 1700000000123, "contentions"},
		{"no times", "/ingest?format=pprof&" + query("name", "app{}"), "", []byte("x"), "service_name=app __delta__=false pyroscope_spy=unknown", 0, "contentions"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, answer := post(t, srv.URL+c.path, c.contentType, c.body)
			require.Equal(t, 200, status, answer)
			require.Len(t, p.got, 1)
			var labels []string
			for _, l := range p.got[0].Labels {
				labels = append(labels, l.Name+"="+l.Value)
			}
			require.Equal(t, c.labels, strings.Join(labels, " "))
			require.Len(t, p.got[0].Profiles, 1)
			require.Equal(t, c.time, p.got[0].Profiles[0].Time)
			if c.contentType != multi {
				require.Equal(t, c.body, p.got[0].Profiles[0].Data)
			} else {
				require.Equal(t, "raw pprof", string(p.got[0].Profiles[0].Data))
			}
			require.Equal(t, c.metric, p.got[0].Name([]profile.ValueType{{Type: "contentions"}}))
		})
	}
	before := profile.UnixMilli(time.Now().Add(-time.Hour).UnixMilli())
	status, _ := post(t, srv.URL+"/ingest?name=app&format=pprof&from=now-1h&until=now", "", []byte("x"))
	require.Equal(t, 200, status)
	require.InDelta(t, int64(before), int64(p.got[0].Profiles[0].Time), 10_000)
}

func TestIngestRefuses(t *testing.T) {
	p := &pusher{}
	srv := serve(t, p)
	withPrevious, previousBody := form(t, file{"profile", "x"}, file{"prev_profile", "y"})
	badConfig, badConfigBody := form(t, file{"profile", "x"}, file{"sample_type_config", "["})
	noProfile, noProfileBody := form(t, file{"other", "x"})
	cases := []struct {
		name, query, contentType string
		body                     []byte
		status                   int
		want                     string
	}{
		{"no name", "format=pprof", "", nil, 400, "name is \"\""},
		{"open brace", "format=pprof&name=probe{a=", "", nil, 400, "the { is never closed"},
		{"no value", "format=pprof&name=probe{a}", "", nil, 400, `"a" in it is no key=value`},
		{"bad from", "format=pprof&name=a&from=yesterday", "", nil, 400, `from is "yesterday"`},
		{"bad until", "format=pprof&name=a&until=-5", "", nil, 400, `until is "-5"`},
		{"folded stacks", "name=a", "", []byte("a;b 1\n"), 422, `the format "groups" are not taken here`},
		{"format lines", "name=a&format=lines", "", []byte("a;b\n"), 422, `"lines"`},
		{"format jfr", "name=a&format=jfr", "", []byte("FLR"), 422, `"jfr"`},
		{"trie by type", "name=a", "binary/octet-stream+trie", []byte("x"), 422, `"trie"`},
		{"unknown format", "name=a&format=nope", "", nil, 400, `format is "nope", which is unknown`},
		{"previous profile", "name=a", withPrevious, previousBody, 422, "prev_profile"},
		{"bad config", "name=a", badConfig, badConfigBody, 400, "sample_type_config is no JSON object"},
		{"no profile", "name=a", noProfile, noProfileBody, 400, `the form has no file "profile"`},
		{"cut off form", "name=a", noProfile, noProfileBody[:len(noProfileBody)-20], 400, "the form is broken or cut off"},
		{"form without boundary", "name=a", "multipart/form-data", noProfileBody, 400, "the form is broken or cut off"},
		{"too large", "name=a&format=pprof", "", make([]byte, 1<<20+1), 413, "the request body is over the limit of 1048576 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, answer := post(t, srv.URL+"/ingest?"+c.query, c.contentType, c.body)
			require.Equal(t, c.status, status, answer)
			require.Contains(t, answer, c.want)
			require.Empty(t, p.got)
		})
	}
}

func TestIngestStatusOfFailures(t *testing.T) {
	p := &pusher{}
	srv := serve(t, p)
	refused := func(err error) upload.Result {
		return upload.Result{Received: 1, Refused: []upload.Refusal{{Labels: "{}", Err: err}}}
	}
	cases := []struct {
		result upload.Result
		err    error
		status int
	}{
		{refused(fault.New(fault.Invalid, "bad")), nil, 422},
		{refused(fault.New(fault.TooLarge, "bad")), nil, 413},
		{refused(fault.New(fault.Exhausted, "bad")), nil, 429},
		{refused(fault.New(fault.Unavailable, "bad")), nil, 503},
		{refused(fmt.Errorf("bad")), nil, 500},
		{upload.Result{}, &upload.RetryError{Err: fault.New(fault.Exhausted, "bad"), After: time.Second}, 429},
		{upload.Result{}, fault.New(fault.Unauthenticated, "bad"), 401},
	}
	for _, c := range cases {
		p.result, p.err = c.result, c.err
		status, answer := post(t, srv.URL+"/ingest?name=a&format=pprof", "", []byte("x"))
		require.Equal(t, c.status, status)
		require.Contains(t, answer, "bad")
	}
}

// TestIngestFromTheSDK uploads with pyroscope-go itself.
func TestIngestFromTheSDK(t *testing.T) {
	p := &pusher{}
	srv := serve(t, p)
	log := &sdkLog{}
	client, err := remote.NewRemote(remote.Config{Threads: 1, Address: srv.URL, Timeout: 10 * time.Second, Logger: log})
	require.NoError(t, err)
	client.Start()
	start := time.Now()
	client.Upload(&upstream.UploadJob{
		Name: "app{env=dev,__session_id__=1}", StartTime: start, EndTime: start.Add(time.Second), SpyName: "gospy", SampleRate: 100, Units: "samples", AggregationType: "sum",
		Profile: gz, SampleTypeConfig: map[string]*upstream.SampleType{"delay": {DisplayName: "block_duration"}},
	})
	client.Flush()
	client.Stop()
	require.Empty(t, log.errors)
	require.Len(t, p.got, 1)
	require.Equal(t, []profile.LabelPair{{Name: "env", Value: "dev"}, {Name: "service_name", Value: "app"}, {Name: "__delta__", Value: "false"}, {Name: "pyroscope_spy", Value: "gospy"}}, p.got[0].Labels)
	require.Equal(t, []upload.Profile{{Data: gz, Time: profile.UnixMilli(start.UnixMilli())}}, p.got[0].Profiles)
	require.Equal(t, "block", p.got[0].Name([]profile.ValueType{{Type: "contentions"}, {Type: "delay"}}))
}

type sdkLog struct{ errors []string }

func (*sdkLog) Infof(string, ...any)  {}
func (*sdkLog) Debugf(string, ...any) {}
func (l *sdkLog) Errorf(format string, args ...any) {
	l.errors = append(l.errors, strconv.Quote(fmt.Sprintf(format, args...)))
}
