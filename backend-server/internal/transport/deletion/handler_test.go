package deletion

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion/admin"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const clock = 1_700_000_000_000

// fake is an Admin that notes what it is asked.
type fake struct {
	req     admin.Request
	who     deletion.Who
	id      ulid.ULID
	limit   int
	calls   []string
	existed bool
	err     error
}

func (f *fake) called(name string) { f.calls = append(f.calls, name) }

func someRule() deletion.Rule {
	return deletion.Rule{
		ID: ulid.ULID{1}, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")},
		Range: profile.TimeRange{Start: 5, End: 10}, Created: time.UnixMilli(clock).UTC(), Reason: "asked for",
	}
}

func (f *fake) Preview(_ context.Context, req admin.Request) (*admin.Preview, error) {
	f.called("preview")
	f.req = req
	r := someRule()
	r.ID = ulid.ULID{}
	return &admin.Preview{
		Rule: r, Series: 3, Profiles: 9, First: 6, Last: 8, AllServices: 5, Blocks: 2, Bytes: 77, Known: true,
		Services: []query.ServiceCount{{Service: "api\xff", Profiles: 7, First: 6, Last: 8, Series: []uint64{1, 2}}},
	}, f.err
}

func (f *fake) Delete(_ context.Context, req admin.Request, who deletion.Who) (*admin.State, error) {
	f.called("delete")
	f.req, f.who = req, who
	return &admin.State{Rule: someRule(), Existed: f.existed}, f.err
}

func (f *fake) List(context.Context) ([]admin.State, error) {
	f.called("list")
	return []admin.State{{Rule: someRule(), Known: true}, {Rule: someRule(), Known: true, Blocks: 2, Bytes: 5}}, f.err
}

func (f *fake) TakeBack(_ context.Context, id ulid.ULID, who deletion.Who) error {
	f.called("take back")
	f.id, f.who = id, who
	return f.err
}

func (f *fake) Audit(_ context.Context, before ulid.ULID, limit int) ([]deletion.Event, error) {
	f.called("audit")
	f.id, f.limit = before, limit
	r := someRule()
	return []deletion.Event{
		{ID: ulid.ULID{2}, Time: time.UnixMilli(clock).UTC(), Kind: deletion.DeletionRequested, Who: deletion.Who{Tenant: "t", By: "eve"}, Rule: &r, Reason: "asked for"},
		{ID: ulid.ULID{1}, Time: time.UnixMilli(clock).UTC(), Kind: deletion.BlockDeleted, Blocks: []ulid.ULID{{3}}, Profiles: 4},
	}, f.err
}

// call sends a request and returns the status and the body.
func call(t *testing.T, f *fake, method, target, kind, body string) (int, string) {
	mux := http.NewServeMux()
	for pattern, h := range New(f, func() time.Time { return time.UnixMilli(clock) }).Routes() {
		mux.Handle(pattern, h)
	}
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, req)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	return w.Code, w.Body.String()
}

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
	state1 = `"id":"01000000000000000000000000","query":"{a=\"b\"}","start":5,"end":10,"created":"2023-11-14T22:13:20Z","reason":"asked for"`
)

func TestRequestsAreTheSameInAllForms(t *testing.T) {
	want := admin.Request{Query: `{a="b"}`, Start: 1_600_000_000_000, End: clock - 3_600_000, Reason: "asked for"}
	for name, c := range map[string][3]string{
		"JSON":         {Path, asJSON, `{"query":"{a=\"b\"}","start":1600000000,"end":"now-1h","reason":"asked for","by":"eve"}`},
		"charset":      {Path + "?dry_run=false&by=eve", asJSON + "; charset=utf-8", `{"query":"{a=\"b\"}","start":"2020-09-13T12:26:40Z","end":"now-1h","reason":"asked for","dry_run":true}`},
		"form":         {Path, asForm, `query={a%3D"b"}&start=1600000000000&end=now-1h&reason=asked+for&by=eve`},
		"query string": {Path + `?query={a%3D"b"}&start=1600000000&end=now-60m&reason=asked%20for&by=eve`, "", ""},
	} {
		f := &fake{}
		status, body := call(t, f, "POST", c[0], c[1], c[2])
		require.Equal(t, http.StatusCreated, status, "%s: %s", name, body)
		require.Equal(t, want, f.req, name)
		require.Equal(t, deletion.Who{Address: "192.0.2.1", By: "eve"}, f.who, name)
		require.Equal(t, []string{"delete"}, f.calls, name)
		require.JSONEq(t, `{`+state1+`,"state":"in-force"}`, body)
	}
	f := &fake{existed: true}
	status, body := call(t, f, "POST", Path, asForm, "query={}&start=0&end=now")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"existed":true`)
	require.Equal(t, admin.Request{Query: "{}", End: clock}, f.req)
}

func TestDryRun(t *testing.T) {
	for _, c := range [][3]string{
		{Path + "?dry_run=true", asForm, "query={}&start=0&end=now"},
		{Path, asForm, "query={}&start=0&end=now&dry_run=1"},
		{Path, asJSON, `{"query":"{}","start":0,"end":"now","dry_run":true}`},
	} {
		f := &fake{}
		status, body := call(t, f, "POST", c[0], c[1], c[2])
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, []string{"preview"}, f.calls)
		require.JSONEq(t, `{"query":"{a=\"b\"}","start":5,"end":10,"created":"2023-11-14T22:13:20Z","reason":"asked for","dry_run":true,
			"existed":false,"series":3,"profiles":9,"first":6,"last":8,"services":[{"service":"api\ufffd","series":2,"profiles":7,"first":6,"last":8}],
			"other_services":4,"bucket":{"blocks":2,"bytes":77}}`, body)
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	long := strings.Repeat("x", maxBody)
	for want, c := range map[string][3]string{
		"start is missing":                      {Path, asForm, "query={}&end=now"},
		"end is missing":                        {Path, asJSON, `{"query":"{}","start":0}`},
		`start is \"soon\"`:                     {Path, asForm, "query={}&start=soon&end=now"},
		`dry_run is \"maybe\"`:                  {Path + "?dry_run=maybe", asForm, "query={}&start=0&end=now"},
		`no parameter \"dryrun\"`:               {Path + "?dryrun=true", asForm, "query={}&start=0&end=now"},
		`unknown field \"dryRun\"`:              {Path, asJSON, `{"query":"{}","start":0,"end":1,"dryRun":true}`},
		"start is given 2 times":                {Path, asForm, "query={}&start=0&start=1&end=now"},
		"a time must be a number or a text":     {Path, asJSON, `{"query":"{}","start":[],"end":1}`},
		"more than one JSON value":              {Path, asJSON, `{"query":"{}","start":0,"end":1}{}`},
		"EOF":                                   {Path, asJSON, ``},
		`its type is \"text/plain\"`:            {Path, "text/plain", "query={}"},
		"by has 201 bytes; limit 200":           {Path + "?by=" + strings.Repeat("x", 201), asForm, "query={}&start=0&end=now"},
		"query string: invalid URL escape":      {Path + "?query=%zz", asForm, ""},
		"has more bytes than the limit of 5242": {Path, asForm, "query={}&start=0&end=now&reason=" + long},
	} {
		f := &fake{}
		status, body := call(t, f, "POST", c[0], c[1], c[2])
		if strings.HasPrefix(want, "has more") {
			require.Equal(t, http.StatusRequestEntityTooLarge, status, body)
		} else {
			require.Equal(t, http.StatusBadRequest, status, "%s: %s", want, body)
		}
		require.Contains(t, body, want)
		require.Contains(t, body, `"code":"invalid_argument"`)
		require.Empty(t, f.calls, want)
	}
}

