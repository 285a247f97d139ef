package gen

import (
	"github.com/dave/jennifer/jen"
)

// fetcherNames are the names of one fetcher's types and receivers.
type fetcherNames struct {
	namesOf
	iface       *Interface
	proxy, call string // receivers
}

// fetcher emits what calls i.
func (e *emitter) fetcher(i *Interface) {
	f := fetcherNames{
		namesOf: interfaceNames(i.Name),
		iface:   i,
		proxy:   e.receiver(i, "p", "proxy"),
		call:    e.receiver(i, "c", "calls"),
	}
	e.proxyType(f)
	if !i.hasMethod(waitReady) && i.Fetcher.Prepare != waitReady && len(i.remote()) > 0 {
		e.waitReady(f)
	}
	for _, m := range i.Methods {
		if m.Sub != nil {
			e.proxySub(f, m)
		} else {
			e.proxyMethod(f, m)
		}
	}
	e.callsType(f)
	for _, m := range i.Methods {
		if m.Sub != nil {
			e.prepareSub(f, m)
			continue
		}
		e.resultType(f, m)
		e.prepareMethod(f, m)
	}
}

func (e *emitter) proxyType(f fetcherNames) {
	name := f.iface.Name
	e.comment(f.namesOf.proxy() + " is a " + name + " whose methods call " + f.iface.Fetcher.reference() + " on another node.")
	// type ShopperProxy struct{ b *daffi.Binding }
	e.file.Type().Id(f.namesOf.proxy()).Struct(jen.Id(bindingField).Op("*").Qual(pathDaffi, "Binding")).Line()
	// var _ Shopper = (*ShopperProxy)(nil)
	e.file.Var().Id("_").Id(name).Op("=").Parens(jen.Op("*").Id(f.namesOf.proxy())).Parens(jen.Nil()).Line()

	e.comment(f.create() + " returns a proxy that calls through c. The options apply to every call.")
	// func NewShopper(c daffi.Caller, opts ...daffi.CallOption) *ShopperProxy {
	// 	return &ShopperProxy{b: daffi.Bind(c, &shopperClient, opts...)}
	// }
	caller, opts := e.free("c", "caller"), e.free("opts", "options")
	e.file.Func().Id(f.create()).Params(
		jen.Id(caller).Qual(pathDaffi, "Caller"),
		jen.Id(opts).Op("...").Qual(pathDaffi, "CallOption"),
	).Op("*").Id(f.namesOf.proxy()).Block(
		jen.Return(jen.Op("&").Id(f.namesOf.proxy()).Values(pair(bindingField,
			jen.Qual(pathDaffi, "Bind").Call(jen.Id(caller), jen.Op("&").Id(e.client(f.iface)), jen.Id(opts).Op("...")),
		))),
	).Line()

	prepare := f.iface.Fetcher.Prepare
	e.comment(prepare + " returns the methods of " + name + " as calls that have not been sent.")
	// func (p *ShopperProxy) Prepare() ShopperCalls { return ShopperCalls{b: p.b} }
	e.file.Func().Params(jen.Id(f.proxy).Op("*").Id(f.namesOf.proxy())).Id(prepare).Params().Id(f.calls()).Block(
		jen.Return(jen.Id(f.calls()).Values(pair(bindingField, jen.Id(f.proxy).Dot(bindingField)))),
	).Line()
}

// waitReady is the proxy's own method beside that which prepares calls. Where the user has a method of that name, there is only the user's.
const waitReady = "WaitReady"

func (e *emitter) waitReady(f fetcherNames) {
	ctx := e.free("ctx", "callCtx")
	e.comment(waitReady + " returns when every method of " + f.iface.Name + " has a provider that takes its calls, at once if each has. It ends with ctx.")
	// func (p *ShopperProxy) WaitReady(ctx context.Context) error { return p.b.WaitReady(ctx) }
	e.file.Func().Params(jen.Id(f.proxy).Op("*").Id(f.namesOf.proxy())).Id(waitReady).
		Params(jen.Id(ctx).Qual(pathContext, "Context")).Error().
		Block(jen.Return(jen.Id(f.proxy).Dot(bindingField).Dot(waitReady).Call(jen.Id(ctx)))).Line()
}

