package gen

import (
	"strconv"
	"strings"

	"github.com/dave/jennifer/jen"
)

// callback emits what serves i.
func (e *emitter) callback(i *Interface) {
	e.wireNames(i)
	e.register(i)
	e.service(i)
	for _, m := range i.remote() {
		e.serveMethod(i, m)
	}
	for _, m := range i.below() {
		e.registerSub(i, m)
	}
}

func (e *emitter) wireNames(i *Interface) {
	names := interfaceNames(i.Name)
	e.comment("Names of " + i.Name + " and its methods on the wire.")
	// const (
	// 	ShoppingServiceName          = "ShoppingService"
	// 	ShoppingServiceAddItemMethod = ShoppingServiceName + ".AddItem"
	// )
	e.file.Const().DefsFunc(func(g *jen.Group) {
		g.Id(names.wire()).Op("=").Lit(i.Callback.Wire)
		for _, m := range i.remote() {
			g.Id(names.method(m.Name)).Op("=").Id(names.wire()).Op("+").Lit("." + m.Name)
		}
		for _, m := range i.below() {
			g.Id(names.sub(m.Name)).Op("=").Id(names.wire()).Op("+").Lit("." + m.Name)
		}
	})
}

func (e *emitter) register(i *Interface) {
	names := interfaceNames(i.Name)
	below := ""
	if len(i.below()) > 0 {
		below = ", and the services below it,"
	}
	e.comment(names.register()+" serves impl as "+names.wire()+below+" at r, until the registration is closed or the node is.",
		"The options apply to every method.")
	// func RegisterShoppingService(r daffi.Registrar, impl ShoppingService, opts ...daffi.ServeOption) (*daffi.Registration, error) {
	// 	return daffi.Register(r, &shoppingServiceDesc, impl, opts...)
	// }
	at, impl, opts := e.free("r", "registrar"), e.free("impl", "service"), e.free("opts", "options")
	e.file.Func().Id(names.register()).Params(
		jen.Id(at).Qual(pathDaffi, "Registrar"),
		jen.Id(impl).Id(i.Name),
		jen.Id(opts).Op("...").Qual(pathDaffi, "ServeOption"),
	).Params(jen.Op("*").Qual(pathDaffi, "Registration"), jen.Error()).Block(
		jen.Return(jen.Qual(pathDaffi, "Register").Call(
			jen.Id(at), jen.Op("&").Id(e.namer.service(i)), jen.Id(impl), jen.Id(opts).Op("..."),
		)),
	).Line()
}

func (e *emitter) service(i *Interface) {
	var handlers []jen.Code
	for _, m := range i.remote() {
		handlers = append(handlers, e.handler(i, m))
	}
	// var shoppingServiceDesc = daffi.Service[ShoppingService]{
	// 	Name: ShoppingServiceName,
	// 	Handlers: []daffi.Handler[ShoppingService]{…},
	// }
	desc := []jen.Code{pair("Name", jen.Id(interfaceNames(i.Name).wire()))}
	if len(i.Doc) > 0 {
		desc = append(desc, pair("Doc", textLit(i.Doc)))
	}
	if i.Serial {
		desc = append(desc, pair("Serial", jen.True()))
	}
	desc = append(desc, pair("Handlers", jen.Index().Qual(pathDaffi, "Handler").Types(jen.Id(i.Name)).Add(rows(handlers...))))
	var subs []jen.Code
	for _, m := range i.below() {
		subs = append(subs, jen.Values(pair("Name", jen.Lit(m.Name)), pair("Register", jen.Id(e.serve(i, m)))))
	}
	if len(subs) > 0 {
		desc = append(desc, pair("Subs", jen.Index().Qual(pathDaffi, "Sub").Types(jen.Id(i.Name)).Add(rows(subs...))))
	}
	desc = append(desc, e.errorsField(i.Callback.Errors)...)
	e.file.Var().Id(e.namer.service(i)).Op("=").Qual(pathDaffi, "Service").Types(jen.Id(i.Name)).Add(rows(desc...)).Line()
}

