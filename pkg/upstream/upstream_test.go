package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/pkg/upstream"
	"github.com/hearth-profiles/hearth/pkg/upstream/upstreamtest"
)

const cpu = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"

func client(t *testing.T, cfg upstream.Config) *upstream.Client {
	t.Helper()
	c, err := upstream.New(cfg, http.DefaultClient)
	require.NoError(t, err)
	return c
}

func TestConfigReportsEveryProblem(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  upstream.Config
		want []string
	}{
		"good":           {cfg: upstream.Config{URL: "https://host/prefix", Token: "t", TenantID: "team-a"}},
		"no URL":         {cfg: upstream.Config{}, want: []string{"must look like"}},
		"no scheme":      {cfg: upstream.Config{URL: "localhost:4040"}, want: []string{`"localhost:4040" must look like http://host:4040`}},
		"not a URL":      {cfg: upstream.Config{URL: "http://a b"}, want: []string{"cannot be parsed"}},
		"password":       {cfg: upstream.Config{URL: "http://u:secret@host"}, want: []string{"must not carry a user"}},
		"query":          {cfg: upstream.Config{URL: "http://host/?a=b"}, want: []string{"must not have a query"}},
		"two at a time":  {cfg: upstream.Config{URL: "ftp://x", Token: "t", BasicUser: "u"}, want: []string{"must look like", "only one can be sent"}},
		"tenant letters": {cfg: upstream.Config{URL: "http://x", TenantID: "a b"}, want: []string{`tenant ID "a b" contains ' '`}},
		"tenant dots":    {cfg: upstream.Config{URL: "http://x", TenantID: ".."}, want: []string{"is not allowed"}},
		"tenant length":  {cfg: upstream.Config{URL: "http://x", TenantID: strings.Repeat("a", 151)}, want: []string{"151 bytes, the limit is 150"}},
		"token lines":    {cfg: upstream.Config{URL: "http://x", Token: "a\nb"}, want: []string{"line break"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.cfg.Validate()
			if len(tc.want) == 0 {
				require.NoError(t, err)
				return
			}
			for _, w := range tc.want {
				require.ErrorContains(t, err, w)
			}
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestCredentialsAndTenantAreSentOnEveryCall(t *testing.T) {
	s := upstreamtest.New(t)
	for name, tc := range map[string]struct {
		cfg  upstream.Config
		auth string
	}{
		"none":  {upstream.Config{}, ""},
		"token": {upstream.Config{Token: "abc", TenantID: "team-a"}, "Bearer abc"},
		"basic": {upstream.Config{BasicUser: "u", BasicPassword: "p", TenantID: "team-a"}, "Basic dTpw"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.cfg.URL = s.URL + "/" // a trailing slash does no harm
			c := client(t, tc.cfg)
			calls := map[string]func() error{
				"ready": func() error { return c.Ready(t.Context()) },
				"types": func() error { _, err := c.ProfileTypes(t.Context(), upstream.Range{}); return err },
				"flame": func() error { _, err := c.FlameGraph(t.Context(), upstream.Query{ProfileType: cpu}); return err },
			}
			for call, f := range calls {
				require.NoError(t, f(), call)
				require.Equal(t, tc.auth, s.Header().Get("Authorization"), call)
				require.Equal(t, tc.cfg.TenantID, s.Header().Get("X-Scope-OrgID"), call)
			}
		})
	}
}

func TestAnswersArePlainAndSorted(t *testing.T) {
	s := upstreamtest.New(t)
	s.Types = []upstream.ProfileType{{ID: "b"}, {ID: "a", Name: "n", SampleType: "s", SampleUnit: "u", PeriodType: "p", PeriodUnit: "q"}}
	s.Labels = map[string][]string{"pod": {"b", "a"}, "__type__": {"x"}, "env": nil}
	s.Sets = []map[string]string{
		{"service_name": "web", "__profile_type__": "t2"},
		{"service_name": "web", "__profile_type__": "t1"},
		{"service_name": "web", "__profile_type__": "t1"},
		{"service_name": "api", "__profile_type__": "t1"},
		{"service_name": "halved"},
	}
	s.Series = []upstream.Series{{Labels: map[string]string{"pod": "a"}, Points: []upstream.Point{{Time: 15000, Value: 1.5}}}}
	c := client(t, upstream.Config{URL: s.URL})
	ctx, r := t.Context(), upstream.Range{From: 1, Until: 2}

	types, err := c.ProfileTypes(ctx, r)
	require.NoError(t, err)
	require.Equal(t, []upstream.ProfileType{s.Types[1], s.Types[0]}, types)

	names, err := c.LabelNames(ctx, "", r)
	require.NoError(t, err)
	require.Equal(t, []string{"env", "pod"}, names, "labels of the server's own stay hidden")

	values, err := c.LabelValues(ctx, "pod", `{env="x"}`, r)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, values)

	services, err := c.Services(ctx, r)
	require.NoError(t, err)
	require.Equal(t, []upstream.Service{{Name: "api", ProfileTypes: []string{"t1"}}, {Name: "web", ProfileTypes: []string{"t1", "t2"}}}, services)

	series, err := c.Series(ctx, upstream.SeriesQuery{StepSeconds: 15, GroupBy: []string{"pod"}, Limit: 3})
	require.NoError(t, err)
	require.Equal(t, s.Series, series)
	require.Equal(t, int64(3), s.LastQuery().Limit)

	empty, err := c.FlameGraph(ctx, upstream.Query{ProfileType: cpu})
	require.NoError(t, err)
	require.Equal(t, upstream.FlameGraph{Names: []string{}, Levels: [][]int64{}}, empty)

	info, err := c.Build(ctx)
	require.NoError(t, err)
	require.Equal(t, upstream.BuildInfo{Application: "hearth", Version: "1.2.3"}, info)
}

func TestServerErrorsKeepCodeAndWords(t *testing.T) {
	for code, status := range map[connect.Code]int{
		connect.CodeInvalidArgument: 400, connect.CodeFailedPrecondition: 400, connect.CodeOutOfRange: 400,
		connect.CodeUnauthenticated: 401, connect.CodePermissionDenied: 403, connect.CodeNotFound: 404,
		connect.CodeAborted: 409, connect.CodeAlreadyExists: 409, connect.CodeResourceExhausted: 429,
		connect.CodeCanceled: 499, connect.CodeUnknown: 500, connect.CodeInternal: 500, connect.CodeDataLoss: 500,
		connect.CodeUnimplemented: 501, connect.CodeUnavailable: 503, connect.CodeDeadlineExceeded: 504,
	} {
		t.Run(code.String(), func(t *testing.T) {
			s := upstreamtest.New(t)
			s.Fail = connect.NewError(code, errors.New("max_nodes 5 is over the limit 4"))
			_, err := client(t, upstream.Config{URL: s.URL}).FlameGraph(t.Context(), upstream.Query{})
			var e *upstream.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, code.String(), e.Code)
			require.Equal(t, status, e.Status)
			require.Equal(t, "max_nodes 5 is over the limit 4", e.Message)
			require.True(t, e.Downstream())
		})
	}
}

