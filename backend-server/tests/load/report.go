package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
)

// report is what was measured.
type report struct {
	Notes   []string  `json:"notes"`
	Results []*result `json:"results"` // this repository's server first
}

// result are the figures of one server, in the order they were taken.
type result struct {
	Subject string   `json:"subject"`
	Notes   []string `json:"notes"`
	Figures []figure `json:"figures"`
}

// figure is one measurement. Less is better in all of them.
type figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"`
	Value float64 `json:"value"`
}

func (r *result) add(name, unit string, value float64) {
	r.Figures = append(r.Figures, figure{name, unit, value})
}

func (r *result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r *result) find(name string) (float64, bool) {
	i := slices.IndexFunc(r.Figures, func(f figure) bool { return f.Name == name })
	if i < 0 {
		return 0, false
	}
	return r.Figures[i].Value, true
}

// print writes a table: a column for each server, and for each but the first
// how many times the first's figure its own is.
func (rep *report) print(out io.Writer) error {
	for _, n := range rep.Notes {
		fmt.Fprintln(out, n)
	}
	for _, r := range rep.Results {
		for _, n := range r.Notes {
			fmt.Fprintf(out, "%s: %s\n", r.Subject, n)
		}
	}
	fmt.Fprintln(out)
	header := []string{"figure"}
	for i, r := range rep.Results {
		if header = append(header, r.Subject); i > 0 {
			header = append(header, "ratio")
		}
	}
	rows := [][]string{header}
	for _, f := range rep.names() {
		row := []string{f.Name}
		if f.Unit != "" {
			row[0] += " (" + f.Unit + ")"
		}
		own, measured := rep.Results[0].find(f.Name)
		for i, r := range rep.Results {
			v, ok := r.find(f.Name)
			row = append(row, number(v, ok))
			if i > 0 {
				row = append(row, number(v/own, ok && measured && own > 0))
			}
		}
		rows = append(rows, row)
	}
	return table(out, rows)
}

// table writes rows with their columns below each other: the first to the
// left, the others to the right.
func table(out io.Writer, rows [][]string) error {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	for _, row := range rows {
		line := fmt.Sprintf("%-*s", width[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %*s", width[i+1], cell)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// names lists the figures of all servers, each once.
func (rep *report) names() []figure {
	var out []figure
	for _, r := range rep.Results {
		for _, f := range r.Figures {
			if !slices.ContainsFunc(out, func(o figure) bool { return o.Name == f.Name }) {
				out = append(out, f)
			}
		}
	}
	return out
}

// number formats with three significant digits or all those before the point.
func number(v float64, there bool) string {
	switch {
	case !there:
		return "-"
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}
