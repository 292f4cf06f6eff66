package distributor

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const (
	// internalPrefix begins names that have a meaning to the system.
	internalPrefix = "__"
	// sessionLabel is what some SDKs add to tell processes apart; it would make
	// a new series of every start of a program.
	sessionLabel = "__session_id__"
	// deltaPrefix begins the names of profiles whose sender has taken the
	// difference to the previous one.
	deltaPrefix = "godeltaprof_"
)

// derived reports whether a label is made from the profile's type when it is
// stored, or not stored at all.
func derived(name string) bool {
	switch name {
	case profile.LabelProfileType, profile.LabelType, profile.LabelUnit, profile.LabelPeriodType, profile.LabelPeriodUnit, sessionLabel:
		return true
	}
	return false
}

// seriesLabels returns the labels to store for those sent, sorted by name. If
// named later the name may be missing.
func seriesLabels(sent []profile.LabelPair, l *Limits, namedLater bool) ([]profile.LabelPair, error) {
	out := make([]profile.LabelPair, 0, len(sent)+1)
	for _, p := range sent {
		if derived(p.Name) {
			continue
		}
		if err := checkLabel(p, l); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b profile.LabelPair) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(out); i++ {
		if out[i].Name == out[i-1].Name {
			return nil, fault.Reason(fault.Invalid, "duplicate_label_names", "label name %q occurs twice, with the values %q and %q", out[i].Name, shorten(out[i-1].Value), shorten(out[i].Value))
		}
	}
	out = slices.DeleteFunc(out, func(p profile.LabelPair) bool { return p.Value == "" })
	if n := countNames(out); n > l.MaxLabelNames {
		return nil, fault.Reason(fault.Invalid, "max_label_names_per_series", "the series has %d label names; limit %d", n, l.MaxLabelNames)
	}
	out = withDefault(out, profile.LabelServiceName, profile.UnknownService)
	if i := find(out, profile.LabelName); i >= 0 {
		return named(slices.Delete(out, i, i+1), sentName(sent), l)
	}
	if !namedLater {
		return nil, fault.Reason(fault.Invalid, "invalid_labels", "invalid metric name: the label %s is missing", profile.LabelName)
	}
	return out, nil
}

func sentName(sent []profile.LabelPair) string {
	for _, p := range sent {
		if p.Name == profile.LabelName {
			return p.Value
		}
	}
	return ""
}

// named returns ls, which have no name yet, with the given one.
func named(ls []profile.LabelPair, name string, l *Limits) ([]profile.LabelPair, error) {
	name, isDelta := strings.CutPrefix(name, deltaPrefix)
	pair := profile.LabelPair{Name: profile.LabelName, Value: name}
	if name == "" || strings.Contains(name, ":") {
		return nil, fault.Reason(fault.Invalid, "invalid_labels", "invalid metric name: the label %s is %q; it must not be empty or contain \":\"", pair.Name, shorten(name))
	}
	if err := checkLabel(pair, l); err != nil {
		return nil, err
	}
	ls = withDefault(slices.Clone(ls), pair.Name, pair.Value)
	if isDelta {
		ls = withDefault(ls, profile.LabelDelta, "false")
	}
	return ls, nil
}

// checkLabel reports what is wrong with a single label.
func checkLabel(p profile.LabelPair, l *Limits) error {
	switch {
	case p.Name == "":
		return fault.Reason(fault.Invalid, "invalid_labels", "a label name is empty; its value is %q", shorten(p.Value))
	case !utf8.ValidString(p.Name):
		return fault.Reason(fault.Invalid, "invalid_labels", "label name %q is not UTF-8", shorten(p.Name))
	case !utf8.ValidString(p.Value):
		return fault.Reason(fault.Invalid, "invalid_labels", "the value %q of label %q is not UTF-8", shorten(p.Value), shorten(p.Name))
	case len(p.Name) > l.MaxLabelNameLength:
		return fault.Reason(fault.Invalid, "label_name_too_long", "label name %q has %d bytes; limit %d", shorten(p.Name), len(p.Name), l.MaxLabelNameLength)
	case len(p.Value) > l.MaxLabelValueLength:
		return fault.Reason(fault.Invalid, "label_value_too_long", "the value %q of label %q has %d bytes; limit %d", shorten(p.Value), shorten(p.Name), len(p.Value), l.MaxLabelValueLength)
	}
	return nil
}

func find(ls []profile.LabelPair, name string) int {
	return slices.IndexFunc(ls, func(p profile.LabelPair) bool { return p.Name == name })
}

func hasName(ls []profile.LabelPair) bool { return find(ls, profile.LabelName) >= 0 }

// withDefault adds a label to ls, which is sorted, unless it is there.
func withDefault(ls []profile.LabelPair, name, value string) []profile.LabelPair {
	i, found := slices.BinarySearchFunc(ls, name, func(p profile.LabelPair, n string) int { return strings.Compare(p.Name, n) })
	if found {
		return ls
	}
	return slices.Insert(ls, i, profile.LabelPair{Name: name, Value: value})
}

// countNames counts the labels that the limit is about.
func countNames(ls []profile.LabelPair) int {
	n := 0
	for _, p := range ls {
		if !strings.HasPrefix(p.Name, internalPrefix) {
			n++
		}
	}
	return n
}

