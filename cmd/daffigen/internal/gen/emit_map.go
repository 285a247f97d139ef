package gen

import (
	"strconv"

	"github.com/dave/jennifer/jen"
)

// withMapping adds the option by which the function of m makes the arguments, if there is one.
func (e *emitter) withMapping(call *jen.Statement, m *Method, l *locals) *jen.Statement {
	if m.Map == nil || m.EachItem {
		return call
	}
	return call.Dot("With").Call(e.mapped(m, l))
}

// mapped is the option that has the function of m make its arguments when the call runs.
func (e *emitter) mapped(m *Method, l *locals) jen.Code {
	enc := l.local("e", "enc", "encoder")
	var names []string
	for k, r := range m.Map.Results {
		switch {
		case r.Name != "" && r.Name != "_":
			names = append(names, l.local(r.Name, r.Name+"Sent"))
		case len(m.Map.Results) == 1:
			names = append(names, l.local("sent", "mapped"))
		default:
			names = append(names, l.local("sent"+strconv.Itoa(k+1)))
		}
	}
	err := l.local("err", "failure")
	args := append([]jen.Code{jen.Id(l.ctx)}, e.mapArguments(m, l)...)
	// daffi.Mapped(func(ctx context.Context, e *codec.Encoder) error {
	// 	data, err := readFile(ctx, path)
	// 	if err != nil {
	// 		return err
	// 	}
	// 	e.Array(1)
	// 	e.Blob(data)
	// 	return nil
	// })
	return jen.Qual(pathDaffi, "Mapped").Call(jen.Func().Params(
		jen.Id(l.ctx).Qual(pathContext, "Context"),
		jen.Id(enc).Op("*").Qual(pathCodec, "Encoder"),
	).Error().BlockFunc(func(g *jen.Group) {
		g.List(append(ids(names), jen.Id(err))...).Op(":=").Id(m.Map.Name).Call(args...)
		g.If(jen.Id(err).Op("!=").Nil()).Block(jen.Return(jen.Id(err)))
		g.Id(enc).Dot("Array").Call(jen.Lit(len(names)))
		for k, r := range m.Map.Results {
			g.Add(e.writeTo(jen.Id(enc), jen.Id(names[k]), r.Type))
		}
		g.Return(jen.Nil())
	}))
}

// mapArguments writes what is passed to the function of m for its parameters.
func (e *emitter) mapArguments(m *Method, l *locals) []jen.Code {
	var list []jen.Code
	for k := range m.Params {
		arg := jen.Id(l.params[k])
		if m.Map.Func.Signature().Variadic() && k == len(m.Params)-1 {
			arg.Op("...")
		}
		list = append(list, arg)
	}
	return list
}

// feedMapped is daffi.FeedMapped(daffi.NoError(paths), readFile, codec.WriteBlob).
func (e *emitter) feedMapped(m *Method, l *locals) jen.Code {
	seq := jen.Id(l.input)
	if !m.Input.Fallible {
		seq = jen.Qual(pathDaffi, "NoError").Call(seq)
	}
	return jen.Qual(pathDaffi, "FeedMapped").Call(seq, jen.Id(m.Map.Name), e.writer(m.item().Type))
}
