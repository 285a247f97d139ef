package gen

import (
	"github.com/dave/jennifer/jen"
)

// errorsField is Errors: shoppingServiceErrors, in a list that is empty where there are none.
func (e *emitter) errorsField(t *ErrorTable) []jen.Code {
	if t == nil || len(t.Known) == 0 {
		return nil
	}
	return []jen.Code{pair("Errors", e.errorTable(t))}
}

// methodErrors is errorsField for a method, whose interface has another table.
func (e *emitter) methodErrors(own, others *ErrorTable) []jen.Code {
	switch {
	case own == nil || len(own.Known) == 0 && (others == nil || len(others.Known) == 0):
		return nil
	case len(own.Known) == 0:
		return []jen.Code{pair("Errors", jen.Qual(pathDaffi, "NoErrors"))}
	}
	return e.errorsField(own)
}

// errorTable makes sure that the function of a table will be there.
func (e *emitter) errorTable(t *ErrorTable) *jen.Statement {
	name := e.errorTables[t]
	return e.later(name, -1, func() []jen.Code {
		// func shoppingServiceErrors() []daffi.KnownError {
		// 	return []daffi.KnownError{
		// 		daffi.Sentinel("ErrSoldOut", ErrSoldOut),
		// 		daffi.ErrorValue("ErrLimit", writeErrLimit, readErrLimit),
		// 	}
		// }
		var list []jen.Code
		for _, k := range t.Known {
			list = append(list, e.knownError(k))
		}
		known := func() *jen.Statement { return jen.Index().Qual(pathDaffi, "KnownError") }
		return []jen.Code{
			jen.Comment("// " + name + " are the errors that keep their identity. If one is not declared any more: run go generate again.").Line().
				Func().Id(name).Params().Add(known()).Block(jen.Return(known().Add(rows(list...)))),
		}
	})
}

func (e *emitter) knownError(k KnownError) jen.Code {
	switch {
	case k.Type == nil:
		return jen.Qual(pathDaffi, "Sentinel").Call(jen.Lit(k.Wire), jen.Qual(k.Path, k.Name))
	case k.Pointer:
		return jen.Qual(pathDaffi, "ErrorPointer").Call(jen.Lit(k.Wire), e.writer(k.Type), e.reader(k.Type))
	}
	return jen.Qual(pathDaffi, "ErrorValue").Call(jen.Lit(k.Wire), e.writer(k.Type), e.reader(k.Type))
}

// tableNames chooses names for the functions of tables. One that several interfaces or methods share has that of the first interface, or else
// of the first method.
func (n *namer) tableNames(list []*Interface) {
	for _, methods := range []bool{false, true} {
		for _, i := range list {
			i.tables(func(t *ErrorTable, of string) {
				if n.errorTables[t] == "" && (of != "") == methods {
					name := lowerFirst(i.Name) + of + "Errors"
					n.errorTables[t] = n.choose("errors "+name, name)
				}
			})
		}
	}
}

// tables are the tables of errors of i, and those of its methods with their names.
func (i *Interface) tables(visit func(t *ErrorTable, method string)) {
	one := func(t *ErrorTable, method string) {
		if t != nil && len(t.Known) > 0 {
			visit(t, method)
		}
	}
	if i.Callback != nil {
		one(i.Callback.Errors, "")
	}
	if i.Fetcher != nil {
		one(i.Fetcher.Errors, "")
	}
	for _, m := range i.Methods {
		one(m.ServeErrors, m.Name)
		one(m.CallErrors, m.Name)
	}
}
