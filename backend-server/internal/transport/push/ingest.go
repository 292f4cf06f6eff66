package push

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// ingest serves POST /ingest.
func (h *Handler) ingest(w http.ResponseWriter, r *http.Request) {
	if err := h.ingestProfile(r); err != nil {
		if seconds := wire.RetryAfter(err); seconds != "" {
			w.Header().Set("Retry-After", seconds)
		}
		status := statusOf(err)
		if status == http.StatusInternalServerError {
			h.logger.Error("ingest failed", "path", r.URL.Path, "error", err)
		}
		http.Error(w, err.Error(), status)
	}
}

// A statusError is an error with a status that differs from that of its kind.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func statusOf(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	return wire.HTTPStatus(err)
}

// unprocessable is the status of a well-formed request whose body is not.
func unprocessable(err error) error {
	return &statusError{http.StatusUnprocessableEntity, err}
}

func (h *Handler) ingestProfile(r *http.Request) error {
	q := r.URL.Query()
	series, err := h.series(q)
	if err != nil {
		return err
	}
	data, display, err := h.body(r, q.Get("format"))
	if err != nil {
		return err
	}
	series.Name = func(types []profile.ValueType) string { return pprof.MetricName(types, display) }
	series.Profiles[0].Data = data
	result, err := h.pusher.Push(r.Context(), []upload.Series{series})
	if err != nil {
		return err
	}
	if err = result.Err(); fault.Is(err, fault.Invalid) {
		return unprocessable(err)
	}
	return err
}

// series makes a series of the query: labels and time, no data yet.
func (h *Handler) series(q url.Values) (upload.Series, error) {
	app, tags, err := parseName(q.Get("name"))
	if err != nil {
		return upload.Series{}, err
	}
	s := upload.Series{Profiles: make([]upload.Profile, 1)}
	for _, field := range []string{"from", "until"} {
		text := q.Get(field)
		if text == "" {
			continue
		}
		t, err := wire.ParseTime(field, text, h.now())
		if err != nil {
			return s, err
		}
		if field == "from" {
			s.Profiles[0].Time = profile.UnixMilli(t.UnixMilli())
		}
	}
	spy := q.Get("spyName")
	if spy == "" {
		spy = "unknown"
	}
	named := false
	for _, t := range tags {
		// Names that begin with two underscores are the server's to give.
		if strings.HasPrefix(t.Name, "__") || t.Name == profile.LabelSpy {
			continue
		}
		named = named || t.Name == profile.LabelServiceName
		s.Labels = append(s.Labels, t)
	}
	if !named {
		s.Labels = append(s.Labels, profile.LabelPair{Name: profile.LabelServiceName, Value: app})
	}
	s.Labels = append(s.Labels,
		profile.LabelPair{Name: profile.LabelDelta, Value: "false"},
		profile.LabelPair{Name: profile.LabelSpy, Value: spy})
	return s, nil
}

// parseName reads name=app{k=v,…}.
func parseName(s string) (app string, tags []profile.LabelPair, err error) {
	app, rest, tagged := strings.Cut(s, "{")
	if app = strings.TrimSpace(app); app == "" {
		return "", nil, fault.New(fault.Invalid, "name is %q; it must name the program, as in name=app or name=app{key=value}", s)
	}
	if !tagged {
		return app, nil, nil
	}
	inner, closed := strings.CutSuffix(strings.TrimSpace(rest), "}")
	if !closed {
		return "", nil, fault.New(fault.Invalid, "name is %q; the { is never closed", s)
	}
	for pair := range strings.SplitSeq(inner, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return "", nil, fault.New(fault.Invalid, "name is %q; %q in it is no key=value", s, pair)
		}
		tags = append(tags, profile.LabelPair{Name: key, Value: strings.TrimSpace(value)})
	}
	return app, tags, nil
}

// body returns the profile of the request, and the names that its sample types
// are shown under.
func (h *Handler) body(r *http.Request, format string) ([]byte, map[string]string, error) {
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err := checkFormat(format, kind); err != nil {
		return nil, nil, err
	}
	if kind == "multipart/form-data" {
		return readForm(multipart.NewReader(r.Body, params["boundary"]))
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil, bodyError(err)
	}
	// Of the formats only pprof comes compressed.
	if format == "" && !pprof.IsGzip(data) {
		return nil, nil, notServed("groups")
	}
	return data, nil, nil
}

// checkFormat refuses formats other than pprof, by parameter or content type.
func checkFormat(format, contentType string) error {
	switch format {
	case "pprof":
		return nil
	case "":
		if _, name, ok := strings.Cut(contentType, "binary/octet-stream+"); ok {
			return notServed(name)
		}
		return nil
	case "groups", "lines", "trie", "tree", "jfr", "speedscope":
		return notServed(format)
	}
	return fault.New(fault.Invalid, "format is %q, which is unknown; send format=pprof", format)
}

func notServed(format string) error {
	return unprocessable(fault.New(fault.Unimplemented, "profiles in the format %q are not taken here; send pprof: format=pprof, or a form with the file \"profile\"", format))
}

// bodyError says why the body could not be read.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault.Reason(fault.TooLarge, "body_size_limit_exceeded", "the request body is over the limit of %d bytes", tooLarge.Limit)
	}
	return &statusError{http.StatusRequestTimeout, fault.New(fault.Invalid, "reading the request body: %w", err)}
}

// Fields of the form.
const (
	fieldProfile  = "profile"
	fieldPrevious = "prev_profile"
	fieldConfig   = "sample_type_config"
)

func readForm(form *multipart.Reader) (data []byte, display map[string]string, err error) {
	found := false
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, formError(err)
		}
		b, err := io.ReadAll(part)
		if err != nil {
			return nil, nil, formError(err)
		}
		switch part.FormName() {
		case fieldProfile:
			data, found = b, true
		case fieldPrevious:
			if len(b) > 0 {
				return nil, nil, unprocessable(fault.New(fault.Unimplemented, "the form has the file %q: profiles are not subtracted here; update the SDK to one that sends differences", fieldPrevious))
			}
		case fieldConfig:
			if display, err = displayNames(b); err != nil {
				return nil, nil, err
			}
		}
	}
	if !found {
		return nil, nil, fault.New(fault.Invalid, "the form has no file %q", fieldProfile)
	}
	return data, display, nil
}

// formError tells a broken form from a broken connection.
func formError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return bodyError(err)
	}
	return fault.New(fault.Invalid, "the form is broken or cut off: %w", err)
}

// displayNames reads what sample types are shown as from a sample_type_config.
func displayNames(b []byte) (map[string]string, error) {
	var config map[string]struct {
		DisplayName string `json:"display-name"`
	}
	if err := json.Unmarshal(b, &config); err != nil {
		return nil, fault.New(fault.Invalid, "%s is no JSON object of sample types: %w", fieldConfig, err)
	}
	names := make(map[string]string, len(config))
	for sampleType, c := range config {
		names[sampleType] = c.DisplayName
	}
	return names, nil
}
