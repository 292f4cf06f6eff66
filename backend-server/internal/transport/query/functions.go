package query

import (
	"context"
	"net/url"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/request"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// functionList is the answer about functions. What the list leaves out is in
// Rest; samples without any frame are in Total only.
type functionList struct {
	Unit      string         `json:"unit"`
	Total     int64          `json:"total"`
	Functions []functionSums `json:"functions"`
	Rest      restSums       `json:"rest"`
	Saturated bool           `json:"saturated,omitempty"` // sums were held at the largest number
}

type functionSums struct {
	Name  string `json:"name"`
	Self  int64  `json:"self"`
	Total int64  `json:"total"`
}

type restSums struct {
	Functions int   `json:"functions"`
	Self      int64 `json:"self"`
}

// functions answers with the functions that took most.
func (h *Handler) functions(ctx context.Context, params url.Values) (any, error) {
	profiles, err := h.question(params, "query", "from", "until")
	if err != nil {
		return nil, err
	}
	req := request.Functions{Profile: profiles, Sort: params.Get("sort")}
	if req.Limit, err = number(params, "limit"); err != nil {
		return nil, err
	}
	top, err := h.frontend.Functions(ctx, req)
	if err != nil {
		return nil, err
	}
	out := functionList{
		Total:     top.Total,
		Functions: make([]functionSums, len(top.Functions)),
		Rest:      restSums{top.RestFunctions, top.RestSelf},
		Saturated: top.Saturated,
	}
	for i, f := range top.Functions {
		out.Functions[i] = functionSums{wire.Text(f.Name), f.Self, f.Total}
	}
	if typ, err := profile.ParseType(req.Type); err == nil {
		out.Unit = typ.SampleUnit
	}
	return out, nil
}
