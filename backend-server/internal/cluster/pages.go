package cluster

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/grafana/dskit/ring"
	"github.com/grafana/dskit/services"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

//go:embed pages.gohtml
var pageText string

// Status is what the pages tell of a member. The names are dskit's.
type Status struct {
	ID         string        `json:"id"`
	State      string        `json:"state"`
	Addr       string        `json:"address"`
	Zone       string        `json:"zone"`
	Heartbeat  time.Time     `json:"timestamp"`
	Registered time.Time     `json:"registered_timestamp"`
	Tokens     []uint32      `json:"tokens"`
	Owns       float64       `json:"ownership"` // share of the ring, or of the zone's part of it
	Age        time.Duration `json:"-"`
}

// Members returns the members of a ring, by ID.
func (c *Cluster) Members(ctx context.Context, name Name) ([]Status, error) {
	desc, err := c.store.ring(ctx, name)
	if err != nil {
		return nil, err
	}
	now, owned := time.Now(), desc.CountTokens()
	out := make([]Status, 0, len(desc.Ingesters))
	for id, p := range desc.Ingesters {
		out = append(out, Status{
			ID: id, State: stateOf(&p, c.cfg.rings()[name].HeartbeatTimeout, now), Addr: p.Addr, Zone: p.Zone,
			Heartbeat: time.Unix(p.Timestamp, 0).UTC(), Registered: p.GetRegisteredAt().UTC(),
			Tokens: p.Tokens, Owns: float64(owned[id]) / (math.MaxUint32 + 1), Age: age(&p, now),
		})
	}
	slices.SortFunc(out, func(a, b Status) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Forget removes a member that is UNHEALTHY from a ring. One that lives after
// all comes back with its next heartbeat.
func (c *Cluster) Forget(ctx context.Context, name Name, id string) error {
	var refused error
	err := c.store.CAS(ctx, string(name), func(in any) (any, bool, error) {
		desc := ring.GetOrCreateRingDesc(in)
		p, ok := desc.Ingesters[id]
		state := stateOf(&p, c.cfg.rings()[name].HeartbeatTimeout, time.Now())
		switch refused = nil; {
		case !ok:
			refused = fault.New(fault.NotFound, "the %s ring has no member %q", name, id)
		case state != Unhealthy:
			refused = fault.New(fault.Invalid, "member %q of the %s ring is %s, not %s; stop it to make it leave", id, name, state, Unhealthy)
		}
		if refused != nil {
			return nil, false, nil
		}
		desc.RemoveIngester(id)
		return desc, true, nil
	})
	return errors.Join(refused, err)
}

// Routes returns the pages about the cluster, by pattern: /ring with all rings,
// one with each ring, where members can be forgotten, and /memberlist. With
// "Accept: application/json" they answer in JSON.
func (c *Cluster) Routes() map[string]http.Handler {
	p := &pages{
		cluster: c, logger: c.deps.Logger,
		text: template.Must(template.New("ring").Funcs(template.FuncMap{
			"percent": func(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) },
			"time":    func(t time.Time) string { return t.Format(time.RFC3339) },
			"dead":    func(s Status) bool { return s.State == Unhealthy },
		}).Parse(pageText)),
	}
	routes := map[string]http.Handler{"GET /ring": http.HandlerFunc(p.overview), "GET /memberlist": http.HandlerFunc(p.gossip)}
	foreign := http.NewCrossOriginProtection() // other sites must not forget our members
	for _, name := range Names() {
		routes["GET /"+string(name)+"/ring"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.ring(w, r, name) })
		routes["POST /"+string(name)+"/ring"] = foreign.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.forget(w, r, name) }))
	}
	return routes
}

type pages struct {
	cluster *Cluster
	logger  *slog.Logger
	text    *template.Template
}

// ringPage is one ring: what the template shows, and the JSON.
type ringPage struct {
	Name    Name      `json:"name"`
	Members []Status  `json:"shards"`
	Now     time.Time `json:"now"`
}

// States counts the members by state, for the overview.
func (p ringPage) States() string {
	count := map[string]int{}
	for _, m := range p.Members {
		count[m.State]++
	}
	var out []string
	for _, state := range slices.Sorted(maps.Keys(count)) {
		out = append(out, fmt.Sprintf("%d %s", count[state], state))
	}
	return strings.Join(out, ", ")
}

func (p *pages) load(r *http.Request, name Name) (ringPage, error) {
	members, err := p.cluster.Members(r.Context(), name)
	return ringPage{name, members, time.Now().UTC()}, err
}

func (p *pages) overview(w http.ResponseWriter, r *http.Request) {
	var rings []ringPage
	for _, name := range Names() {
		page, err := p.load(r, name)
		if err != nil {
			p.fail(w, err)
			return
		}
		rings = append(rings, page)
	}
	p.answer(w, r, "overview", rings)
}

func (p *pages) ring(w http.ResponseWriter, r *http.Request, name Name) {
	page, err := p.load(r, name)
	if err != nil {
		p.fail(w, err)
		return
	}
	p.answer(w, r, "ring", page)
}

func (p *pages) forget(w http.ResponseWriter, r *http.Request, name Name) {
	id := r.FormValue("forget")
	if err := p.cluster.Forget(r.Context(), name, id); err != nil {
		p.fail(w, err)
		return
	}
	p.logger.Warn("member forgotten by request", "ring", string(name), "id", id, "from", r.RemoteAddr)
	w.Header().Set("Location", "#") // the same page, whatever the way to it
	w.WriteHeader(http.StatusSeeOther)
}

func (p *pages) gossip(w http.ResponseWriter, r *http.Request) {
	switch {
	case p.cluster.Alone():
		p.answer(w, r, "alone", map[string]bool{"alone": true})
	case p.cluster.State() != services.Running:
		p.fail(w, fault.New(fault.Unavailable, "gossip does not run"))
	default:
		p.cluster.kv.ServeHTTP(w, r)
	}
}

func (p *pages) answer(w http.ResponseWriter, r *http.Request, page string, v any) {
	var err error
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		err = json.NewEncoder(w).Encode(v)
	} else {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		err = p.text.ExecuteTemplate(w, page, v)
	}
	if err != nil {
		p.logger.Debug("page not sent", "page", page, "err", err)
	}
}

func (p *pages) fail(w http.ResponseWriter, err error) {
	code := http.StatusServiceUnavailable
	switch fault.KindOf(err) {
	case fault.NotFound:
		code = http.StatusNotFound
	case fault.Invalid:
		code = http.StatusConflict
	}
	http.Error(w, err.Error(), code)
}