func TestListTakeBackAndAudit(t *testing.T) {
	f := &fake{}
	status, body := call(t, f, "GET", Path, "", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"deletions":[{`+state1+`,"state":"carried-out","pending":{"blocks":0,"bytes":0}},{`+state1+`,"state":"in-force","pending":{"blocks":2,"bytes":5}}]}`, body)

	id := ulid.ULID{1}
	status, body = call(t, f, "DELETE", Path+"/"+id.String()+"?by=eve", "", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"id":"01000000000000000000000000","state":"taken-back"}`, body)
	require.Equal(t, id, f.id)
	require.Equal(t, deletion.Who{Address: "192.0.2.1", By: "eve"}, f.who)

	status, body = call(t, f, "GET", "/hearth/v1/audit?limit=5&before="+id.String(), "", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 5, f.limit)
	require.Equal(t, id, f.id)
	require.JSONEq(t, `{"events":[
		{"id":"02000000000000000000000000","time":"2023-11-14T22:13:20Z","event":"deletion-requested","who":{"tenant":"t","by":"eve"},"deletion":{`+state1+`},"reason":"asked for"},
		{"id":"01000000000000000000000000","time":"2023-11-14T22:13:20Z","event":"block-deleted","who":{},"blocks":["03000000000000000000000000"],"profiles":4}]}`, body)
	call(t, f, "GET", "/hearth/v1/audit", "", "")
	require.Equal(t, defaultEvents, f.limit)
	require.Zero(t, f.id)

	f.calls = nil
	for target, want := range map[string]string{
		"DELETE " + Path + "/1": `ID of the deletion is \"1\"`, "DELETE " + Path + "/" + id.String() + "?by=" + strings.Repeat("x", 201): "limit 200",
		"GET /hearth/v1/audit?limit=x": `limit is \"x\"`, "GET /hearth/v1/audit?before=x": `before is \"x\"`,
	} {
		method, url, _ := strings.Cut(target, " ")
		status, body := call(t, f, method, url, "", "")
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, body, want)
	}
	require.Empty(t, f.calls)
}

func TestErrorsOfTheAdmin(t *testing.T) {
	for kind, status := range map[fault.Kind]int{
		fault.Unavailable: 503, fault.NotFound: 404, fault.Exhausted: 429, fault.Invalid: 400, fault.Unauthenticated: 401,
	} {
		f := &fake{err: fault.New(kind, "what is wrong")}
		for _, target := range []string{
			"POST " + Path + "?query={}&start=0&end=1", "POST " + Path + "?query={}&start=0&end=1&dry_run=true", "GET " + Path,
			"DELETE " + Path + "/" + ulid.ULID{}.String(), "GET /hearth/v1/audit",
		} {
			method, url, _ := strings.Cut(target, " ")
			got, body := call(t, f, method, url, "", "")
			require.Equal(t, status, got, target)
			require.Contains(t, body, "what is wrong")
		}
		require.Len(t, f.calls, 5)
	}
}

func FuzzFields(f *testing.F) {
	f.Add(asJSON, `{"query":"{}","start":1600000000,"end":"now-1h"}`)
	f.Add(asForm, "query={}&start=0&end=now&dry_run=1")
	f.Fuzz(func(t *testing.T, kind, body string) {
		r := httptest.NewRequest("POST", Path, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		got, err := readFields(httptest.NewRecorder(), r)
		if err == nil {
			_, err = got.request(time.UnixMilli(clock))
		}
		if err != nil {
			require.True(t, fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge), err)
			return
		}
		_, err = json.Marshal(got)
		require.NoError(t, err)
	})
}
