package gen

import (
	"go/types"
	"slices"

	"github.com/dave/jennifer/jen"
)

// The order of the functions of one type.
const (
	placeWrite = iota
	placeRead
	placeResult
	placesPerType
)

// place is where a function of t stands among helpers.
func (e *emitter) place(t *Type, function int) int {
	return slices.IndexFunc(e.all, func(other *Type) bool { return types.Identical(other.Go, t.Go) && other.by() == t.by() })*placesPerType + function
}

// decoder is the parameter d *codec.Decoder.
func decoder(d string) *jen.Statement { return jen.Id(d).Op("*").Qual(pathCodec, "Decoder") }

// basic is what a basic type is called in the names of codec: String, Int64.
func (t *Type) basic() string { return upperFirst(types.Typ[t.Basic].Name()) }

// named reports whether t has a name of its own.
func (t *Type) named() bool {
	_, ok := t.Go.(*types.Named)
	return ok
}

// plain reports whether t is error or any itself, not a type with their methods.
func (t *Type) plain() bool {
	return t.Kind == Error && types.Identical(t.Go, types.Universe.Lookup("error").Type()) || t.Kind == Any && !t.named()
}

// strings reports whether t is a slice of plain strings, for which codec has shorter functions.
func (t *Type) strings() bool {
	return t.Kind == Slice && t.Elem.Kind == Basic && t.Elem.Basic == types.String && !t.Elem.named()
}

// bytes reports whether t is an array of bytes.
func (t *Type) bytes() bool { return t.Kind == Array && isByte(t.Elem.Go) }

// writeTo is the statement that writes v, which is addressable, to the encoder.
func (e *emitter) writeTo(encoder, v *jen.Statement, t *Type) *jen.Statement {
	switch t.Kind {
	case Basic:
		if t.named() {
			v = jen.Id(types.Typ[t.Basic].Name()).Call(v)
		}
		return encoder.Dot(t.basic()).Call(v) // e.String(v)
	case Bytes:
		return encoder.Dot("Blob").Call(v)
	case Time:
		return encoder.Dot("Time").Call(v)
	case Duration:
		return encoder.Dot("Duration").Call(v)
	case Slice:
		if t.strings() {
			return jen.Qual(pathCodec, "WriteStrings").Call(encoder, v)
		}
		return jen.Qual(pathCodec, "WriteSlice").Call(encoder, v, e.writer(t.Elem))
	case Array:
		all := v.Clone().Index(jen.Op(":"))
		if t.bytes() {
			return encoder.Dot("Blob").Call(all) // e.Blob(v[:])
		}
		return jen.Qual(pathCodec, "WriteArray").Call(encoder, all, e.writer(t.Elem))
	case Map:
		return jen.Qual(pathCodec, "WriteMap").Call(encoder, v, e.writer(t.Key), e.writer(t.Elem))
	case Pointer:
		return jen.Qual(pathCodec, "WritePtr").Call(encoder, v, e.writer(t.Elem))
	case Error:
		return jen.Qual(pathCodec, "WriteError").Call(encoder, v)
	case Any:
		return jen.Qual(pathCodec, "WriteAny").Call(encoder, v)
	case Own:
		return jen.Qual(pathCodec, t.Codec.Write).Call(encoder, v) // codec.WriteText(e, v.Level)
	case Coded:
		if t.By.Write != "" {
			return jen.Qual(t.By.Path, t.By.Write).Call(encoder, v) // jsoncodec.Write(e, v)
		}
		return jen.Qual(pathCodec, "WriteWith").Call(encoder, jen.Lit(t.By.Name), v) // codec.WriteWith(e, "table", v)
	}
	return e.writer(t).Call(encoder, v) // writeItem(e, v)
}

// writer is a func(*codec.Encoder, T).
func (e *emitter) writer(t *Type) *jen.Statement {
	if f := codecFunc("Write", t); f != nil {
		return f
	}
	return e.later(e.write(t), e.place(t, placeWrite), func() []jen.Code { return e.writeFunc(t) })
}

// reader is a func(*codec.Decoder) T.
func (e *emitter) reader(t *Type) *jen.Statement {
	if f := codecFunc("Read", t); f != nil {
		return f
	}
	return e.later(e.read(t), e.place(t, placeRead), func() []jen.Code { return e.readFunc(t) })
}