func TestFailuresOnTheWayNameTheServer(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer locked.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	}))
	defer slow.Close()

	for name, tc := range map[string]struct {
		url, code, message string
		status             int
	}{
		"nobody listens": {gone.URL, "unavailable", "cannot be reached", 502},
		"another site":   {page.URL, "unimplemented", "does not speak the profiling API", 502},
		"a login":        {locked.URL, "unauthenticated", "refused the credentials", 401},
		"too slow":       {slow.URL, "deadline_exceeded", "did not answer in time", 504},
	} {
		t.Run(name, func(t *testing.T) {
			patience := time.Minute
			if tc.url == slow.URL {
				patience = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := client(t, upstream.Config{URL: tc.url}).ProfileTypes(ctx, upstream.Range{})
			var e *upstream.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.code, e.Code, e.Message)
			require.Equal(t, tc.status, e.Status)
			require.Contains(t, e.Message, tc.message)
			require.Contains(t, e.Message, tc.url)
		})
	}
	t.Run("not ready", func(t *testing.T) {
		s := upstreamtest.New(t)
		s.NotReady = true
		require.ErrorContains(t, client(t, upstream.Config{URL: s.URL}).Ready(t.Context()), "not ready (HTTP 503): replaying the log")
		require.ErrorContains(t, client(t, upstream.Config{URL: gone.URL}).Ready(t.Context()), "cannot be reached")
		require.ErrorContains(t, client(t, upstream.Config{URL: locked.URL}).Ready(t.Context()), "refused the credentials")
	})
}

func TestSelector(t *testing.T) {
	for _, tc := range []struct{ service, selector, want string }{
		{"", "", "{}"},
		{"", "{}", "{}"},
		{"web", "", `{service_name="web"}`},
		{"web", ` { pod="a" , } `, `{service_name="web",pod="a"}`},
		{"", `pod=~"a|b"`, `{pod=~"a|b"}`},
		{`we"ird\`, "{}", `{service_name="we\"ird\\"}`},
	} {
		require.Equal(t, tc.want, upstream.Selector(tc.service, tc.selector))
	}
	require.Equal(t, "nanoseconds", upstream.SampleUnit(cpu))
	require.Equal(t, "cpu", upstream.SampleType(cpu))
	require.Empty(t, upstream.SampleUnit("odd"))
}
