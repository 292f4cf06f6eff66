package blocktool

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/progress"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// Selection says what is exported.
type Selection struct {
	Tenant   string
	Matchers []*labels.Matcher
	Range    profile.TimeRange
}

// ExportMerged writes one compressed pprof profile, the sum of all profiles of
// the type that is selected.
func ExportMerged(ctx context.Context, p Place, sel Selection, t profile.Type, w io.Writer) error {
	one := query.Selection{Type: t, Matchers: sel.Matchers, Range: sel.Range}
	return withUnits(ctx, p, sel.Tenant, replica.Selection{Matchers: one.AllMatchers(), Range: sel.Range}, func(units []query.Queryable) error {
		one.Range = covered(units, sel.Range)
		merged, err := query.Profile(ctx, units, one)
		if err != nil {
			return err
		}
		if len(merged.Samples) == 0 {
			return fault.New(fault.NotFound, "there are no profiles of the type %s in the selection", t)
		}
		return writePprof(w, query.Lean(merged))
	})
}

// covered is the part of r that units have something in.
func covered(units []query.Queryable, r profile.TimeRange) profile.TimeRange {
	if len(units) == 0 {
		return r
	}
	have := units[0].TimeRange()
	for _, u := range units[1:] {
		o := u.TimeRange()
		have.Start, have.End = min(have.Start, o.Start), max(have.End, o.End)
	}
	return profile.TimeRange{Start: max(r.Start, have.Start), End: min(r.End, have.End)}
}

func writePprof(w io.Writer, p *profile.Profile) error {
	z := gzip.NewWriter(w)
	_, err := z.Write(pprof.Encode(p))
	return errors.Join(err, z.Close())
}

// IndexFile lists the files of an export with the labels of each, which pprof
// has no place for.
const IndexFile = "index.tsv"

