package block

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// maxServices is how many services a meta file lists: all meta files of a
// bucket are held in memory.
const maxServices = 1000

// services are those of the meta file.
func (w *writer) services() []string {
	if len(w.partitions) > maxServices {
		return nil
	}
	out := make([]string, len(w.partitions))
	for i, p := range w.partitions {
		out[i] = p.service
	}
	slices.Sort(out)
	return out
}

// MayMatch reports whether the block may have profiles that all matchers
// match. It is false only where no service of the block passes those that are
// about the service.
func (m *Meta) MayMatch(ms []*labels.Matcher) bool {
	if m.Services == nil {
		return true
	}
	return slices.ContainsFunc(m.Services, func(service string) bool {
		return !slices.ContainsFunc(ms, func(one *labels.Matcher) bool {
			return one.Name == profile.LabelServiceName && !one.Matches(service)
		})
	})
}
