package deletion

import (
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion/admin"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// rule is a deletion in answers. Times of profiles are milliseconds since 1970,
// both ends of a range included.
type rule struct {
	ID      string    `json:"id,omitempty"`
	Query   string    `json:"query"`
	Start   int64     `json:"start"`
	End     int64     `json:"end"`
	Created time.Time `json:"created"`
	Reason  string    `json:"reason,omitempty"`
}

func toRule(r *deletion.Rule) rule {
	out := rule{
		Query: wire.Text(deletion.Selector(r.Matchers)), Start: int64(r.Range.Start), End: int64(r.Range.End),
		Created: r.Created, Reason: wire.Text(r.Reason),
	}
	if !r.ID.IsZero() {
		out.ID = r.ID.String()
	}
	return out
}

// bucketShare is what of the bucket is concerned.
type bucketShare struct {
	Blocks int   `json:"blocks"`
	Bytes  int64 `json:"bytes"`
}

func share(known bool, blocks int, bytes int64) *bucketShare {
	if !known {
		return nil
	}
	return &bucketShare{blocks, bytes}
}

// state is a deletion in force.
type state struct {
	rule
	// State is in-force while blocks may still hold what is deleted, and
	// carried-out when none does. Either way nobody is shown it.
	State   string       `json:"state"`
	Existed bool         `json:"existed,omitempty"`
	Pending *bucketShare `json:"pending,omitempty"` // still to be rewritten
}

func toState(s *admin.State) state {
	out := state{rule: toRule(&s.Rule), State: "in-force", Existed: s.Existed, Pending: share(s.Known, s.Blocks, s.Bytes)}
	if s.Known && s.Blocks == 0 {
		out.State = "carried-out"
	}
	return out
}

// preview is what a deletion would do.
type preview struct {
	rule
	DryRun   bool         `json:"dry_run"`
	Existed  bool         `json:"existed"`
	Series   int          `json:"series"`
	Profiles uint64       `json:"profiles"`
	First    *int64       `json:"first,omitempty"`
	Last     *int64       `json:"last,omitempty"`
	Services []service    `json:"services"`
	Others   int          `json:"other_services"`
	Bucket   *bucketShare `json:"bucket,omitempty"`
}

type service struct {
	Name     string `json:"service"`
	Series   int    `json:"series"`
	Profiles uint64 `json:"profiles"`
	First    int64  `json:"first"`
	Last     int64  `json:"last"`
}

func toPreview(p *admin.Preview) preview {
	out := preview{
		rule: toRule(&p.Rule), DryRun: true, Existed: p.Existed, Series: p.Series, Profiles: p.Profiles,
		Services: []service{}, Others: p.AllServices - len(p.Services), Bucket: share(p.Known, p.Blocks, p.Bytes),
	}
	if p.Profiles > 0 {
		out.First, out.Last = millis(p.First), millis(p.Last)
	}
	for _, s := range p.Services {
		out.Services = append(out.Services, service{wire.Text(s.Service), len(s.Series), s.Profiles, int64(s.First), int64(s.Last)})
	}
	return out
}

func millis(t profile.UnixMilli) *int64 {
	n := int64(t)
	return &n
}

// event is an entry of the audit log.
type event struct {
	ID       string       `json:"id"`
	Time     time.Time    `json:"time"`
	Event    string       `json:"event"`
	Who      deletion.Who `json:"who"`
	Deletion *rule        `json:"deletion,omitempty"`
	Blocks   []string     `json:"blocks,omitempty"`
	Made     []string     `json:"made,omitempty"`
	Profiles uint64       `json:"profiles,omitempty"`
	Reason   string       `json:"reason,omitempty"`
}

func toEvent(e *deletion.Event) event {
	out := event{ID: e.ID.String(), Time: e.Time, Event: string(e.Kind), Who: e.Who, Profiles: e.Profiles, Reason: wire.Text(e.Reason)}
	if e.Rule != nil {
		r := toRule(e.Rule)
		out.Deletion = &r
	}
	for _, id := range e.Blocks {
		out.Blocks = append(out.Blocks, id.String())
	}
	for _, id := range e.Made {
		out.Made = append(out.Made, id.String())
	}
	return out
}
