// Package uses imports the package whose interface names its error.
package uses

import errorname "github.com/daffi-rpc/daffi/testdata/errors/error_name"

// ErrX cannot be imported there.
var ErrX = errorname.ErrSoldOut
