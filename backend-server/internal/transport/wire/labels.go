package wire

import (
	"strings"
	"unicode/utf8"

	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// FromLabels returns labels as they are written on the wire.
func FromLabels(ls labels.Labels) []*typesv1.LabelPair {
	pairs := make([]typesv1.LabelPair, 0, ls.Len())
	out := make([]*typesv1.LabelPair, 0, ls.Len())
	ls.Range(func(l labels.Label) {
		pairs = append(pairs, typesv1.LabelPair{Name: Text(l.Name), Value: Text(l.Value)})
		out = append(out, &pairs[len(pairs)-1])
	})
	return out
}

// ToPairs returns labels of the wire in the domain's words, in their order.
func ToPairs(in []*typesv1.LabelPair) []profile.LabelPair {
	out := make([]profile.LabelPair, len(in))
	for i, p := range in {
		out[i] = profile.LabelPair{Name: p.GetName(), Value: p.GetValue()}
	}
	return out
}

// Text returns s as it may stand in a string field, which must be UTF-8: every
// run of other bytes is replaced. Names of functions need not be UTF-8.
func Text(s string) string {
	if utf8.ValidString(s) { // it is quicker to see that than to copy
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Texts is Text for a list, which it changes in place.
func Texts(list []string) []string {
	for i, s := range list {
		list[i] = Text(s)
	}
	return list
}

// utf8Capability is what a client writes into its Accept header to say that it
// understands label names of any characters.
const utf8Capability = "allow-utf8-labelnames=true"

// AcceptsUTF8Labels reports whether the client whose Accept headers are given
// understands label names that hold more than letters, digits and underscores.
func AcceptsUTF8Labels(accept []string) bool {
	for _, header := range accept {
		for part := range strings.FieldsFuncSeq(header, func(r rune) bool { return r == ';' || r == ',' }) {
			if strings.EqualFold(strings.ReplaceAll(part, " ", ""), utf8Capability) {
				return true
			}
		}
	}
	return false
}

// PlainName reports whether every client understands the label name.
func PlainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