// codecFunc is codec's own function for t: codec.WriteString, codec.WriteStringOf[Name]. It is nil if there is none.
func codecFunc(verb string, t *Type) *jen.Statement {
	name := ""
	switch t.Kind {
	case Basic:
		name = t.basic()
	case Bytes:
		name = "Blob"
	case Time:
		return jen.Qual(pathCodec, verb+"Time")
	case Duration:
		return jen.Qual(pathCodec, verb+"Duration")
	case Slice:
		if t.strings() && !t.named() {
			return jen.Qual(pathCodec, verb+"Strings")
		}
		return nil
	case Error, Any:
		if !t.plain() {
			return nil // a func of an error is none of a T
		}
		if t.Kind == Any {
			return jen.Qual(pathCodec, verb+"Any")
		}
		return jen.Qual(pathCodec, verb+"Error")
	case Own:
		name = t.Codec.Read
		if verb == "Write" {
			name = t.Codec.Write
		}
		return jen.Qual(pathCodec, name).Types(goType(t.Go))
	case Coded:
		switch {
		case t.By.Write == "":
			return nil
		case verb == "Write":
			return jen.Qual(t.By.Path, t.By.Write).Types(goType(t.Go))
		}
		return jen.Qual(t.By.Path, t.By.Read).Types(goType(t.Go))
	default:
		return nil
	}
	if t.named() {
		return jen.Qual(pathCodec, verb+name+"Of").Types(goType(t.Go))
	}
	return jen.Qual(pathCodec, verb+name)
}

// readInto is the statement that reads a T into v, which is addressable.
func (e *emitter) readInto(v, decoder *jen.Statement, t *Type) *jen.Statement {
	if t.Kind != Array {
		return v.Clone().Op("=").Add(e.readValue(decoder, t)) // v = d.String()
	}
	all := v.Clone().Index(jen.Op(":"))
	if t.bytes() {
		return decoder.Clone().Dot("BlobInto").Call(all) // d.BlobInto(v[:])
	}
	// codec.ReadArrayInto(d, v[:], codec.ReadInt)
	return jen.Qual(pathCodec, "ReadArrayInto").Call(decoder, all, e.reader(t.Elem))
}

// readValue is the expression that reads a T, which is no array.
func (e *emitter) readValue(decoder *jen.Statement, t *Type) *jen.Statement {
	decoder = decoder.Clone()
	switch t.Kind {
	case Basic:
		v := decoder.Dot(t.basic()).Call()
		if t.named() {
			return goType(t.Go).Call(v) // Kind(d.Int())
		}
		return v
	case Bytes:
		return decoder.Dot("Blob").Call()
	case Time:
		return decoder.Dot("Time").Call()
	case Duration:
		return decoder.Dot("Duration").Call()
	case Slice:
		if t.strings() {
			return jen.Qual(pathCodec, "ReadStrings").Call(decoder)
		}
		return jen.Qual(pathCodec, "ReadSlice").Call(decoder, jen.Lit(1), e.reader(t.Elem))
	case Map:
		return jen.Qual(pathCodec, "ReadMap").Call(decoder, jen.Lit(2), e.reader(t.Key), e.reader(t.Elem))
	case Pointer:
		return jen.Qual(pathCodec, "ReadPtr").Call(decoder, e.reader(t.Elem))
	case Error:
		return jen.Qual(pathCodec, "ReadError").Call(decoder)
	case Any:
		return jen.Qual(pathCodec, "ReadAny").Call(decoder)
	case Own:
		return codecFunc("Read", t).Call(decoder) // codec.ReadText[slog.Level](d)
	case Coded:
		if read := codecFunc("Read", t); read != nil {
			return read.Call(decoder) // jsoncodec.Read[Item](d)
		}
		return jen.Qual(pathCodec, "ReadWith").Types(goType(t.Go)).Call(decoder, jen.Lit(t.By.Name)) // codec.ReadWith[string](d, "table")
	}
	return e.reader(t).Call(decoder) // readItem(d)
}

