// Package page has generic types for another package.
package page

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	Next  *Page[T]
}

// Either holds one of two.
type Either[L, R any] struct {
	Left  *L
	Right *R
}

// Set is a map.
type Set[K comparable] map[K]bool

// List is a slice.
type List[T any] []T

// Key is generic in nothing, and called like a type of the package that uses it.
type Key struct{ ID int }
