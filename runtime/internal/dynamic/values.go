package dynamic

import "time"

// list is a slice of any type that is known here.
type list struct {
	n    int
	null bool
	at   func(int) any
}

func elements[T any](s []T) (list, bool) {
	return list{len(s), s == nil, func(i int) any { return s[i] }}, true
}

// containers look into the slices and maps of one type each.
var containers = []struct {
	list func(any) (list, bool)
	maps func(any) (map[any]any, bool)
}{
	of[any](), of[string](), of[bool](), of[[]byte](), of[time.Time](), of[time.Duration](), of[map[string]any](), of[map[string]string](),
	of[int](), of[int8](), of[int16](), of[int32](), of[int64](), of[uint](), of[uint8](), of[uint16](), of[uint32](), of[uint64](),
	of[float32](), of[float64](), of[complex64](), of[complex128](),
}

func of[E any]() (c struct {
	list func(any) (list, bool)
	maps func(any) (map[any]any, bool)
}) {
	c.list = func(v any) (list, bool) {
		switch v := v.(type) {
		case []E:
			return elements(v)
		case [][]E:
			return elements(v)
		case []map[string]E:
			return elements(v)
		}
		return list{}, false
	}
	c.maps = func(v any) (map[any]any, bool) {
		switch v := v.(type) {
		case map[string]E:
			return entries(v)
		case map[string][]E:
			return entries(v)
		case map[int]E:
			return entries(v)
		case map[int64]E:
			return entries(v)
		case map[bool]E:
			return entries(v)
		}
		return nil, false
	}
	return c
}

// listOf looks into a slice.
func listOf(v any) (list, bool) {
	for i := range containers {
		if l, ok := containers[i].list(v); ok {
			return l, true
		}
	}
	return list{}, false
}

func entries[K comparable, V any](m map[K]V) (map[any]any, bool) {
	if m == nil {
		return nil, true
	}
	all := make(map[any]any, len(m))
	for k, v := range m {
		all[k] = v
	}
	return all, true
}

// entriesOf looks into a map.
func entriesOf(v any) (map[any]any, bool) {
	if m, ok := v.(map[any]any); ok {
		return m, true
	}
	for i := range containers {
		if m, ok := containers[i].maps(v); ok {
			return m, true
		}
	}
	return nil, false
}

// scalar reports whether v is of a basic type.
func scalar(v any) bool {
	switch v.(type) {
	case nil, bool, string, []byte, time.Time, time.Duration, error, float32, float64, complex64, complex128,
		int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return true
	}
	return false
}
