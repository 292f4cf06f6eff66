package profile

import "math"

// AddSaturating returns a+b for values that are not negative. Where the sum
// would not fit it returns the largest value and true.
func AddSaturating(a, b int64) (sum int64, saturated bool) {
	if s := a + b; s >= a {
		return s, false
	}
	return math.MaxInt64, true
}

// MulSaturating returns a*b for values that are not negative. Where the
// product would not fit it returns the largest value and true.
func MulSaturating(a, b int64) (product int64, saturated bool) {
	if a == 0 || b <= math.MaxInt64/a {
		return a * b, false
	}
	return math.MaxInt64, true
}
