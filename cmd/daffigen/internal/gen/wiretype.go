package gen

import (
	"cmp"
	"fmt"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// typer makes a Type of every Go type that travels.
type typer struct {
	known typeutil.Map // of *Type, by Go type
}

// of gives the Type of t, which refuse has accepted.
func (y *typer) of(t types.Type) *Type {
	if known, ok := y.known.At(t).(*Type); ok {
		return known
	}
	w := &Type{Go: types.Unalias(t)}
	y.known.Set(t, w)
	y.fill(w)
	return w
}

func (y *typer) fill(w *Type) {
	switch {
	case isNamed(w.Go, "time", "Time"):
		w.Kind = Time
		return
	case isNamed(w.Go, "time", "Duration"):
		w.Kind = Duration
		return
	}
	if own := ownCodec(w.Go); own != nil {
		w.Kind, w.Codec = Own, own
		return
	}
	switch u := w.Go.Underlying().(type) {
	case *types.Basic:
		w.Kind, w.Basic = Basic, u.Kind()
	case *types.Slice:
		if isByte(u.Elem()) {
			w.Kind = Bytes
			return
		}
		w.Kind, w.Elem = Slice, y.of(u.Elem())
	case *types.Array:
		w.Kind, w.Elem, w.Len = Array, y.of(u.Elem()), u.Len()
	case *types.Map:
		w.Kind, w.Key, w.Elem = Map, y.of(u.Key()), y.of(u.Elem())
	case *types.Pointer:
		w.Kind, w.Elem = Pointer, y.of(u.Elem())
	case *types.Struct:
		w.Kind = Struct
		for f, wire := range wireFields(u) {
			w.Fields = append(w.Fields, Field{Name: f.Name(), Wire: wire, Type: y.of(f.Type())})
		}
	case *types.Interface:
		w.Kind = Any
		if !u.Empty() {
			w.Kind = Error
		}
	default:
		panic(fmt.Sprintf("daffigen: %s was not refused", w.Go))
	}
}

// wireFields are the fields of a struct that travel, with their names on the wire.
func wireFields(s *types.Struct) func(func(*types.Var, string) bool) {
	return func(yield func(*types.Var, string) bool) {
		for i := range s.NumFields() {
			f := s.Field(i)
			wire := wireName(f, s.Tag(i))
			if wire != "-" && f.Exported() && !yield(f, wire) {
				return
			}
		}
	}
}

// wireName is the name of a field on the wire: that of its tag daffi, else of its tag msgpack, else its own.
func wireName(f *types.Var, tag string) string {
	for _, key := range []string{"daffi", "msgpack"} {
		if value, ok := reflect.StructTag(tag).Lookup(key); ok {
			if name, _, _ := strings.Cut(value, ","); name != "" {
				return name
			}
		}
	}
	return f.Name()
}

// refusal says why a type cannot travel.
type refusal struct {
	rule   Code
	path   string // to the bad part, such as Order.Lines[].Price
	reason string
	pos    token.Pos // of the field, if it is one
}

// refuser looks for what cannot travel in one type.
type refuser struct {
	user  *types.Package // where generated code will stand
	seen  typeutil.Map   // structs that were looked at
	stack []types.Type   // named types that are no structs, being looked at
}

const maxTypeDepth = 64

// check gives nil for a type that travels. path leads to t.
func (r *refuser) check(t types.Type, path string, pos token.Pos) *refusal {
	bad := func(reason string) *refusal { return &refusal{rule: CodeType, path: path, reason: reason, pos: pos} }
	if reason := r.refuseName(t); reason != "" {
		return bad(reason)
	}
	if isNamed(t, "time", "Time") || isNamed(t, "time", "Duration") {
		return nil
	}
	if isLock(t) {
		return bad("locks and atomics must not be copied; send the value that it holds or guards")
	}
	if ownCodec(t) != nil {
		if reason := r.refuseOwn(t); reason != "" {
			return bad(reason)
		}
		return nil
	}
	if strings.Count(path, "[") > maxTypeDepth || strings.Count(path, ".") > maxTypeDepth {
		path = path[:len(path)/8] + "…"
		return bad("the type has no end; use one that does not grow with its own type argument")
	}
	if _, ok := t.Underlying().(*types.Struct); !ok && isNamedType(t) {
		if slices.ContainsFunc(r.stack, func(s types.Type) bool { return types.Identical(s, t) }) {
			return bad("a type that contains itself must do so through a struct; wrap it in one")
		}
		r.stack = append(r.stack, t)
		defer func() { r.stack = r.stack[:len(r.stack)-1] }()
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if reason := refuseBasic(u); reason != "" {
			return bad(reason)
		}
	case *types.Slice:
		return r.check(u.Elem(), path+"[]", pos)
	case *types.Array:
		return r.check(u.Elem(), path+"[]", pos)
	case *types.Pointer:
		return r.check(u.Elem(), path, pos)
	case *types.Map:
		if !isKey(u.Key()) {
			return &refusal{rule: CodeMapKey, path: path, reason: typeName(u.Key(), r.user), pos: pos}
		}
		if b := r.check(u.Key(), path+"[key]", pos); b != nil {
			return b
		}
		return r.check(u.Elem(), path+"[]", pos)
	case *types.Struct:
		return r.checkStruct(t, u, path, pos)
	case *types.Chan:
		return bad("channels cannot travel; make the method take or return an iter.Seq2 of the values")
	case *types.Signature:
		if pos.IsValid() {
			return bad("func values cannot travel; " + leaveOut)
		}
		return bad("func values cannot travel; make options a struct, and a func that is called with values an iter.Seq2 of them")
	case *types.Interface:
		if readsOrWrites(t) {
			return bad("readers and writers cannot travel; make the method take or return an iter.Seq2[[]byte, error] of the chunks")
		}
		if !u.Empty() && !types.Identical(u, types.Universe.Lookup("error").Type().Underlying()) {
			return bad("interface values cannot travel, but for error and any; use a struct, or one method for each type")
		}
	default:
		return bad("it cannot travel; use a type of fixed size and fields")
	}
	return nil
}

const leaveOut = "use another type, or leave the field out with the tag `daffi:\"-\"`"

func (r *refuser) checkStruct(t types.Type, s *types.Struct, path string, pos token.Pos) *refusal {
	if r.seen.At(t) != nil {
		return nil
	}
	r.seen.Set(t, true)
	defer func(stack []types.Type) { r.stack = stack }(r.stack)
	r.stack = nil // a type may contain itself through a struct
	names := make(map[string]bool)
	for i := range s.NumFields() {
		f := s.Field(i)
		at := path + "." + f.Name()
		wire := wireName(f, s.Tag(i))
		switch {
		case !f.Exported() && f.Pkg() != r.user && typeObject(t) == nil:
			return &refusal{CodeType, at, "a struct without a name that has unexported fields of another package cannot be written down here; give it a name", f.Pos()}
		case isLock(f.Type()), (wire == "-" || !f.Exported()) && holdsLock(f.Type()):
			return &refusal{CodeType, at, "a struct with a lock must not be copied; put what travels into a struct of its own", f.Pos()}
		case wire == "-":
			continue
		case f.Embedded() && !f.Exported() && exportsFields(f.Type()):
			return &refusal{CodeType, at, "the fields of an embedded unexported type would be left behind; name the field, or leave it out with the tag `daffi:\"-\"`", f.Pos()}
		case !f.Exported():
			continue
		case names[wire]:
			return &refusal{CodeFieldName, at, wire, f.Pos()}
		}
		names[wire] = true
		if bad := r.check(f.Type(), at, f.Pos()); bad != nil {
			return bad
		}
	}
	if len(names) == 0 && s.NumFields() > 0 {
		if obj := typeObject(t); obj != nil {
			pos = cmp.Or(pos, obj.Pos())
		}
		cure := "export them, or use another type"
		if obj := typeObject(t); obj != nil && obj.Pkg() != r.user {
			cure = "use another type"
		}
		return &refusal{CodeType, path, typeName(t, r.user) + " has no exported fields, so nothing of it would travel; " + cure, pos}
	}
	return nil
}

// readsOrWrites reports whether t has Read or Write as io has them.
func readsOrWrites(t types.Type) bool {
	set := types.NewMethodSet(t)
	return slices.ContainsFunc([]string{"Read", "Write"}, func(name string) bool {
		selection := set.Lookup(nil, name)
		if selection == nil {
			return false
		}
		sig := selection.Type().(*types.Signature)
		return sameTypes(sig.Params(), []types.Type{types.NewSlice(types.Typ[types.Uint8])}) &&
			sameTypes(sig.Results(), []types.Type{types.Typ[types.Int], types.Universe.Lookup("error").Type()})
	})
}

// refuseName refuses types that generated code could not name.
func (r *refuser) refuseName(t types.Type) string {
	obj := typeObject(t)
	if obj == nil || obj.Pkg() == nil || obj.Pkg() == r.user {
		return ""
	}
	switch name := typeName(t, r.user); {
	case !obj.Exported():
		return name + " is unexported in its package and cannot be named here; use an exported type"
	case !importable(obj.Pkg().Path(), r.user.Path()):
		return name + " is in an internal package that cannot be imported here; use another type"
	case obj.Pkg().Name() == "main":
		return name + " is in a main package and cannot be imported; move it to another package"
	}
	return ""
}

// importable applies the rule for internal packages.
func importable(path, from string) bool {
	parts := strings.Split(path, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if parts[i] == "internal" {
			root := strings.Join(parts[:i], "/")
			return root != "" && (from == root || strings.HasPrefix(from, root+"/"))
		}
	}
	return true
}

const unknownType = "its type is not known; make it compile, then run daffigen again"

func refuseBasic(b *types.Basic) string {
	switch {
	case b.Kind() == types.Uintptr || b.Kind() == types.UnsafePointer:
		return b.Name() + " means nothing in another process; use an integer or a value"
	case b.Kind() == types.Invalid:
		return unknownType
	}
	return ""
}

// ownCodecs are the ways in which types encode themselves, the first that fits counts.
var ownCodecs = []OwnCodec{
	{"MarshalMsg", "UnmarshalMsg", "msgpack", "WriteMsg", "ReadMsg"},
	{"AppendBinary", "UnmarshalBinary", "binary", "WriteBinaryAppend", "ReadBinary"},
	{"MarshalBinary", "UnmarshalBinary", "binary", "WriteBinary", "ReadBinary"},
	{"AppendText", "UnmarshalText", "text", "WriteTextAppend", "ReadText"},
	{"MarshalText", "UnmarshalText", "text", "WriteText", "ReadText"},
}

// ownCodec is how t encodes itself, nil if it does not. It does so by its methods, whatever their package; nothing is imported.
func ownCodec(t types.Type) *OwnCodec {
	if typeObject(t) == nil || types.IsInterface(t) {
		return nil
	}
	set := types.NewMethodSet(types.NewPointer(t))
	for k, own := range ownCodecs {
		if hasMethod(set, own.Marshal) && hasMethod(set, own.Unmarshal) {
			return &ownCodecs[k]
		}
	}
	return nil
}

// hasMethod reports whether set has an encoding method of that name with the parameters and results that it has everywhere.
func hasMethod(set *types.MethodSet, name string) bool {
	selection := set.Lookup(nil, name)
	if selection == nil {
		return false
	}
	bytes := types.NewSlice(types.Typ[types.Uint8])
	var in, out []types.Type
	if !strings.HasPrefix(name, "Marshal") || name == "MarshalMsg" {
		in = append(in, bytes)
	}
	if !strings.HasPrefix(name, "Unmarshal") || name == "UnmarshalMsg" {
		out = append(out, bytes)
	}
	out = append(out, types.Universe.Lookup("error").Type())
	sig := selection.Type().(*types.Signature)
	return !sig.Variadic() && sameTypes(sig.Params(), in) && sameTypes(sig.Results(), out)
}

func sameTypes(tuple *types.Tuple, want []types.Type) bool {
	return slices.EqualFunc(vars(tuple), want, func(v *types.Var, t types.Type) bool { return types.Identical(v.Type(), t) })
}

// refuseOwn refuses types whose own encoding is not about all of them, or that must not be copied on the way to it.
func (r *refuser) refuseOwn(t types.Type) string {
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return ""
	}
	if holdsLock(t) {
		return "a struct with a lock must not be copied; put what travels into a struct of its own"
	}
	own := ownCodec(t)
	_, index, _ := types.LookupFieldOrMethod(types.NewPointer(t), true, nil, own.Marshal)
	if len(index) < 2 {
		return ""
	}
	for f := range wireFields(s) {
		if f != s.Field(index[0]) {
			return fmt.Sprintf("it has %s from its embedded %s, which would leave %s behind; name the embedded field, or write %[1]s and %[4]s for the whole",
				own.Marshal, s.Field(index[0]).Name(), f.Name(), own.Unmarshal)
		}
	}
	return ""
}

