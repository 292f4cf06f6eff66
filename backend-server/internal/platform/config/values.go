package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bytes is a size in bytes. As a flag it takes a number with an optional unit:
// B, KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024).
type Bytes int64

var units = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// Set implements flag.Value.
func (b *Bytes) Set(s string) error {
	number, factor := strings.TrimSpace(s), 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && factor == 1 {
		*b = Bytes(n)
		return nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f < 0 || f*factor >= 1<<63 {
		return fmt.Errorf("not a size")
	}
	*b = Bytes(f * factor)
	return nil
}

// String implements flag.Value: the largest binary unit that fits evenly.
func (b *Bytes) String() string {
	n := int64(*b)
	for _, u := range slices.Backward(units[:4]) {
		if f := int64(u.factor); n != 0 && n%f == 0 {
			return strconv.FormatInt(n/f, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// Get implements flag.Getter.
func (b *Bytes) Get() any { return *b }

// List is a list of words. As a flag it takes them separated by commas and may
// be repeated; the first use replaces the default.
type List struct {
	Values []string
	set    bool
}

// Set implements flag.Value.
func (l *List) Set(s string) error {
	if !l.set {
		l.Values, l.set = nil, true
	}
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			l.Values = append(l.Values, word)
		}
	}
	return nil
}

// String implements flag.Value.
func (l *List) String() string { return strings.Join(l.Values, ",") }

// Get implements flag.Getter.
func (l *List) Get() any { return l.Values }