// readerOfResult is a func(*codec.Decoder) T that reads a method's only result.
func (e *emitter) readerOfResult(t *Type) jen.Code {
	name := e.readResult(t)
	return e.later(name, e.place(t, placeResult), func() []jen.Code {
		// func readItemResult(d *codec.Decoder) Item { return codec.ReadResult(d, readItem) }
		d := e.free("d", "dec")
		return []jen.Code{jen.Func().Id(name).Params(decoder(d)).Add(goType(t.Go)).Block(
			jen.Return(jen.Qual(pathCodec, "ReadResult").Call(jen.Id(d), e.reader(t))),
		)}
	})
}

func (e *emitter) writeFunc(t *Type) []jen.Code {
	enc, v := e.free("e", "enc"), e.free("v", "value")
	// func writeItem(e *codec.Encoder, v Item) {…}
	return []jen.Code{jen.Func().Id(e.write(t)).Params(
		jen.Id(enc).Op("*").Qual(pathCodec, "Encoder"),
		jen.Id(v).Add(goType(t.Go)),
	).BlockFunc(func(g *jen.Group) {
		if t.Kind != Struct {
			g.Add(e.writeTo(jen.Id(enc), jen.Id(v), t))
			return
		}
		// e.Struct(2)
		// e.Key("ID").String(v.ID)
		// codec.WritePtr(e.Key("Next"), v.Next, writeItem)
		// e.Leave()
		g.Id(enc).Dot("Struct").Call(jen.Lit(len(t.Fields)))
		for _, f := range t.Fields {
			key := jen.Id(enc).Dot("Key").Call(jen.Lit(f.Wire))
			g.Add(e.writeTo(key, jen.Id(v).Dot(f.Name), f.Type))
		}
		g.Id(enc).Dot("Leave").Call()
	})}
}

func (e *emitter) readFunc(t *Type) []jen.Code {
	d, v := e.free("d", "dec"), e.free("v", "value")
	head := jen.Func().Id(e.read(t)).Params(decoder(d))
	switch t.Kind {
	case Struct:
		// func readItem(d *codec.Decoder) (v Item) {
		// 	for i := range d.Fields(itemFields) {…}
		// 	return v
		// }
		head.Params(jen.Id(v).Add(goType(t.Go))).Block(e.readFields(t, d, v), jen.Return(jen.Id(v)))
		return []jen.Code{e.fieldNames(t), head}
	case Array:
		// func readIntx4(d *codec.Decoder) (v [4]int) {
		// 	codec.ReadArrayInto(d, v[:], codec.ReadInt)
		// 	return v
		// }
		head.Params(jen.Id(v).Add(goType(t.Go))).Block(e.readInto(jen.Id(v), jen.Id(d), t), jen.Return(jen.Id(v)))
	default:
		// func readTags(d *codec.Decoder) Tags { return codec.ReadStrings(d) }
		head.Add(goType(t.Go)).Block(jen.Return(e.readValue(jen.Id(d), t)))
	}
	return []jen.Code{head}
}

// readFields emits the loop over the fields of a struct.
func (e *emitter) readFields(t *Type, d, v string) jen.Code {
	fields := jen.Id(d).Dot("Fields").Call(jen.Id(e.fields(t)))
	if len(t.Fields) == 0 {
		// for range d.Fields(emptyFields) {
		// }
		return jen.For(jen.Range().Add(fields)).Block()
	}
	i := e.free("i", "index")
	// for i := range d.Fields(itemFields) {
	// 	switch i {
	// 	case 0:
	// 		v.ID = d.String()
	// 	}
	// }
	return jen.For(jen.Id(i).Op(":=").Range().Add(fields)).Block(jen.Switch(jen.Id(i)).BlockFunc(func(g *jen.Group) {
		for k, f := range t.Fields {
			g.Case(jen.Lit(k)).Block(e.readInto(jen.Id(v).Dot(f.Name), jen.Id(d), f.Type))
		}
	}))
}

func (e *emitter) fieldNames(t *Type) jen.Code {
	var names []jen.Code
	for _, f := range t.Fields {
		names = append(names, jen.Lit(f.Wire))
	}
	// var itemFields = []string{"ID", "Next"}
	return jen.Var().Id(e.fields(t)).Op("=").Index().String().Values(names...)
}