// registerSub emits what registers the service that m returns.
func (e *emitter) registerSub(i *Interface, m *Method) {
	at, impl, opts := e.free("r", "registrar"), e.free("impl", "service"), e.free("opts", "options")
	// func registerHeadNested(r daffi.Registrar, impl Head, opts ...daffi.ServeOption) (*daffi.Registration, error) {
	// 	return RegisterNested(r, impl.Nested(), opts...)
	// }
	e.file.Func().Id(e.serve(i, m)).Params(
		jen.Id(at).Qual(pathDaffi, "Registrar"),
		jen.Id(impl).Id(i.Name),
		jen.Id(opts).Op("...").Qual(pathDaffi, "ServeOption"),
	).Params(jen.Op("*").Qual(pathDaffi, "Registration"), jen.Error()).Block(
		jen.Return(jen.Qual(m.Sub.Iface.Pkg.Path(), interfaceNames(m.Sub.Iface.Name).register()).Call(
			jen.Id(at), jen.Id(impl).Dot(m.Name).Call(), jen.Id(opts).Op("..."),
		)),
	).Line()
}

// handler is a row of the service.
func (e *emitter) handler(i *Interface, m *Method) jen.Code {
	fields := []jen.Code{pair("Name", jen.Lit(m.Name))}
	if len(m.Aliases) > 0 {
		var aliases []jen.Code
		for _, name := range m.Aliases {
			aliases = append(aliases, jen.Lit(name))
		}
		fields = append(fields, pair("Aliases", jen.Index().String().Values(aliases...)))
	}
	fields = append(fields,
		pair("Sig", signatureLit(m)),
		pair("Serve", jen.Id(e.serve(i, m))),
	)
	if m.Oneway {
		fields = append(fields, pair("Oneway", jen.True()))
	}
	if m.Serial != nil {
		fields = append(fields, pair("Serial", jen.True()))
	}
	if m.Shape() != Unary {
		fields = append(fields, pair("Stream", jen.True()))
	}
	fields = append(fields, e.methodErrors(m.ServeErrors, i.Callback.Errors)...)
	fields = append(fields, namePairs(m)...)
	if len(m.Doc) == 0 {
		// {Name: "AddItem", Sig: "(string)()", Serve: serveShoppingServiceAddItem, Params: []string{"item"}}
		return jen.Values(fields...)
	}
	// {
	// 	Name: "GetItems", Sig: "()([]string)", Serve: serveShoppingServiceGetItems,
	// 	Doc: "GetItems returns the items, oldest first.",
	// }
	return rows(jen.List(fields...), pair("Doc", textLit(m.Doc)))
}

// signatureLit writes the signature of m, in backquotes where a tag brought quotes in.
func signatureLit(m *Method) *jen.Statement {
	return quoted(m.signature())
}

// quoted writes s as a literal, in backquotes where it has quotes in it.
func quoted(s string) *jen.Statement {
	if strings.Contains(s, `"`) && !strings.Contains(s, "`") {
		return jen.Op("`" + s + "`")
	}
	return jen.Lit(s)
}

func (e *emitter) serveMethod(i *Interface, m *Method) {
	n := e.serveNames(m)
	// func serveShoppingServiceAddItem(ctx context.Context, impl ShoppingService, c *daffi.Incoming) error {…}
	e.file.Func().Id(e.serve(i, m)).Params(
		jen.Id(n.ctx).Qual(pathContext, "Context"),
		jen.Id(n.impl).Id(i.Name),
		jen.Id(n.call).Op("*").Qual(pathDaffi, "Incoming"),
	).Error().BlockFunc(func(g *jen.Group) {
		e.readArguments(g, m, n)
		e.validate(g, m, n)
		e.invoke(g, m, n)
	}).Line()
}

// readArguments emits the locals of the arguments and what reads them.
func (e *emitter) readArguments(g *jen.Group, m *Method, n serveNames) {
	closing := jen.Id(n.call).Dot("Args").Call()
	if len(m.Params) > 0 {
		// args := c.Args()
		// var item string
		// if args.Next() {
		// 	item = args.String()
		// }
		g.Id(n.args).Op(":=").Add(closing)
		for _, names := range e.grouped(n.params, m.Params) {
			g.Var().Add(names)
		}
		for k, p := range m.Params {
			g.If(jen.Id(n.args).Dot("Next").Call()).Block(e.readInto(jen.Id(n.params[k]), jen.Id(n.args), p.Type))
		}
		closing = jen.Id(n.args)
	}
	// if err := args.Close(); err != nil {
	// 	return err
	// }
	g.If(jen.Id(n.err).Op(":=").Add(closing).Dot("Close").Call(), jen.Id(n.err).Op("!=").Nil()).Block(jen.Return(jen.Id(n.err)))
}

