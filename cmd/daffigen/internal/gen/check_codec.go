package gen

import (
	"fmt"
	"go/token"
	"go/types"
	"strings"
)

// defaultCodec is the argument of a codec directive that undoes that of the interface.
const defaultCodec = "default"

// codecName reads the argument of a codec directive, empty if there is none that can be used.
func (c *checker) codecName(d directive) string {
	if len(d.args) != 1 || !isCodecName(d.args[0]) {
		c.report.add(CodeArgument, d.pos, d.word, "it needs the name of one codec; write raw, text, json or a name as it is registered, of lower-case letters, digits, - and _, at most 32")
		return ""
	}
	return d.args[0]
}

// isCodecName is what codec.Registry accepts.
func isCodecName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return s != "" && len(s) <= 32 && strings.Contains(letters, s[:1]) && strings.Trim(s, letters+"0123456789-_") == ""
}

// interfaceCodec reads the codec of all methods of i.
func (c *checker) interfaceCodec(i *Interface, d directive) {
	if i.Codec = c.codecName(d); i.Codec == defaultCodec {
		c.report.add(CodeArgument, d.pos, d.word, "default undoes the codec of the interface for one of its methods; put it there")
		i.Codec = ""
	}
}

// methodCodec reads the codec of one method, which goes before that of the interface.
func (c *checker) methodCodec(i *Interface, m *Method, d directive) {
	name := c.codecName(d)
	m.CodecPos = d.pos
	if name != defaultCodec {
		m.Codec = name
		return
	}
	if m.Codec = ""; i.Codec == "" {
		c.report.add(CodeArgument, d.pos, d.word, "default undoes the codec of the interface, which has none; leave it out")
	}
}

// codec says in words how m encodes what it carries.
func (m *Method) codec() string {
	if m.Codec == "" {
		return "has no //daffi:codec"
	}
	return "has //daffi:codec " + m.Codec
}

// coded gives the Type of what the codec of the method at hand encodes, or explains why it cannot.
func (c *checker) coded(src *source, t types.Type, at token.Pos, where string) *Type {
	by := &NamedCodec{Name: c.codec, Path: pathCodec}
	if reason := refuseCoded(t, src.types); reason != "" {
		return c.uncodable(t, src, at, where, reason)
	}
	switch c.codec {
	case "raw":
		by.Write, by.Read = "WriteRaw", "ReadRaw"
		if s, ok := t.Underlying().(*types.Slice); !ok || !isByte(s.Elem()) {
			return c.uncodable(t, src, at, where, "the codec raw takes only []byte, or a type defined as that; take it, or use another codec")
		}
	case "text":
		switch b, ok := t.Underlying().(*types.Basic); {
		case isText(t):
			by.Write, by.Read = "WriteTextValue", "ReadTextValue"
		case ok && b.Kind() == types.String:
			by.Write, by.Read = "WriteTextString", "ReadTextString"
		default:
			return c.uncodable(t, src, at, where, "the codec text takes only strings and types with MarshalText and UnmarshalText; take one, or use another codec")
		}
	case "json":
		by.Path, by.Write, by.Read = pathJSON, "Write", "Read"
		if bad := notJSON(t); bad != nil {
			return c.uncodable(t, src, at, where, fmt.Sprintf("the codec json has no form for %s; use another type", typeName(bad, src.types)))
		}
	}
	return &Type{Kind: Coded, Go: types.Unalias(t), By: by}
}

// uncodable reports that t cannot travel by the codec of the method at hand.
func (c *checker) uncodable(t types.Type, src *source, at token.Pos, where, reason string) *Type {
	c.broken = true
	if err, ok := c.typeError(&refusal{reason: reason}, at); ok {
		c.compilerError(err, at, where+": ")
		return nil
	}
	c.report.add(CodeCodec, at, where+" "+typeName(t, src.types), reason)
	return nil
}

// refuseCoded refuses what generated code cannot say or copy. Everything else is up to the codec.
func refuseCoded(t types.Type, user *types.Package) string {
	if b, ok := t.Underlying().(*types.Basic); ok && b.Kind() == types.Invalid {
		return unknownType
	}
	r := refuser{user: user}
	switch reason := r.refuseName(t); {
	case reason != "":
		return reason
	case !nameable(t, user):
		return "a part of it cannot be named here: it is unsafe, or unexported or internal in its package; use an exported type"
	case holdsLock(t):
		return "a struct with a lock must not be copied; take a pointer to it"
	}
	return ""
}

// isText reports whether t, or a pointer to it, has MarshalText and UnmarshalText.
func isText(t types.Type) bool {
	if typeObject(t) == nil || types.IsInterface(t) {
		return false
	}
	set := types.NewMethodSet(types.NewPointer(t))
	return hasMethod(set, "MarshalText") && hasMethod(set, "UnmarshalText")
}

// notJSON is a type in t of which encoding/json would always say that it cannot encode it, nil if there is none in sight. It does not
// look into structs, whose tags and methods may say otherwise.
func notJSON(t types.Type) types.Type {
	for range maxTypeDepth {
		if isText(t) || typeObject(t) != nil && typeObject(t).Pkg() != nil && hasJSON(t) {
			return nil
		}
		switch u := t.Underlying().(type) {
		case *types.Chan, *types.Signature:
			return t
		case *types.Basic:
			if u.Info()&types.IsComplex != 0 {
				return t
			}
			return nil
		case interface{ Elem() types.Type }: // the key of a map is encoding/json's affair
			t = u.Elem()
		default:
			return nil
		}
	}
	return nil
}

// hasJSON reports whether t, or a pointer to it, has a MarshalJSON.
func hasJSON(t types.Type) bool {
	return hasMethod(types.NewMethodSet(types.NewPointer(t)), "MarshalJSON")
}
