package dev

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// soaked are the tests that draw what they do. Each has a flag of its package
// for the first seed, which is 1 without it.
var soaked = []struct {
	pkg, tests, seed string
	more             []string // so that a run is not over before it has begun
}{
	{"./backend-server/internal/db", "^TestTwin$", "db.seed", []string{"-db.operations=10000"}},
	{"./backend-server/internal/db/query", "^TestAnswersDoNotDependOnTheSpread$", "query.seed", nil},
	{"./backend-server/internal/deletion", "^TestAnswersAreThoseOfWhatIsLeft$", "deletion.seed", nil},
	{"./backend-server/internal/replica", "^Test", "replica.seed", []string{"-replica.operations=5000"}},
	{"./backend-server/tests", "Kill|TwoCompactors|Cluster|Monolith|Zones|Partition", "tests.seed", nil},
}

// Soak runs the tests that draw what they do again and again, each of them with
// new seeds for the time that HEARTH_SOAK_TIME says, 10m without it. The seed is
// in the command that is printed.
func Soak(ctx context.Context) error {
	each, err := durationOf("HEARTH_SOAK_TIME", 10*time.Minute)
	if err != nil {
		return err
	}
	ctx, cancel := untilAsked(ctx)
	defer cancel()
	var errs []error
	for _, s := range soaked {
		for end := time.Now().Add(each); time.Now().Before(end) && ctx.Err() == nil; {
			args := []string{"test", "-count=1", "-timeout=30m", "-run=" + s.tests, s.pkg, fmt.Sprintf("-%s=%d", s.seed, 1+rand.Uint64N(1<<48))}
			errs = append(errs, run(ctx, os.Stdout, "go", append(args, s.more...)...))
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}