// isKey reports whether a map key of type t can be found again after it travelled: all of what makes keys equal must travel. Equal times may
// differ, and so may pointers and what is in interfaces.
func isKey(t types.Type) bool {
	if isNamed(t, "time", "Time") {
		return false
	}
	if ownCodec(t) != nil {
		return types.Comparable(t)
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Info()&(types.IsBoolean|types.IsNumeric|types.IsString) != 0
	case *types.Array:
		return isKey(u.Elem())
	case *types.Struct:
		travels := 0
		for f := range wireFields(u) {
			if !isKey(f.Type()) {
				return false
			}
			travels++
		}
		return travels == u.NumFields()
	}
	return false
}

// holdsLock reports whether vet would complain about a copy of t.
func holdsLock(t types.Type) bool {
	seen := make(map[types.Type]bool)
	var holds func(types.Type) bool
	holds = func(t types.Type) bool {
		t = types.Unalias(t)
		switch {
		case isLock(t):
			return true
		case seen[t]:
			return false
		}
		seen[t] = true
		switch u := t.Underlying().(type) {
		case *types.Struct:
			for f := range u.Fields() {
				if holds(f.Type()) {
					return true
				}
			}
		case *types.Array:
			return holds(u.Elem())
		}
		return false
	}
	return holds(t)
}