func (e *emitter) proxyMethod(f fetcherNames, m *Method) {
	l := e.locals(m)
	args := arguments(m, l)
	if m.Input != nil {
		args = append(args, jen.Id(l.input))
	}
	// p.Prepare().AddItem(item).Do(ctx)
	do := jen.Id(f.proxy).Dot(f.iface.Fetcher.Prepare).Call().Dot(m.Name).Call(args...).Dot("Do").Call(jen.Id(l.ctx))
	var results []jen.Code
	body := []jen.Code{jen.Return(do)}
	switch {
	case m.Output != nil:
		results = []jen.Code{e.sequenceType(m.Output.Go, true)}
	case len(m.Results) < 2:
		for _, r := range m.Results {
			results = append(results, e.spelled(r.Go))
		}
		results = append(results, jen.Error())
		e.nameResults(m, l, results)
	default:
		results, body = e.severalResults(m, l, do)
	}
	e.doc(m, m.calls())
	// func (p *ShopperProxy) AddItem(ctx context.Context, item string) error {…}
	e.file.Func().Params(jen.Id(f.proxy).Op("*").Id(f.namesOf.proxy())).Id(m.Name).
		Params(append([]jen.Code{jen.Id(l.ctx).Qual(pathContext, "Context")}, e.parameters(m, l)...)...).
		Add(resultList(results)).Block(body...).Line()
}

// below is NewNested(daffi.Below(p.b, "Nested")).
func (e *emitter) below(m *Method, receiver string) *jen.Statement {
	sub := m.Sub.Iface
	return jen.Qual(sub.Pkg.Path(), interfaceNames(sub.Name).create()).Call(
		jen.Qual(pathDaffi, "Below").Call(jen.Id(receiver).Dot(bindingField), jen.Lit(m.Call)))
}

// proxySub emits the method of the proxy that returns the proxy of a service below.
func (e *emitter) proxySub(f fetcherNames, m *Method) {
	e.doc(m, m.Name+" returns a proxy of the service "+m.Call+" below "+f.iface.Fetcher.reference()+".")
	// func (p *HeadProxy) Nested() Nested { return NewNested(daffi.Below(p.b, "Nested")) }
	e.file.Func().Params(jen.Id(f.proxy).Op("*").Id(f.namesOf.proxy())).Id(m.Name).Params().
		Add(e.spelled(m.Func.Signature().Results().At(0).Type())).
		Block(jen.Return(e.below(m, f.proxy))).Line()
}

// prepareSub emits the method of the calls type that returns those of a service below.
func (e *emitter) prepareSub(f fetcherNames, m *Method) {
	sub := m.Sub.Iface
	e.doc(m, m.Name+" prepares the calls of the service "+m.Call+" below "+f.iface.Fetcher.reference()+".")
	// func (c HeadCalls) Nested() NestedCalls { return NewNested(daffi.Below(c.b, "Nested")).Prepare() }
	e.file.Func().Params(jen.Id(f.call).Id(f.calls())).Id(m.Name).Params().
		Add(jen.Qual(sub.Pkg.Path(), interfaceNames(sub.Name).calls())).
		Block(jen.Return(e.below(m, f.call).Dot(sub.Fetcher.Prepare).Call())).Line()
}

// resultList writes results, in parentheses where Go needs them.
func resultList(results []jen.Code) *jen.Statement {
	if len(results) == 1 {
		return jen.Add(results...)
	}
	return jen.Params(results...)
}

// nameResults gives the results their names in the source, if they have any.
func (e *emitter) nameResults(m *Method, l *locals, results []jen.Code) {
	if len(m.Results) != 1 || m.Results[0].Name == "" || m.Results[0].Name == "_" {
		return
	}
	results[0] = jen.Id(l.local(m.Results[0].Name, m.Results[0].Name+"Result")).Add(results[0])
	results[1] = jen.Id(l.err(m)).Error()
}

// severalResults takes the generated struct of results apart.
func (e *emitter) severalResults(m *Method, l *locals, do *jen.Statement) (results, body []jen.Code) {
	named := m.Results[0].Name != ""
	var names []string
	if named {
		names = l.results(m, "")
	}
	errName := l.err(m)
	all := l.local("r", "results")
	var values []jen.Code
	for k, field := range m.resultFields() {
		values = append(values, jen.Id(all).Dot(field))
		results = append(results, e.spelled(m.Results[k].Go))
	}
	results = append(results, jen.Error())
	if named {
		results = append(e.grouped(names, m.Results), jen.Id(errName).Error())
	}
	// r, err := p.Prepare().Stats(key).Do(ctx)
	// return r.Mean, r.Count, err
	return results, []jen.Code{
		jen.List(jen.Id(all), jen.Id(errName)).Op(":=").Add(do),
		jen.Return(append(values, jen.Id(errName))...),
	}
}

