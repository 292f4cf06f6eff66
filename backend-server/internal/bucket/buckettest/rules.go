package buckettest

import (
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/thanos-io/objstore"
)

// Op is an operation of a bucket.
type Op string

// The operations, named as in the metrics of objstore.
const (
	Upload     Op = objstore.OpUpload
	Delete     Op = objstore.OpDelete
	Get        Op = objstore.OpGet
	GetRange   Op = objstore.OpGetRange
	Attributes Op = objstore.OpAttributes
	Exists     Op = objstore.OpExists
	Iter       Op = objstore.OpIter
)

// Mutates reports whether the operation changes the store.
func (o Op) Mutates() bool { return o == Upload || o == Delete }

// Call is one call of an operation.
type Call struct {
	Op   Op
	Name string // of the object, or the folder that is listed
	Nth  int    // how often this operation was called for this name, from 1
}

// When says whether a call that fails takes effect.
type When uint8

// The moments of a failure.
const (
	Before When = iota // nothing has happened
	Torn               // half of the object is stored; a deletion has not happened
	After              // all has happened, but the caller is told that it failed
)

// Fault is what goes wrong with a call. The zero value is nothing.
type Fault struct {
	Err   error
	When  When // of Err
	Delay time.Duration
}

// Rule decides what goes wrong with a call. The first rule that returns an
// error wins; delays add up.
type Rule func(Call) Fault

// ErrInjected is in the chain of every error of the ready rules.
var ErrInjected = errors.New("injected by the test")

// FailOn fails the calls that match says.
func FailOn(when When, match func(Call) bool) Rule {
	return func(c Call) Fault {
		if !match(c) {
			return Fault{}
		}
		return Fault{Err: ErrInjected, When: when}
	}
}

// Sometimes fails a share of the calls of some operations, or of all if none
// are named, each at a moment drawn by the seed.
func Sometimes(seed uint64, share float64, ops ...Op) Rule {
	return func(c Call) Fault {
		if len(ops) > 0 && !slices.Contains(ops, c.Op) {
			return Fault{}
		}
		luck := draw(seed, c)
		if luck.Float64() >= share {
			return Fault{}
		}
		return Fault{Err: ErrInjected, When: When(luck.IntN(int(After) + 1))}
	}
}

// Slowly delays every call by up to most, drawn by the seed.
func Slowly(seed uint64, most time.Duration) Rule {
	return func(c Call) Fault { return Fault{Delay: time.Duration(draw(seed, c).Int64N(int64(most) + 1))} }
}

// draw returns the luck of a call (T1).
func draw(seed uint64, c Call) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(c.Op) + "\x00" + c.Name))
	return rand.New(rand.NewPCG(seed, h.Sum64()+uint64(c.Nth)))
}

// Lag is what a store knows late. It counts in calls, not in time.
type Lag struct {
	List int // calls of any operation before a listing shows an upload or a deletion
	Read int // reads of a new object that find nothing
}