// isLock reports whether vet takes t for a lock: the types of sync and sync/atomic, and those whose pointers have Lock and Unlock.
func isLock(t types.Type) bool {
	obj := typeObject(t)
	if obj == nil || obj.Pkg() == nil {
		return false
	}
	if _, ok := t.Underlying().(*types.Struct); !ok {
		return false
	}
	if path := obj.Pkg().Path(); path == "sync" || path == "sync/atomic" {
		return true
	}
	value, pointer := types.NewMethodSet(t), types.NewMethodSet(types.NewPointer(t))
	locks := func(set *types.MethodSet) bool {
		return isPlain(set.Lookup(nil, "Lock")) && isPlain(set.Lookup(nil, "Unlock"))
	}
	return locks(pointer) && !locks(value)
}

// isPlain reports whether a method takes and returns nothing.
func isPlain(m *types.Selection) bool {
	return m != nil && sameTypes(m.Type().(*types.Signature).Params(), nil) && sameTypes(m.Type().(*types.Signature).Results(), nil)
}

func exportsFields(t types.Type) bool {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for range wireFields(s) {
		return true
	}
	return false
}

func isByte(t types.Type) bool { return types.Identical(t, types.Typ[types.Uint8]) }

func isNamedType(t types.Type) bool { return typeObject(t) != nil }

// typeObject is the declaration of a named type, nil for others.
func typeObject(t types.Type) *types.TypeName {
	if n, ok := types.Unalias(t).(*types.Named); ok {
		return n.Obj()
	}
	return nil
}

func isNamed(t types.Type, path, name string) bool {
	obj := typeObject(t)
	return obj != nil && obj.Pkg() != nil && obj.Pkg().Path() == path && obj.Name() == name
}

// typeName writes t as the package user would, but for aliases.
func typeName(t types.Type, user *types.Package) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == user {
			return ""
		}
		return p.Name()
	})
}
