package signature

import (
	"errors"
	"fmt"
)

// ErrTooLarge is the reason for signatures that would take more than [MaxSteps] to compare.
var ErrTooLarge = errors.New("too large to compare")

// Compatible reports whether a caller that has one signature may call a provider that has the other; the error is the reason why not. It
// may if each side understands, without loss, all that the other can write.
//
// Arguments and items of the input are written by the caller, results and items of the output by the provider. A reader takes its own
// type and
//
//   - a number whose type has no value that its own has not: int16 for int32, int for int64, uint32 for int64, float32 for float64, int32 for float64
//   - a string for bytes, [4]byte for bytes, another array for a slice
//   - a value where it has a pointer, but no pointer where it has a value, as that may be nil
//   - a struct with other fields: it skips those that it does not know, those that it misses are zero, and it must take those of the same name; in the
//     key of a map it must know all fields
//
// and so on for what types are made of. Arguments and results that are missing at the end are zero and those too many are skipped, at
// either side. Any other type is taken only for the same.
func Compatible(caller, provider *Method) error {
	if mine, its := caller.shape(), provider.shape(); mine != its {
		return fmt.Errorf("the caller's method is %s, the provider's is %s", mine, its)
	}
	w := walk{seen: make(map[seen]bool)}
	w.add(results, provider.Results, caller.Results)
	w.add(output, items(provider.Output), items(caller.Output))
	w.add(input, items(caller.Input), items(provider.Input))
	w.add(arguments, caller.Params, provider.Params)
	for p, ok := w.next(); ok; p, ok = w.next() {
		if !p.takes() {
			writer, reader := "caller", "provider"
			if p.role.fromProvider() {
				writer, reader = reader, writer
			}
			sent, read := p.sides()
			return fmt.Errorf("%v: the %s sends %s, the %s reads %s", p.path, writer, sent, reader, read)
		}
		w.parts(p)
	}
	if w.steps > MaxSteps {
		return ErrTooLarge
	}
	return nil
}

// shape tells the kinds of methods apart that cannot call each other.
func (m *Method) shape() string {
	switch {
	case m.Input != nil && m.Output != nil:
		return "a bidirectional stream"
	case m.Input != nil:
		return "a client stream"
	case m.Output != nil:
		return "a server stream"
	}
	return "unary"
}

// items is what a sequence is made of, as a list.
func items(t *Type) []*Type {
	if t == nil {
		return nil
	}
	return []*Type{t}
}

// takes reports whether a reader of type r understands what a writer of type w writes, provided that it does so for the parts of both.
func takes(w, r *Type) bool {
	switch {
	case r.Kind == Pointer:
		return true
	case w.Kind == Pointer:
		return false
	case w.Kind == Array && w.isBytes():
		return r.Kind == Word && r.Name == "bytes" || r.Kind == Array && r.isBytes() && r.Len == w.Len
	case r.Kind == Slice:
		return w.Kind == Slice || w.Kind == Array
	case w.Kind != r.Kind:
		return false
	case w.Kind == Array:
		return w.Len == r.Len && !r.isBytes()
	case w.Kind == Word:
		return takesWord(w.Name, r.Name)
	case w.Kind == Codec:
		return w.Name == r.Name
	}
	return true
}

// isBytes reports whether an array travels as bytes do.
func (t *Type) isBytes() bool { return t.Elem.Kind == Word && t.Elem.Name == "byte" }

// numbers are the types that the decoders of package codec range-check, which they do on the value: any integer and float that has the value is
// read. A type has all integers from -2^low to 2^high exactly (less one at the upper end where it is an integer).
var numbers = map[string]struct{ family, low, high int }{
	"int8": {0, 7, 7}, "int16": {0, 15, 15}, "int32": {0, 31, 31}, "int64": {0, 63, 63}, "int": {0, 63, 63},
	"uint8": {0, 0, 8}, "uint16": {0, 0, 16}, "uint32": {0, 0, 32}, "uint64": {0, 0, 64}, "uint": {0, 0, 64},
	"float32": {1, 24, 24}, "float64": {1, 53, 53},
	"complex64": {2, 24, 24}, "complex128": {2, 53, 53},
}

func takesWord(w, r string) bool {
	from, ok := numbers[w]
	to, both := numbers[r]
	switch {
	case w == r, w == "string" && r == "bytes":
		return true
	case !ok || !both:
		return false
	}
	family := from.family == to.family || from.family == 0 && to.family == 1
	return family && from.low <= to.low && from.high <= to.high
}

// describe names t in a reason, short whatever t is.
func describe(t *Type) string {
	switch t.Kind {
	case Slice:
		return "[]" + describe(t.Elem)
	case Array:
		return fmt.Sprintf("[%d]%s", t.Len, describe(t.Elem))
	case Map:
		return "map[" + describe(t.Key) + "]" + describe(t.Elem)
	case Pointer:
		return "*" + describe(t.Elem)
	case Struct:
		return "struct"
	case Codec:
		return "@" + t.Name
	}
	return t.Name
}