func (m *Method) resultFields() []string {
	var names []string
	for _, r := range m.Results {
		names = append(names, r.Name)
	}
	return resultFields(names)
}

func (e *emitter) callsType(f fetcherNames) {
	i := f.iface
	e.comment(f.calls() + " prepares the calls of " + i.Name + ".")
	// type ShopperCalls struct{ b *daffi.Binding }
	e.file.Type().Id(f.calls()).Struct(jen.Id(bindingField).Op("*").Qual(pathDaffi, "Binding")).Line()
	if len(i.remote()) > 0 {
		// const (
		// 	shopperGetItems = iota
		// 	shopperAddItem
		// )
		e.file.Const().DefsFunc(func(g *jen.Group) {
			for k, m := range i.remote() {
				def := g.Id(e.index(i, m))
				if k == 0 {
					def.Op("=").Iota()
				}
			}
		})
	}
	var methods []jen.Code
	for _, m := range i.remote() {
		methods = append(methods, pair(e.index(i, m), e.clientRow(i, m)))
	}
	// var shopperClient = daffi.Client{
	// 	Service: ShoppingServiceName,
	// 	Methods: []daffi.Method{
	// 		shopperGetItems: {Name: "GetItems", Sig: "()([]string)"},
	// 	},
	// }
	desc := []jen.Code{
		pair("Service", e.serviceName(i)),
		pair("Methods", jen.Index().Qual(pathDaffi, "Method").Add(rows(methods...))),
	}
	e.file.Var().Id(e.client(i)).Op("=").Qual(pathDaffi, "Client").Add(rows(append(desc, e.errorsField(i.Fetcher.Errors)...)...)).Line()
}

// serviceName is the constant of the service's name where it can be named, else a literal.
func (e *emitter) serviceName(i *Interface) jen.Code {
	service := i.Fetcher.Service
	switch {
	case service == nil:
		return jen.Lit(i.Fetcher.Wire)
	case service.Pkg == i.Pkg, i.Fetcher.Importable:
		return jen.Qual(service.Pkg.Path(), interfaceNames(service.Name).wire())
	}
	return jen.Lit(i.Fetcher.Wire)
}

// acks are what the runtime calls the levels other than the default.
var acks = map[Level]string{None: "AckNone", Admitted: "AckAdmitted"}

// clientRow is a row of the client: {Name: "AddItem", Sig: "(string)()", EachItem: true}.
func (e *emitter) clientRow(i *Interface, m *Method) jen.Code {
	row := []jen.Code{pair("Name", jen.Lit(m.Call)), pair("Sig", signatureLit(m))}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"Oneway", m.Oneway}, {"Event", m.Event}, {"Idempotent", m.Idempotent}, {"EachItem", m.EachItem}} {
		if flag.set {
			row = append(row, pair(flag.name, jen.True()))
		}
	}
	if ack, ok := acks[m.Level]; ok {
		row = append(row, pair("Ack", jen.Qual(pathDaffi, ack)))
	}
	if m.Timeout > 0 {
		row = append(row, pair("Timeout", duration(m.Timeout)))
	}
	row = append(row, e.methodErrors(m.CallErrors, i.Fetcher.Errors)...)
	return jen.Values(row...)
}

// resultType emits the struct of several results and what reads it.
func (e *emitter) resultType(f fetcherNames, m *Method) {
	if len(m.Results) < 2 {
		return
	}
	name := f.results(m.Name)
	e.comment(name + " holds the results of " + m.Name + ".")
	// type NastyStatsResult struct {
	// 	Mean  float64
	// 	Count int
	// }
	e.file.Type().Id(name).StructFunc(func(g *jen.Group) {
		for k, field := range m.resultFields() {
			g.Id(field).Add(e.spelled(m.Results[k].Go))
		}
	}).Line()
	e.later(e.readAll(f.iface, m), -1, func() []jen.Code { return []jen.Code{e.readResults(f, m)} })
}

