package gen

import (
	"github.com/dave/jennifer/jen"
)

// message emits the method that makes a type a codec.Message.
func (e *emitter) message(m *Message) {
	v := e.free("m", "message")
	e.comment(messageMethod + " makes *" + m.Name + " a codec.Message, which can be written by itself and be in an any.")
	// func (m *Item) DaffiMessage() codec.Form {
	// 	return codec.FormOf(m, "{ID string}", writeItem, readItem)
	// }
	e.file.Func().Params(jen.Id(v).Op("*").Id(m.Name)).Id(messageMethod).Params().Qual(pathCodec, "Form").Block(
		jen.Return(jen.Qual(pathCodec, "FormOf").Call(jen.Id(v), quoted(typeSignature(m.Type)), e.writer(m.Type), e.reader(m.Type))),
	).Line()
}
