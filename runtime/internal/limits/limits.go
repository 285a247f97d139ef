// Package limits gives the fields of the two Limits structs their defaults, and refuses values that they cannot have.
package limits

import (
	"fmt"
	"math"
	"time"
)

// Number is what a limit may be.
type Number interface{ ~int | ~int64 }

// Unlimited is what a negative value becomes: more than anything comes to, and so little that twice as much does not overflow, or sums with what a process can hold. Where an int has 32 bits that is 1 GiB, more than any default.
const (
	Unlimited   = math.MaxInt/8 | (1<<30 - 1)
	Unlimited64 = math.MaxInt64 / 128
)

func unlimited[T Number](v T) T {
	if _, ok := any(v).(int); ok {
		return T(int(Unlimited))
	}
	most := int64(Unlimited64)
	return T(most)
}

// Setter goes through the fields of a struct. Its Err is about the first field that is wrong, which has its default then.
type Setter struct{ Err error }

// Within sets *v to its default if it is 0, and refuses it unless it is from min to max.
func Within[T Number](s *Setter, name string, v *T, fallback, min, max T) {
	switch {
	case *v == 0:
		*v = fallback
	case *v < min || *v > max:
		s.refuse(fmt.Errorf("%s is %v: it must be from %v to %v, or 0 for %v", "Limits."+name, *v, min, max, fallback))
		*v = fallback
	}
}

// Open is Within for what may also be unlimited, by any negative value. What is larger than [Unlimited] is so, too.
func Open[T Number](s *Setter, name string, v *T, fallback, min T) {
	switch none := unlimited(*v); {
	case *v == 0:
		*v = fallback
	case *v < 0 || *v > none:
		*v = none
	case *v < min:
		s.refuse(fmt.Errorf("%s is %v: it must be at least %v, or 0 for %v, or negative for no limit", "Limits."+name, *v, min, fallback))
		*v = fallback
	}
}

// Before refuses an interval that ends before it begins.
func Before(s *Setter, first string, a time.Duration, second string, b time.Duration) {
	if a > b {
		s.refuse(fmt.Errorf("%s is %v, and %s only %v", "Limits."+first, a, "Limits."+second, b))
	}
}

func (s *Setter) refuse(err error) {
	if s.Err == nil {
		s.Err = err
	}
}
