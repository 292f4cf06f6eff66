// Package deletion is the edge for those who have profiles deleted: routes below
// /hearth/v1, in JSON.
//
//	POST   /hearth/v1/deletions        delete profiles, or with dry_run=true say
//	                                   what that would do
//	GET    /hearth/v1/deletions        the deletions in force
//	DELETE /hearth/v1/deletions/{id}   take one back
//	GET    /hearth/v1/audit            who had what deleted
//
// It translates and nothing else; requests are checked and carried out by package
// deletion/admin. Errors are {"code":…,"message":…}, as those of RPCs. A request
// for the same thing may be sent again: it changes nothing, but makes sure that
// everybody knows.
package deletion

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion/admin"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// Admin carries out requests for the tenant of the context.
type Admin interface {
	Preview(ctx context.Context, req admin.Request) (*admin.Preview, error)
	Delete(ctx context.Context, req admin.Request, who deletion.Who) (*admin.State, error)
	List(ctx context.Context) ([]admin.State, error)
	TakeBack(ctx context.Context, id ulid.ULID, who deletion.Who) error
	Audit(ctx context.Context, before ulid.ULID, limit int) ([]deletion.Event, error)
}

var _ Admin = (*admin.Admin)(nil)

// Handler serves the routes. It is safe for concurrent use.
type Handler struct {
	admin Admin
	now   func() time.Time
}

// New returns a Handler. The clock is for relative times.
func New(a Admin, now func() time.Time) *Handler { return &Handler{a, now} }

// Path is that of deletions.
const Path = "/hearth/v1/deletions"

// Routes returns what the handler serves, by ServeMux pattern. The routes expect
// a tenant in the request's context.
func (h *Handler) Routes() map[string]http.Handler {
	return map[string]http.Handler{
		"POST " + Path:             answered(h.request),
		"GET " + Path:              answered(h.list),
		"DELETE " + Path + "/{id}": answered(h.takeBack),
		"GET /hearth/v1/audit":     answered(h.audit),
	}
}

// answered serves what fn returns as JSON.
func answered(fn func(w http.ResponseWriter, r *http.Request) (status int, body any, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body, err := fn(w, r)
		if err != nil {
			wire.WriteError(w, err)
			return
		}
		wire.WriteJSON(w, status, body)
	})
}

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// request deletes, or says what that would do.
func (h *Handler) request(w http.ResponseWriter, r *http.Request) (int, any, error) {
	f, err := readFields(w, r)
	if err != nil {
		return 0, nil, err
	}
	req, err := f.request(h.now())
	if err != nil {
		return 0, nil, err
	}
	if f.DryRun {
		p, err := h.admin.Preview(r.Context(), req)
		if err != nil {
			return 0, nil, err
		}
		return http.StatusOK, toPreview(p), nil
	}
	s, err := h.admin.Delete(r.Context(), req, who(r, f.By))
	switch {
	case err != nil:
		return 0, nil, err
	case s.Existed:
		return http.StatusOK, toState(s), nil
	}
	return http.StatusCreated, toState(s), nil
}

// who tells whom a request is from. What it says of its author is not verified.
func who(r *http.Request, by string) deletion.Who {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	return deletion.Who{Address: address, By: by}
}

func (h *Handler) list(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	states, err := h.admin.List(r.Context())
	out := struct {
		Deletions []state `json:"deletions"`
	}{[]state{}}
	for i := range states {
		out.Deletions = append(out.Deletions, toState(&states[i]))
	}
	return http.StatusOK, out, err
}

func (h *Handler) takeBack(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := parseID("the ID of the deletion", r.PathValue("id"))
	if err != nil {
		return 0, nil, err
	}
	by := r.URL.Query().Get("by")
	if err := checkBy(by); err != nil {
		return 0, nil, err
	}
	out := struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}{id.String(), "taken-back"}
	return http.StatusOK, out, h.admin.TakeBack(r.Context(), id, who(r, by))
}

func parseID(what, s string) (ulid.ULID, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil {
		return id, invalid("%s is %q; it must be a ULID of 26 letters and digits", what, s)
	}
	return id, nil
}

// defaultEvents is how many events are listed if nothing else is asked for.
const defaultEvents = 100

func (h *Handler) audit(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	params := r.URL.Query()
	limit, before := defaultEvents, ulid.ULID{}
	var err error
	if s := params.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil {
			return 0, nil, invalid("limit is %q; it must be a whole number", s)
		}
	}
	if s := params.Get("before"); s != "" {
		if before, err = parseID("before", s); err != nil {
			return 0, nil, err
		}
	}
	events, err := h.admin.Audit(r.Context(), before, limit)
	out := struct {
		Events []event `json:"events"`
	}{[]event{}}
	for i := range events {
		out.Events = append(out.Events, toEvent(&events[i]))
	}
	return http.StatusOK, out, err
}