// ExportEach writes every selected profile as a file of its own,
// <service>/<name>/<time>-<ID>.pb.gz, below dir, and IndexFile. It returns how
// many.
func ExportEach(ctx context.Context, p Place, sel Selection, dir string, bar *progress.Bar) (n int, err error) {
	bar.Begin("writing profiles", 0, progress.Count)
	defer bar.End()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	index, err := os.Create(filepath.Join(dir, IndexFile))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	e := &exporter{dir: dir, sel: sel, index: index, bar: bar}
	err = withUnits(ctx, p, sel.Tenant, replica.Selection{Matchers: sel.Matchers, Range: sel.Range}, func(units []query.Queryable) error {
		for _, u := range units {
			if err := e.unit(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	return e.written, err
}

type exporter struct {
	dir     string
	sel     Selection
	index   io.Writer
	bar     *progress.Bar
	written int
}

// source is all row series of a partition that are of the profiles of one
// series: the same but for the sample type.
type source struct {
	partition uint32
	labels    labels.Labels // without those of the type
	period    profile.ValueType
	columns   []column
}

// column is a sample type of a source.
type column struct {
	query.Series
	profile.ValueType
}

var typeLabels = []string{profile.LabelProfileType, profile.LabelType, profile.LabelUnit, profile.LabelPeriodType, profile.LabelPeriodUnit}

// sources groups series by the profiles that they come from.
func sources(series []query.Series) []*source {
	known := map[string]*source{}
	var out []*source
	for _, s := range series {
		base := labels.NewBuilder(s.Labels).Del(typeLabels...).Labels()
		period := profile.ValueType{Type: s.Labels.Get(profile.LabelPeriodType), Unit: s.Labels.Get(profile.LabelPeriodUnit)}
		key := fmt.Sprint(s.Partition, base, period)
		src := known[key]
		if src == nil {
			src = &source{partition: s.Partition, labels: base, period: period}
			known[key] = src
			out = append(out, src)
		}
		src.columns = append(src.columns, column{s, profile.ValueType{Type: s.Labels.Get(profile.LabelType), Unit: s.Labels.Get(profile.LabelUnit)}})
	}
	for _, src := range out {
		// What profilers put last is what tools show first: the scaled type.
		slices.SortFunc(src.columns, func(a, b column) int {
			if a.Scaled != b.Scaled {
				return map[bool]int{false: -1, true: 1}[a.Scaled]
			}
			return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Rows, b.Rows))
		})
	}
	slices.SortFunc(out, func(a, b *source) int {
		return cmp.Or(labels.Compare(a.labels, b.labels), cmp.Compare(a.period.Type, b.period.Type))
	})
	return out
}

func (e *exporter) unit(ctx context.Context, u query.Queryable) error {
	series, err := u.Select(ctx, e.sel.Matchers...)
	if err != nil {
		return err
	}
	for _, src := range sources(series) {
		table, err := u.Symbols(ctx, src.partition)
		if err != nil {
			return err
		}
		r := covered([]query.Queryable{u}, e.sel.Range)
		// By the hour, so that not all of a long block is in memory.
		for start := r.Start - mod(r.Start, hour); start <= r.End; start += hour {
			part := profile.TimeRange{Start: max(start, r.Start), End: min(start+hour-1, r.End)}
			if err := e.source(ctx, u, src, table, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// gathered is a profile on its way to its file: values by stack and column.
type gathered struct{ values map[uint32][]int64 }

// source writes the profiles of a source that lie in r.
func (e *exporter) source(ctx context.Context, u query.Queryable, src *source, table *symbols.Table, r profile.TimeRange) error {
	found := map[rowPlace]*gathered{}
	var rows []uint32
	for _, c := range src.columns {
		rows = append(rows, c.Rows)
	}
	slices.Sort(rows)
	req := query.ScanRequest{Partition: src.partition, Rows: slices.Compact(rows), Range: r}
	err := u.Scan(ctx, req, func(row *query.Row) error {
		at := rowPlace{row.Time, row.ID}
		g := found[at]
		if g == nil {
			g = &gathered{values: map[uint32][]int64{}}
			found[at] = g
		}
		g.add(src.columns, row)
		return nil
	})
	if err != nil {
		return err
	}
	places := make([]rowPlace, 0, len(found))
	for at := range found {
		places = append(places, at)
	}
	slices.SortFunc(places, func(a, b rowPlace) int { return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.id, b.id)) })
	for _, at := range places {
		if err := e.write(src, table, at, found[at]); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathered) add(columns []column, row *query.Row) {
	for i, c := range columns {
		if c.Rows != row.Rows {
			continue
		}
		factor := int64(1)
		if c.Scaled {
			factor = row.Unit
		}
		for j, stack := range row.Stacks {
			if g.values[stack] == nil {
				g.values[stack] = make([]int64, len(columns))
			}
			g.values[stack][i] += row.Values[j] * factor
		}
	}
}

// write writes one profile.
func (e *exporter) write(src *source, table *symbols.Table, at rowPlace, g *gathered) error {
	p := &profile.Profile{
		Strings: table.Strings, Mappings: table.Mappings, Functions: table.Functions, Lines: table.Lines, Locations: table.Locations,
		LabelSets: [][]profile.LabelPair{nil}, PeriodType: src.period, TimeNanos: int64(at.time) * int64(time.Millisecond),
	}
	for _, c := range src.columns {
		p.Types = append(p.Types, c.ValueType)
	}
	for _, stack := range sortedKeys(g.values) {
		start := uint32(len(p.Frames))
		for n := table.Stacks[stack]; n != 0; n = table.Nodes[n].Parent {
			p.Frames = append(p.Frames, table.Nodes[n].Location)
		}
		p.Samples = append(p.Samples, profile.Sample{FrameStart: start, FrameEnd: uint32(len(p.Frames))})
		p.Values = append(p.Values, g.values[stack]...)
	}
	name := filepath.Join(fileName(src.labels.Get(profile.LabelServiceName)), fileName(src.labels.Get(profile.LabelName)),
		fmt.Sprintf("%s-%016x.pb.gz", time.UnixMilli(int64(at.time)).UTC().Format("20060102T150405.000Z"), at.id))
	if err := e.file(name, slim(p)); err != nil {
		return err
	}
	e.written++
	e.bar.Add(1)
	_, err := fmt.Fprintf(e.index, "%s\t%s\n", filepath.ToSlash(name), src.labels)
	return err
}

func (e *exporter) file(name string, p *profile.Profile) (err error) {
	full := filepath.Join(e.dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	f, err := os.Create(full)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return writePprof(f, p)
}

// fileName is a label's value as the name of a folder.
func fileName(value string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, value)
	if strings.Trim(name, ".") == "" {
		return "_" + name
	}
	return name
}
