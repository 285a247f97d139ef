// Package away has an interface that others cannot write down.
package away

import "context"

type hidden struct{}

// Sealed is embedded elsewhere.
type Sealed interface {
	//daffi:map sealed
	Add(ctx context.Context, v hidden) error
}
