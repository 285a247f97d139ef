// Package paged has a table whose indices are chosen by somebody else.
package paged

import "iter"

const pageSize = 32

// Table has room for an entry at each index, in pages of 32 that are made when one of theirs is used for the first time. So who names a high index gets that page and
// 8 bytes for each page before it, not the whole table, and an entry stays where it is. Whoever has it bounds the indices. The zero value is empty.
type Table[T any] struct{ pages []*[pageSize]T }

// At is the entry of an index, nil if none of its page was ever made.
func (t *Table[T]) At(i uint32) *T {
	if n := i / pageSize; uint64(n) < uint64(len(t.pages)) {
		if p := t.pages[n]; p != nil {
			return &p[i%pageSize]
		}
	}
	return nil
}

// Make is At, and makes the page if need be.
func (t *Table[T]) Make(i uint32) *T {
	if e := t.At(i); e != nil {
		return e
	}
	n := int(i / pageSize)
	if more := n + 1 - len(t.pages); more > 0 {
		t.pages = append(t.pages, make([]*[pageSize]T, more)...)
	}
	t.pages[n] = new([pageSize]T)
	return &t.pages[n][i%pageSize]
}

// All yields the entries of all pages, also those that were not used.
func (t *Table[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, p := range t.pages {
			if p == nil {
				continue
			}
			for i := range p {
				if !yield(&p[i]) {
					return
				}
			}
		}
	}
}
