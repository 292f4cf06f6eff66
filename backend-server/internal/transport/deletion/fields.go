package deletion

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/deletion/admin"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

const (
	// maxBody is the largest body, in bytes: the longest selector, written in
	// the longest way.
	maxBody = 512 << 10
	// maxBy is the longest name of an author, in bytes.
	maxBy = 200
)

// fields are what a request may hold: as JSON, as a form, or in the query string.
type fields struct {
	Query  string `json:"query"`
	Start  moment `json:"start"`
	End    moment `json:"end"`
	Reason string `json:"reason"`
	By     string `json:"by"`
	DryRun bool   `json:"dry_run"`
}

// moment is a time as text; in JSON it may be a number.
type moment string

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(raw []byte) error {
	if raw[0] == '"' {
		return json.Unmarshal(raw, (*string)(m))
	}
	var n json.Number
	if err := json.Unmarshal(raw, &n); err != nil {
		return fmt.Errorf("a time must be a number or a text, not %s", raw)
	}
	*m = moment(n)
	return nil
}

// readFields reads a request. What is in the query string goes before what is in
// a form; with JSON, only dry_run and by may be there.
func readFields(w http.ResponseWriter, r *http.Request) (*fields, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fault.New(fault.TooLarge, "the body has more bytes than the limit of %d", large.Limit)
	case err != nil:
		return nil, invalid("body: %w", err)
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("query string: %w", err)
	}
	f := &fields{}
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case kind == "application/json":
		err = f.readJSON(body)
	case kind == "application/x-www-form-urlencoded" || len(body) == 0:
		var form url.Values
		if form, err = url.ParseQuery(string(body)); err == nil {
			err = f.set(form)
		}
	default:
		err = fmt.Errorf("its type is %q; it must be application/json or application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
	}
	if err != nil {
		return nil, invalid("body: %w", err)
	}
	if err := f.set(params); err != nil {
		return nil, invalid("query string: %w", err)
	}
	return f, checkBy(f.By)
}

func checkBy(by string) error {
	if len(by) > maxBy {
		return invalid("by has %d bytes; limit %d", len(by), maxBy)
	}
	return nil
}

func (f *fields) readJSON(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one JSON value")
	}
	return nil
}

// set takes over parameters. One that is not known is an error: a misspelt
// dry_run would delete.
func (f *fields) set(params url.Values) error {
	for name, values := range params {
		if len(values) != 1 {
			return fmt.Errorf("%s is given %d times", name, len(values))
		}
		switch value := values[0]; name {
		case "query":
			f.Query = value
		case "start":
			f.Start = moment(value)
		case "end":
			f.End = moment(value)
		case "reason":
			f.Reason = value
		case "by":
			f.By = value
		case "dry_run":
			dry, err := strconv.ParseBool(value)
			if err != nil {
				return fmt.Errorf("dry_run is %q; it must be true or false", value)
			}
			f.DryRun = dry
		default:
			return fmt.Errorf("there is no parameter %q; those there are: query, start, end, reason, by, dry_run", name)
		}
	}
	return nil
}

// request returns what is asked for. Bounds of the time must be given: without
// one, more might be deleted than was meant.
func (f *fields) request(now time.Time) (admin.Request, error) {
	out := admin.Request{Query: f.Query, Reason: f.Reason}
	for _, bound := range []struct {
		field string
		text  moment
		into  *profile.UnixMilli
	}{{"start", f.Start, &out.Start}, {"end", f.End, &out.End}} {
		if bound.text == "" {
			return out, invalid("%s is missing; it is a number since 1970, an RFC 3339 time, or a time such as now-1h", bound.field)
		}
		t, err := wire.ParseTime(bound.field, string(bound.text), now)
		if err != nil {
			return out, err
		}
		*bound.into = profile.UnixMilli(t.UnixMilli())
	}
	return out, nil
}
