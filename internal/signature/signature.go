// Package signature owns the text in which a method's wire signature is written: it parses and prints it, and says by rule which caller
// can call which provider, and what a change from one signature to another asks of those who deploy it.
//
// daffigen writes the text into generated code, nodes name their methods with it, and the controller compares what two sides have
// where it is not the same. It has no names but those of fields, so that renaming a Go type or a parameter changes nothing.
//
//	(string,int)(float64,int)    (string,<bytes)(int)    (string)>{ID string;Next *$0}    ([32]byte)([]time)
//
// # Grammar
//
//	method   = "(" [ type { "," type } [ "," ] ] [ "<" type ] ")" ( ">" type | "(" [ type { "," type } [ "," ] ] ")" )
//	type     = word | "@" name | "$" digits | "*" type | "[]" type | "[" digits "]" type | "map[" type "]" type | struct
//	struct   = "{" [ field { ( ";" | newline ) field } [ ";" ] ] "}"
//	field    = ( identifier | Go string in double quotes ) type
//
// In the first parentheses are the arguments, without the context; what follows < is the item of an input sequence, which is the last
// argument. In the second are the results, without the final error; an output sequence of what follows > stands in their place.
//
// A word is a basic type of Go, or bytes, time, duration, error, any; or msgpack, binary or text for a type that encodes itself, after
// what it gives. @name is a value that the custom codec of that name encodes. A word that is not known, of a newer peer perhaps, is a
// type that only equals itself. [4]byte travels as bytes do, unlike [4]uint8, the array of a type that is defined as uint8. $n is
// the n-th struct of the signature, counted from 0 by its opening brace, wherever it comes again.
//
// Spaces, tabs, newlines and comments from // to the end of a line may stand between any two of these. The canonical text has none, but for one
// space between a field and its type; it is what is compared and what fingerprints are made of.
package signature

// The limits of what is parsed and compared. Text comes from peers.
const (
	// MaxText is the most bytes that a signature may have, white space and comments not counted.
	MaxText = 32 << 10
	// MaxDepth is the most types that may stand within one another. It is more than values may nest (64), since a struct is written out where it
	// comes first: a dozen structs that refer to each other nest in the text, whatever values of them do.
	MaxDepth = 256
	// MaxSteps bounds what a comparison looks at: pairs of types and fields of structs.
	MaxSteps = 1 << 15
)

// Method is a parsed signature. It must not be changed once it is in use, and may then be used concurrently.
type Method struct {
	Params  []*Type
	Input   *Type // item of the input sequence, nil if there is none
	Output  *Type // item of the output sequence, nil if there is none
	Results []*Type
}

// Kind is what a [Type] is made of.
type Kind uint8

// The kinds.
const (
	Word    Kind = iota // Name: a basic type, one that encodes itself, one that is not known here
	Codec               // Name: of the custom codec, without @
	Slice               // Elem
	Array               // Len and Elem
	Map                 // Key and Elem
	Pointer             // Elem
	Struct              // Fields
)

// Type is a type on the wire. A struct that comes again is the same *Type, so types may contain themselves through structs; they must do
// so in no other way.
type Type struct {
	Kind   Kind
	Name   string
	Key    *Type
	Elem   *Type
	Len    int64
	Fields []Field
	// Note is what a struct is called where it was made, for [Indent] to tell. It is no part of the signature.
	Note string

	names []string // of the fields, where the parser has made the type
}

// Names are those of a struct's fields. They must not be changed.
func (t *Type) Names() []string {
	if len(t.names) == len(t.Fields) {
		return t.names
	}
	names := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
	}
	return names
}

// Field is a field of a struct, by its name on the wire.
type Field struct {
	Name string
	Type *Type
}