func (e *emitter) readResults(f fetcherNames, m *Method) jen.Code {
	// func readNastyStatsResult(d *codec.Decoder) (r NastyStatsResult) {
	// 	if d.Next() {
	// 		r.Mean = d.Float64()
	// 	}
	// 	return r
	// }
	d, r := e.free("d", "dec"), e.free("r", "results")
	return jen.Func().Id(e.readAll(f.iface, m)).Params(decoder(d)).Params(jen.Id(r).Id(f.results(m.Name))).BlockFunc(func(g *jen.Group) {
		for k, field := range m.resultFields() {
			g.If(jen.Id(d).Dot("Next").Call()).Block(e.readInto(jen.Id(r).Dot(field), jen.Id(d), m.Results[k].Type))
		}
		g.Return(jen.Id(r))
	})
}

// prepareMethod emits the method of the calls type.
func (e *emitter) prepareMethod(f fetcherNames, m *Method) {
	l := e.locals(m)
	kind, result := e.preparedType(f, m)
	create := "New" + kind
	args := []jen.Code{jen.Id(f.call).Dot(bindingField), jen.Id(e.index(f.iface, m)), e.argumentWriter(m, l)}
	if m.Input != nil {
		create = "NewFeed" + kind
		args = append(args, e.feed(m, l))
	}
	if read := e.resultReader(f, m); read != nil {
		args = append(args, read)
	}
	e.doc(m, m.Name+" prepares a call of "+m.Call+".")
	// func (c ShopperCalls) AddItem(item string) daffi.Action {
	// 	return daffi.NewAction(c.b, shopperAddItem, func(e *codec.Encoder) {…})
	// }
	e.file.Func().Params(jen.Id(f.call).Id(f.calls())).Id(m.Name).Params(e.parameters(m, l)...).
		Add(jen.Qual(pathDaffi, kind).Add(result)).
		Block(jen.Return(e.withMapping(jen.Qual(pathDaffi, create).Call(args...), m, l))).Line()
}

// preparedType is Action, Call[R] or Stream[T], in two parts.
func (e *emitter) preparedType(f fetcherNames, m *Method) (kind string, result jen.Code) {
	switch {
	case m.Output != nil:
		return "Stream", jen.Types(e.spelled(m.Output.Go))
	case len(m.Results) == 0:
		return "Action", jen.Null()
	case len(m.Results) == 1:
		return "Call", jen.Types(e.spelled(m.Results[0].Go))
	}
	return "Call", jen.Types(jen.Id(f.results(m.Name)))
}

// argumentWriter is nil or the function that writes the argument array.
func (e *emitter) argumentWriter(m *Method, l *locals) jen.Code {
	if len(m.Params) == 0 || m.Map != nil {
		return jen.Nil()
	}
	encoder := l.local("e", "enc", "encoder")
	// func(e *codec.Encoder) {
	// 	e.Array(1)
	// 	e.String(item)
	// }
	return jen.Func().Params(jen.Id(encoder).Op("*").Qual(pathCodec, "Encoder")).BlockFunc(func(g *jen.Group) {
		g.Id(encoder).Dot("Array").Call(jen.Lit(len(m.Params)))
		for k, p := range m.Params {
			write := e.writeTo(jen.Id(encoder), jen.Id(l.params[k]), p.Type)
			if m.Key == nil || m.Key.Arg != k {
				g.Add(write)
				continue
			}
			// at := e.Len()
			// e.String(user)
			// e.RouteBy(at)
			at := l.local("at", "keyAt")
			g.Id(at).Op(":=").Id(encoder).Dot("Len").Call()
			g.Add(write)
			g.Id(encoder).Dot("RouteBy").Call(jen.Id(at))
		}
	})
}

// feed is daffi.Feed(items, codec.WriteString), or FeedErr for a sequence with errors.
func (e *emitter) feed(m *Method, l *locals) jen.Code {
	if m.Map != nil && m.EachItem {
		return e.feedMapped(m, l)
	}
	feed := "Feed"
	if m.Input.Fallible {
		feed = "FeedErr"
	}
	return jen.Qual(pathDaffi, feed).Call(jen.Id(l.input), e.writer(m.Input.Type))
}

// resultReader is the function that reads what a call returns, nil if that is nothing.
func (e *emitter) resultReader(f fetcherNames, m *Method) jen.Code {
	switch {
	case m.Output != nil:
		return e.reader(m.Output.Type)
	case len(m.Results) == 0:
		return nil
	case len(m.Results) == 1:
		return e.readerOfResult(m.Results[0].Type)
	}
	return jen.Id(e.readAll(f.iface, m))
}
