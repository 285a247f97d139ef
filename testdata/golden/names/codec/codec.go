// Package codec has the name of a package that generated code imports.
package codec

// Unit is used by the package above.
type Unit int
