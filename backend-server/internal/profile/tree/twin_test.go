package tree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// twin is the dumb version of a tree: stacks, root first, and their values.
type twin map[string]int64

const sep = "\x00"

func key(frames []string) string { return strings.Join(frames, sep) }

func frames(key string) []string {
	if key == "" {
		return nil
	}
	return strings.Split(key, sep)
}

func (w twin) total() (sum int64) {
	for _, v := range w {
		sum += v
	}
	return sum
}

// totals returns the total of every node, named by its path.
func (w twin) totals() map[string]int64 {
	out := map[string]int64{}
	for k, v := range w {
		f := frames(k)
		for i := 1; i <= len(f); i++ {
			out[key(f[:i])] += v
		}
	}
	return out
}

func (w twin) functions() map[string]Function {
	out := map[string]Function{}
	for k, v := range w {
		fs := frames(k)
		for i, name := range fs {
			f := out[name]
			f.Name = name
			if i == len(fs)-1 {
				f.Self += v
			}
			if !slices.Contains(fs[:i], name) {
				f.Total += v
			}
			out[name] = f
		}
	}
	return out
}

// truncate cuts by paths: what is below the cut goes to its nearest kept
// ancestor's child "\x01other".
func (w twin) truncate(n int) twin {
	totals := w.totals()
	var sorted []int64
	for _, v := range totals {
		sorted = append(sorted, v)
	}
	slices.Sort(sorted)
	slices.Reverse(sorted)
	var least int64
	if n > 0 && n < len(sorted) {
		least = sorted[n-1]
	}
	out := twin{}
	for k, v := range w {
		f := frames(k)
		for i := range f {
			if totals[key(f[:i+1])] < least {
				f = append(slices.Clone(f[:i]), remainderMark)
				break
			}
		}
		out[key(f)] += v
	}
	return out
}

func (w twin) filter(site []string) twin {
	out := twin{}
	for k, v := range w {
		if f := frames(k); len(f) >= len(site) && slices.Equal(f[:len(site)], site) {
			out[k] = v
		}
	}
	return out
}

const remainderMark = "\x01other"

// add adds one stack to a tree.
func add(t *Tree, stack []string, v int64) {
	n := Root
	for _, f := range stack {
		n = t.Child(n, t.Name(f))
	}
	t.Add(n, v)
}

// stacks reads the stacks with a value back out of a tree.
func stacks(t *Tree) twin {
	out := twin{}
	for id := range t.nodes {
		if t.self[id] == 0 {
			continue
		}
		var path []string
		for n := NodeID(id); n != Root; n = t.Parent(n) {
			name := t.Label(t.NameOf(n))
			if t.NameOf(n) == Remainder {
				name = remainderMark
			}
			path = append(path, name)
		}
		slices.Reverse(path)
		out[key(path)] += t.self[id]
	}
	return out
}

func randomStack(r *rand.Rand) []string {
	stack := make([]string, r.IntN(9))
	for i := range stack {
		stack[i] = []string{"main", "a", "b", "c", "other", "total", "Ω"}[r.IntN(7)]
	}
	return stack
}

func randomTree(r *rand.Rand, n int) (*Tree, twin) {
	t, w := New(), twin{}
	for range n {
		s, v := randomStack(r), int64(1+r.IntN(5))
		add(t, s, v)
		w[key(s)] += v
	}
	return t, w
}

func TestTreeIsItsTwin(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			a, wa := randomTree(r, r.IntN(200))
			b, wb := randomTree(r, r.IntN(200))

			a.Merge(b)
			for k, v := range wb {
				wa[k] += v
			}
			require.Equal(t, wa, stacks(a), "merge")
			require.Equal(t, wb, stacks(b), "merge leaves its argument alone")
			requireShape(t, a)

			require.Equal(t, wa.total(), a.Total())
			require.Equal(t, wa.total(), a.Totals()[Root])

			got := map[string]Function{}
			for _, f := range a.Functions() {
				got[f.Name] = f
			}
			require.Equal(t, wa.functions(), got, "functions")

			for _, n := range []int{0, 1, 2, 5, 20, 100, 10000} {
				cut := a.Truncate(n)
				require.Equal(t, wa.truncate(n), stacks(cut), "cut to %d", n)
				require.Equal(t, wa.total(), cut.Total())
				requireShape(t, cut)
				again := cut.Truncate(n)
				require.Equal(t, wa.total(), again.Total(), "a cut of a cut")
			}

			site := randomStack(r)
			site = site[:min(len(site), 3)]
			require.Equal(t, wa.filter(site), stacks(a.FilterPrefix(site)), "filter %q", site)

			bytes, err := a.AppendBinary(nil)
			require.NoError(t, err)
			back, err := Decode(bytes)
			require.NoError(t, err)
			require.Equal(t, wa, stacks(back), "bytes")
		})
	}
}

// requireShape checks T1 and T2.
func requireShape(t *testing.T, tr *Tree) {
	t.Helper()
	seen := map[node]bool{}
	for id, n := range tr.nodes[1:] {
		require.Less(t, int(n.parent), id+1)
		require.False(t, seen[n], "two children of %d named %q", n.parent, tr.texts[n.name])
		seen[n] = true
	}
}

// TestTreesThatShareNames: trees made at different times with the same names,
// and parts of one that grows, add up to what trees of their own do.
func TestTreesThatShareNames(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		names := NewNames()
		grown := NewIn(names)
		sum, want := NewIn(names), twin{}
		for range 5 {
			var self []int64
			part := twin{}
			for range r.IntN(40) {
				s, v := randomStack(r), int64(r.IntN(5))
				n := Root
				for _, f := range s {
					n = grown.Child(n, names.ID(f))
				}
				self = append(self, make([]int64, max(0, int(n)+1-len(self)))...)
				self[n] += v
				if v != 0 {
					part[key(s)] += v
					want[key(s)] += v
				}
			}
			shape := grown.Shape()
			grown.Child(Root, names.ID(fmt.Sprint("new", seed, len(self)))) // it grows on
			if len(self) == 0 {
				self = []int64{0}
			}
			got := shape.Part(self)
			require.Equal(t, part, stacks(got))
			requireShape(t, got)
			for n, total := range got.Totals() {
				require.True(t, total > 0 || NodeID(n) == Root, "a node without a value")
			}
			if r.IntN(2) == 0 {
				sum.MergePart(shape, self)
				continue
			}
			where := sum.MergeMap(got)
			for n := range got.nodes {
				require.Equal(t, got.Label(got.NameOf(NodeID(n))), sum.Label(sum.NameOf(where[n])))
			}
		}
		require.Equal(t, want, stacks(sum))
		requireShape(t, sum)
		other := New() // with names of its own, numbered differently
		add(other, []string{"c", "b"}, 7)
		other.Merge(sum)
		want[key([]string{"c", "b"})] += 7
		require.Equal(t, want, stacks(other))
	}
}

func TestNamesAreInOrderHoweverTheyCame(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	names := NewNames()
	var all []string
	for range 50 {
		for range r.IntN(20) {
			s := fmt.Sprint(r.IntN(400))
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
			names.ID(s)
		}
		slices.Sort(all)
		order := names.order()
		require.Len(t, order, len(all)+int(reserved))
		for i, s := range all {
			id, ok := names.find(s)
			require.True(t, ok)
			require.EqualValues(t, i, order[id])
		}
		require.EqualValues(t, len(all), order[Remainder], "behind all others")
	}
}
