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

// listOf looks into a slice.
func listOf(v any) (list, bool) {
	switch v := v.(type) {
	case []any:
		return elements(v)
	case []string:
		return elements(v)
	case []bool:
		return elements(v)
	case []int:
		return elements(v)
	case []int8:
		return elements(v)
	case []int16:
		return elements(v)
	case []int32:
		return elements(v)
	case []int64:
		return elements(v)
	case []uint:
		return elements(v)
	case []byte:
		return elements(v)
	case []uint16:
		return elements(v)
	case []uint32:
		return elements(v)
	case []uint64:
		return elements(v)
	case []float32:
		return elements(v)
	case []float64:
		return elements(v)
	case [][]byte:
		return elements(v)
	case []time.Time:
		return elements(v)
	case []time.Duration:
		return elements(v)
	case []map[string]any:
		return elements(v)
	case []map[string]string:
		return elements(v)
	case [][]any:
		return elements(v)
	case [][]string:
		return elements(v)
	case [][]int:
		return elements(v)
	case [][]float64:
		return elements(v)
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
	switch v := v.(type) {
	case map[any]any:
		return v, true
	case map[string]any:
		return entries(v)
	case map[string]string:
		return entries(v)
	case map[string]bool:
		return entries(v)
	case map[string]int:
		return entries(v)
	case map[string]int64:
		return entries(v)
	case map[string]float64:
		return entries(v)
	case map[string][]byte:
		return entries(v)
	case map[string][]string:
		return entries(v)
	case map[string][]any:
		return entries(v)
	case map[string]map[string]any:
		return entries(v)
	case map[int]any:
		return entries(v)
	case map[int]string:
		return entries(v)
	case map[int]int:
		return entries(v)
	case map[int64]any:
		return entries(v)
	case map[bool]any:
		return entries(v)
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
