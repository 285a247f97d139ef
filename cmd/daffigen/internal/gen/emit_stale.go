package gen

import (
	"fmt"
	"go/types"

	"github.com/dave/jennifer/jen"
)

// Generation numbers what generated code asks of the runtime. It grows with the first symbol that an older runtime does not have;
// testdata/generations lists the symbols of each.
const Generation = 2

// generationConst is the constant by which a runtime says that it takes the code of a generation. Where it does not, the compiler shows
// its name and little else, so the name says what to do.
func generationConst(generation int) string {
	return fmt.Sprintf("Generation%d_IfUndefined_GoGetDaffiLatest_ThenGoGenerate", generation)
}

// version emits the assertion that runtime and generated code fit.
func (e *emitter) version() {
	e.comment("What this file needs of the runtime.")
	// const _ = daffi.Generation2_IfUndefined_GoGetDaffiLatest_ThenGoGenerate
	e.file.Const().Id("_").Op("=").Qual(pathDaffi, generationConst(Generation)).Line()
}

// stale emits functions that do not compile once an annotated interface, or a struct of the package, is another than it was.
func (e *emitter) stale() {
	for _, i := range e.pkg.Interfaces {
		if spellable(i) {
			e.staleInterface(i)
		}
	}
	for _, t := range e.all {
		if s, ok := t.Go.Underlying().(*types.Struct); ok && t.Kind == Struct && e.owns(t) {
			e.staleStruct(t, s)
		}
	}
}

// changed ends a line that does not compile any more.
func changed(name string) jen.Code {
	return jen.Comment("// " + name + " has changed since this was generated: run go generate again")
}

// staleInterface assigns i to an interface of the methods that it has, and back.
func (e *emitter) staleInterface(i *Interface) {
	v, was := e.free("v", "value"), e.free("was", "before")
	// func _(v ShoppingService) ShoppingService {
	// 	var was interface {
	// 		GetItems(context.Context) ([]string, error)
	// 	} = v // ShoppingService has changed since this was generated: run go generate again
	// 	return was // ShoppingService has changed since this was generated: run go generate again
	// }
	e.file.Func().Id("_").Params(jen.Id(v).Id(i.Name)).Id(i.Name).Block(
		jen.Var().Id(was).InterfaceFunc(func(g *jen.Group) {
			for _, m := range i.Methods {
				g.Id(m.Name).Add(e.spelling().signature(m.Func.Signature()))
			}
		}).Op("=").Id(v).Add(changed(i.Name)),
		jen.Return(jen.Id(was)).Add(changed(i.Name)),
	).Line()
}

// spellable reports whether the methods of i can be written down in its package.
func spellable(i *Interface) bool {
	for _, m := range i.Methods {
		if !m.Func.Exported() && m.Func.Pkg() != i.Pkg || m.Local && !nameable(m.Func.Signature(), i.Pkg) {
			return false
		}
	}
	return len(i.Methods) > 0
}

// staleStruct makes a T of the fields that it has, without their names, so that there can be no others.
func (e *emitter) staleStruct(t *Type, s *types.Struct) {
	v := e.free("v", "value")
	var fields []jen.Code
	for f := range s.Fields() {
		fields = append(fields, jen.Id(v).Dot(f.Name()))
	}
	typ := goType(t.Go)
	// func _(v Item) Item {
	// 	return Item{v.ID, v.Next} // Item has changed since this was generated: run go generate again
	// }
	e.file.Func().Id("_").Params(jen.Id(v).Add(typ)).Add(typ).Block(
		jen.Return(typ.Clone().Values(fields...)).Add(changed(t.Go.(*types.Named).Obj().Name())),
	).Line()
}

// owns reports whether all fields of a named struct can be named here: those of another package may be unexported, and vet wants theirs
// with names.
func (e *emitter) owns(t *Type) bool {
	obj := typeObject(t.Go)
	if obj == nil || obj.Pkg() != e.pkg.Types {
		return false
	}
	s := t.Go.Underlying().(*types.Struct)
	for f := range s.Fields() {
		if f.Name() == "_" || f.Pkg() != e.pkg.Types && !f.Exported() {
			return false
		}
	}
	return s.NumFields() > 0
}

// nameable reports whether code in package user can write t down.
func nameable(t types.Type, user *types.Package) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		r := refuser{user: user}
		for arg := range t.TypeArgs().Types() {
			if !nameable(arg, user) {
				return false
			}
		}
		return r.refuseName(t) == ""
	case *types.Basic:
		return t.Kind() != types.Invalid && t.Kind() != types.UnsafePointer
	case *types.Tuple:
		for v := range t.Variables() {
			if !nameable(v.Type(), user) {
				return false
			}
		}
		return true
	case *types.Signature:
		return nameable(t.Params(), user) && nameable(t.Results(), user)
	case *types.Map:
		return nameable(t.Key(), user) && nameable(t.Elem(), user)
	case *types.Struct:
		for f := range t.Fields() {
			if !f.Exported() && f.Pkg() != user || !nameable(f.Type(), user) {
				return false
			}
		}
		return true
	case *types.Interface:
		for fn := range t.Methods() {
			if !fn.Exported() && fn.Pkg() != user || !nameable(fn.Signature(), user) {
				return false
			}
		}
		return t.IsMethodSet()
	case interface{ Elem() types.Type }:
		return nameable(t.Elem(), user)
	}
	return false
}
