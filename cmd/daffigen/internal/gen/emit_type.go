package gen

import (
	"fmt"
	"go/types"

	"github.com/dave/jennifer/jen"
)

// spelling is how types are written down: with the aliases of the source that code in package user can name, or with none if user is nil.
type spelling struct{ user *types.Package }

// spelling is that of what users see, which is written as they wrote it. What is made of a [Type] has no aliases: it serves all that is
// identical, and another package's alias for it may be out of reach.
func (n *namer) spelling() spelling { return spelling{n.pkg.Types} }

// spelled writes t as the source does.
func (n *namer) spelled(t types.Type) *jen.Statement { return n.spelling().typ(t) }

// goType writes t without aliases.
func goType(t types.Type) *jen.Statement { return spelling{}.typ(t) }

// keeps reports whether t is written by its name.
func (s spelling) keeps(t *types.Alias) bool {
	obj := t.Obj()
	switch {
	case s.user == nil:
		return false
	case obj.Pkg() == nil || obj.Pkg() == s.user:
		return true
	}
	return obj.Exported() && importable(obj.Pkg().Path(), s.user.Path()) && obj.Pkg().Name() != "main"
}

func (s spelling) typ(t types.Type) *jen.Statement {
	switch t := t.(type) {
	case *types.Alias:
		if !s.keeps(t) {
			return s.typ(t.Rhs())
		}
		return s.ref(t.Obj(), t.TypeArgs())
	case *types.Named:
		return s.ref(t.Obj(), t.TypeArgs())
	case *types.Basic:
		return jen.Id(t.Name())
	case *types.Slice:
		return jen.Index().Add(s.typ(t.Elem()))
	case *types.Array:
		return jen.Index(jen.Lit(int(t.Len()))).Add(s.typ(t.Elem()))
	case *types.Map:
		return jen.Map(s.typ(t.Key())).Add(s.typ(t.Elem()))
	case *types.Pointer:
		return jen.Op("*").Add(s.typ(t.Elem()))
	case *types.Struct:
		return s.structure(t)
	case *types.Interface:
		if t.Empty() {
			return jen.Any()
		}
		return s.iface(t)
	case *types.Chan:
		return s.channel(t)
	case *types.Signature:
		return jen.Func().Add(s.signature(t))
	}
	panic(fmt.Sprintf("daffigen: %s was not refused", t))
}

func (s spelling) ref(obj *types.TypeName, args *types.TypeList) *jen.Statement {
	ref := jen.Id(obj.Name())
	if obj.Pkg() != nil {
		ref = jen.Qual(obj.Pkg().Path(), obj.Name())
	}
	if args.Len() == 0 {
		return ref
	}
	var list []jen.Code
	for arg := range args.Types() {
		list = append(list, s.typ(arg))
	}
	return ref.Types(list...)
}

func (s spelling) structure(t *types.Struct) *jen.Statement {
	var fields []jen.Code
	for k := range t.NumFields() {
		f := t.Field(k)
		var field *jen.Statement
		if f.Embedded() {
			field = spelling{f.Pkg()}.typ(f.Type()) // an alias gives it its name
		} else {
			field = jen.Id(f.Name()).Add(s.typ(f.Type()))
		}
		if tag := t.Tag(k); tag != "" {
			field = field.Lit(tag)
		}
		fields = append(fields, field)
	}
	return jen.Struct(fields...)
}

// signature writes (context.Context, ...string) ([]string, error), without names.
func (s spelling) signature(sig *types.Signature) *jen.Statement {
	var params, results []jen.Code
	for k := range sig.Params().Len() {
		typ := sig.Params().At(k).Type()
		if sig.Variadic() && k == sig.Params().Len()-1 {
			params = append(params, jen.Op("...").Add(s.typ(typ.(*types.Slice).Elem())))
			continue
		}
		params = append(params, s.typ(typ))
	}
	for r := range sig.Results().Variables() {
		results = append(results, s.typ(r.Type()))
	}
	code := jen.Params(params...)
	if len(results) == 0 {
		return code
	}
	return code.Add(resultList(results))
}

// iface writes an interface type with all its methods.
func (s spelling) iface(t *types.Interface) *jen.Statement {
	return jen.InterfaceFunc(func(g *jen.Group) {
		for fn := range t.Methods() {
			g.Id(fn.Name()).Add(s.signature(fn.Signature()))
		}
	})
}

func (s spelling) channel(t *types.Chan) *jen.Statement {
	switch t.Dir() {
	case types.SendOnly:
		return jen.Chan().Op("<-").Add(s.typ(t.Elem()))
	case types.RecvOnly:
		return jen.Op("<-").Chan().Add(s.typ(t.Elem()))
	}
	return jen.Chan().Add(s.typ(t.Elem()))
}

// packages calls visit for each package that the text of t names.
func (s spelling) packages(t types.Type, visit func(*types.Package)) {
	named := func(obj *types.TypeName, args *types.TypeList) {
		if obj.Pkg() != nil {
			visit(obj.Pkg())
		}
		for arg := range args.Types() {
			s.packages(arg, visit)
		}
	}
	switch t := t.(type) {
	case *types.Alias:
		if !s.keeps(t) {
			s.packages(t.Rhs(), visit)
			return
		}
		named(t.Obj(), t.TypeArgs())
	case *types.Named:
		named(t.Obj(), t.TypeArgs())
	case *types.Map:
		s.packages(t.Key(), visit)
		s.packages(t.Elem(), visit)
	case *types.Struct:
		for f := range t.Fields() {
			if f.Embedded() {
				spelling{f.Pkg()}.packages(f.Type(), visit)
			} else {
				s.packages(f.Type(), visit)
			}
		}
	case *types.Tuple:
		for v := range t.Variables() {
			s.packages(v.Type(), visit)
		}
	case *types.Signature:
		s.packages(t.Params(), visit)
		s.packages(t.Results(), visit)
	case *types.Interface:
		for fn := range t.Methods() {
			s.packages(fn.Signature(), visit)
		}
	case interface{ Elem() types.Type }:
		s.packages(t.Elem(), visit)
	}
}

// sequenceType writes iter.Seq[T] or iter.Seq2[T, error].
func (n *namer) sequenceType(item types.Type, fallible bool) *jen.Statement {
	if fallible {
		return jen.Qual(pathIter, "Seq2").Types(n.spelled(item), jen.Error())
	}
	return jen.Qual(pathIter, "Seq").Types(n.spelled(item))
}
