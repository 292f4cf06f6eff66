package query

import (
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/tree"
)

// MergeProfiles sums profiles such as Engine.Profile returns into one. Equal
// stacks become one sample, and of the symbols only those in use are kept. The
// parts stay as they are. What Engine.Profile sets besides samples and symbols
// is left empty.
func MergeProfiles(parts []*profile.Profile) (*profile.Profile, error) {
	tables := make([]*stackSums, len(parts))
	for i, p := range parts {
		tables[i] = &stackSums{table: &symbols.Table{
			Strings: p.Strings, Mappings: p.Mappings, Functions: p.Functions, Lines: p.Lines, Locations: p.Locations,
		}}
	}
	m := profileMerger{symbols: newCommon(tables), stacks: tree.New()}
	for i, p := range parts {
		m.addProfile(p, m.symbols.adopt(tables[i].table))
	}
	out, err := m.profile(new(budget))
	if err != nil {
		return nil, err
	}
	out.Types = make([]profile.ValueType, 1)
	return out, nil
}

// addProfile adds the samples of a profile with one sample type.
func (m *profileMerger) addProfile(p *profile.Profile, adopted *adoption) {
	for i, s := range p.Samples {
		node := tree.Root
		for f := s.FrameEnd; f > s.FrameStart; f-- {
			node = m.stacks.Child(node, firstLocation+tree.NameID(adopted.location(p.Frames[f-1])))
		}
		m.stacks.Add(node, p.Values[i])
	}
}

// Lean returns p with no symbols but those in use, if it has many others, as one
// that comes with the symbols of a whole service may. Otherwise it is p itself.
func Lean(p *profile.Profile) *profile.Profile {
	if len(p.Locations) <= len(p.Frames) {
		return p
	}
	lean, err := MergeProfiles([]*profile.Profile{p})
	if err != nil {
		return p
	}
	return lean
}