// validate emits what asks the arguments whether they are valid, those that can be asked.
func (e *emitter) validate(g *jen.Group, m *Method, n serveNames) {
	for k, p := range m.Params {
		if !p.Validates {
			continue
		}
		// if err := order.Validate(); err != nil {
		// 	return c.Invalid("order", err)
		// }
		arg := n.params[k]
		ask := jen.If(jen.Id(n.err).Op(":=").Id(arg).Dot("Validate").Call(), jen.Id(n.err).Op("!=").Nil()).Block(
			jen.Return(jen.Id(n.call).Dot("Invalid").Call(jen.Lit(m.argument(k)), jen.Id(n.err))),
		)
		if p.pointer() {
			ask = jen.If(jen.Id(arg).Op("!=").Nil()).Block(ask)
		}
		g.Add(ask)
	}
}

// argument is what messages call the parameter k of m.
func (m *Method) argument(k int) string {
	if name := m.Params[k].Name; name != "" && name != "_" {
		return name
	}
	return strconv.Itoa(k + 1)
}

// input is daffi.Receive(c, codec.ReadString), or ReceiveValid where items can be asked whether they are valid.
func (e *emitter) input(m *Method, n serveNames) jen.Code {
	in := m.Input
	if !in.Validates {
		return jen.Qual(pathDaffi, "Receive").Call(jen.Id(n.call), e.reader(in.Type))
	}
	// daffi.ReceiveValid(c, readOrder, func(item Order) error { return item.Validate() })
	item := n.local("item", "value")
	ask := []jen.Code{jen.Return(jen.Id(item).Dot("Validate").Call())}
	if in.pointer() {
		ask = append([]jen.Code{jen.If(jen.Id(item).Op("==").Nil()).Block(jen.Return(jen.Nil()))}, ask...)
	}
	return jen.Qual(pathDaffi, "ReceiveValid").Call(jen.Id(n.call), e.reader(in.Type),
		jen.Func().Params(jen.Id(item).Add(e.spelled(in.Go))).Error().Block(ask...))
}

// invoke emits the call of the implementation and what writes its results.
func (e *emitter) invoke(g *jen.Group, m *Method, n serveNames) {
	args := append([]jen.Code{jen.Id(n.ctx)}, arguments(m, n.locals)...)
	if m.Input != nil {
		args = append(args, e.input(m, n))
	}
	call := jen.Id(n.impl).Dot(m.Name).Call(args...)
	switch {
	case m.Output != nil:
		// return daffi.Send(c, impl.Watch(ctx, prefix), writeItem)
		g.Return(jen.Qual(pathDaffi, "Send").Call(jen.Id(n.call), call, e.writer(m.Output.Type)))
	case len(m.Results) == 0:
		// return impl.AddItem(ctx, item)
		g.Return(call)
	default:
		// mean, count, err := impl.Stats(ctx, key)
		// if err != nil {
		// 	return err
		// }
		names := n.locals.results(m, "result")
		g.List(append(ids(names), jen.Id(n.err))...).Op(":=").Add(call)
		g.If(jen.Id(n.err).Op("!=").Nil()).Block(jen.Return(jen.Id(n.err)))
		e.writeResults(g, m, n, names)
		g.Return(jen.Nil())
	}
}

func (e *emitter) writeResults(g *jen.Group, m *Method, n serveNames, names []string) {
	results := jen.Id(n.call).Dot("Results").Call(jen.Lit(len(names)))
	if len(names) == 1 {
		// codec.WriteStrings(c.Results(1), result)
		g.Add(e.writeTo(results, jen.Id(names[0]), m.Results[0].Type))
		return
	}
	// results := c.Results(2)
	// results.Float64(mean)
	// results.Int(count)
	enc := n.local("results", "encoder")
	g.Id(enc).Op(":=").Add(results)
	for k, name := range names {
		g.Add(e.writeTo(jen.Id(enc), jen.Id(name), m.Results[k].Type))
	}
}

func ids(names []string) []jen.Code {
	var list []jen.Code
	for _, name := range names {
		list = append(list, jen.Id(name))
	}
	return list
}