func toLabels(ls []profile.LabelPair) labels.Labels {
	b := labels.NewScratchBuilder(len(ls))
	for _, p := range ls {
		b.Add(p.Name, p.Value)
	}
	return b.Labels()
}

// sampleSeries returns the labels of the series that each label set of p goes
// to. Sets that differ only in labels that are left out go to one series; their
// samples are then one group. Two records would be two profiles of one time: the
// engine compares running totals with those before, and would find none newer in
// the second.
func (d *Distributor) sampleSeries(base labels.Labels, p *profile.Profile) []labels.Labels {
	out := []labels.Labels{base}
	if len(p.LabelSets) < 2 {
		return out
	}
	group := make([]uint32, len(p.LabelSets))
	byHash, merged := map[uint64]uint32{base.Hash(): 0}, false
	for g := uint32(1); int(g) < len(p.LabelSets); g++ {
		ls := d.withSampleLabels(base, p.LabelSets[g])
		out, group[g] = append(out, ls), g
		hash := ls.Hash()
		if first, known := byHash[hash]; !known {
			byHash[hash] = g
		} else if labels.Equal(out[first], ls) {
			group[g], merged = first, true
		}
	}
	if merged {
		regroup(p, group)
	}
	return out
}

// regroup gives the samples of p other groups and brings those of each together.
func regroup(p *profile.Profile, group []uint32) {
	order := make([]int, len(p.Samples))
	for i := range p.Samples {
		p.Samples[i].Group = group[p.Samples[i].Group]
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.Samples[a].Group, p.Samples[b].Group) })
	samples, values := make([]profile.Sample, 0, len(p.Samples)), make([]int64, 0, len(p.Values))
	for _, i := range order {
		samples, values = append(samples, p.Samples[i]), append(values, p.Row(i)...)
	}
	p.Samples, p.Values = samples, values
}

// withSampleLabels adds the labels of a sample's label set to a series.
func (d *Distributor) withSampleLabels(base labels.Labels, set []profile.LabelPair) labels.Labels {
	b := labels.NewBuilder(base)
	names := 0
	base.Range(func(l labels.Label) {
		if !strings.HasPrefix(l.Name, internalPrefix) {
			names++
		}
	})
	for _, p := range set {
		switch {
		case base.Has(p.Name):
		case strings.HasPrefix(p.Name, internalPrefix), checkLabel(p, &d.limits) != nil:
			d.metrics.sampleLabels.WithLabelValues("invalid_labels").Inc()
		default:
			b.Set(p.Name, p.Value)
			names++
		}
	}
	if names > d.limits.MaxLabelNames {
		d.metrics.sampleLabels.WithLabelValues("max_label_names_per_series").Add(float64(len(set)))
		return base
	}
	return b.Labels()
}

// checkTypes reports sample types that cannot be told apart in a type ID.
func checkTypes(types []profile.ValueType) error {
	for i, t := range types {
		if strings.Contains(t.Type, ":") || strings.Contains(t.Unit, ":") {
			return fault.Reason(fault.Invalid, "malformed_profile", "sample_type[%d] is %q in %q; \":\" is not allowed, it parts the pieces of a profile type", i, shorten(t.Type), shorten(t.Unit))
		}
		if j := slices.Index(types[:i], t); j >= 0 {
			return fault.Reason(fault.Invalid, "malformed_profile", "sample_type[%d] is %q in %q, as is sample_type[%d]", i, shorten(t.Type), shorten(t.Unit), j)
		}
	}
	return nil
}

// checkWindow reports a time too far from now.
func checkWindow(t profile.UnixMilli, now time.Time, l *Limits) error {
	at := time.UnixMilli(int64(t))
	older := l.RejectOlderThan > 0 && at.Before(now.Add(-l.RejectOlderThan))
	newer := l.RejectNewerThan > 0 && at.After(now.Add(l.RejectNewerThan))
	switch {
	case older:
		return fault.Reason(fault.Invalid, "not_in_ingestion_window", "the profile's time is %s, %s ago; limit -validation.reject-older-than=%s", stamp(at), now.Sub(at).Round(time.Second), l.RejectOlderThan)
	case newer:
		return fault.Reason(fault.Invalid, "not_in_ingestion_window", "the profile's time is %s, %s ahead; limit -validation.reject-newer-than=%s", stamp(at), at.Sub(now).Round(time.Second), l.RejectNewerThan)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// maxQuoted is how much of a client's string an error message repeats.
const maxQuoted = 64

func shorten(s string) string {
	if len(s) > maxQuoted {
		return s[:maxQuoted] + "..."
	}
	return s
}

// maxDescribed is how many bytes of labels an error message repeats.
const maxDescribed = 256

// describe writes labels as sent, for error messages.
func describe(ls []profile.LabelPair) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, p := range ls {
		if i > 0 {
			b.WriteString(", ")
		}
		if b.Len() > maxDescribed {
			b.WriteString("...")
			break
		}
		b.WriteString(strings.ToValidUTF8(shorten(p.Name), "?") + `="` + strings.ToValidUTF8(shorten(p.Value), "?") + `"`)
	}
	b.WriteByte('}')
	return b.String()
}
