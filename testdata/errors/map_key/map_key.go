// Package mapkey breaks a rule.
package mapkey

import (
	"context"
	"time"
)

// Point is a struct of which a part does not travel.
type Point struct{ X, y int }

//daffi:callback
type C interface {
	A(ctx context.Context, m map[Point]string) error     // want "C.A: m map\[Point\]string: Point cannot be a map key on the wire; use a string, number or bool, or a struct or array of such \[DF031\]"
	B(ctx context.Context, m []map[any]string) error     // want "C.B: m\[\]: any cannot be a map key"
	C(ctx context.Context, m map[time.Time]string) error // want "C.C: m map\[time.Time\]string: time.Time cannot be a map key"
	D(ctx context.Context, m map[*int]string) error      // want "C.D: m map\[\*int\]string: \*int cannot be a map key"
}
