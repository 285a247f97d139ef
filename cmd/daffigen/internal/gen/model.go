package gen

import (
	"go/token"
	"go/types"
	"slices"
	"time"
)

// Package is one package that has annotated interfaces.
type Package struct {
	Name       string
	Path       string
	File       string // where its generated code goes, absolute
	Constraint string // under which it is built, empty for always
	Types      *types.Package
	Declared   map[string]token.Pos // the user's names at package level
	Imported   map[string]token.Pos // names in the scope of one of the user's files, which none at package level may have
	Interfaces []*Interface
	Messages   []*Message
}

// Interface is one annotated interface.
type Interface struct {
	Name     string
	Doc      []string // lines without slashes
	Pkg      *types.Package
	Pos      token.Pos
	Callback *Callback       // nil if it is none
	Fetcher  *Fetcher        // nil if it is none
	Serial   bool            // its methods share one turn
	Methods  []*Method       // as they stand in the source, embedded ones after the interface's own
	Broken   map[string]bool // methods that were reported and left out
	Codec    string          // of the methods that say no other

	errors *errorChoice // nil without a directive
}

// Callback is what makes an Interface a service.
type Callback struct {
	Wire   string // the service's name on the wire
	Errors *ErrorTable
	Pos    token.Pos
}

// Fetcher is what makes an Interface callable.
type Fetcher struct {
	Wire    string     // the service's name on the wire
	Service *Interface // the callback, nil if its source is not known
	Local   bool       // it is in the same package
	Errors  *ErrorTable
	// Importable is set where the fetcher's package imports the callback's, so that its constant can be named.
	Importable bool
	Path       string // of the callback's package, if the directive names it
	Ref        string // the callback's name there or in the same package, or the wire name
	Prepare    string // the proxy's method that prepares calls
	Pos        token.Pos
}

// Shape tells the five ways of calling apart.
type Shape int

// The shapes. An item stream is a ClientStream at the fetcher and Unary at the callback.
const (
	Unary Shape = iota
	ServerStream
	ClientStream
	BidiStream
)

func (s Shape) String() string {
	return [...]string{"unary", "a server stream", "a client stream", "a bidirectional stream"}[s]
}

// Level is how far a one-way call must have come before its caller goes on.
type Level int

// The levels.
const (
	Accepted Level = iota
	None
	Admitted
)

// levelWords are what directives call the levels.
var levelWords = [...]string{Accepted: "accepted", None: "none", Admitted: "admitted"}

// Method is one method of an Interface.
type Method struct {
	Name     string
	Func     *types.Func
	Doc      []string // lines without slashes
	Pos      token.Pos
	Context  string   // the name of the context parameter, may be empty
	Params   []*Param // without the context and the sequence
	Variadic bool     // the last of Params is
	Input    *Sequence
	Output   *Param   // item of the sequence of results, nil if there is none
	Results  []*Param // without the error
	Error    string   // the name of the error result, may be empty

	Call       string   // the callback's method that a fetcher calls
	Aliases    []string // older names that a callback's method answers to
	Alias      *Alias   // the fetcher's alias directive
	Oneway     bool
	Level      Level // of a fetcher's method that is Oneway
	Event      bool  // oneway to every provider
	Idempotent bool
	Serial     *directive // it has a turn of its own; nil if not
	Key        *Key       // what decides the provider, nil if nothing does
	Local      bool       // not on the wire
	Sub        *Sub       // nil of a call
	Codec      string     // of all that it carries; empty is daffi's own
	CodecPos   token.Pos
	EachItem   bool // an item stream: every item of Input is one invocation
	Timeout    time.Duration
	Map        *Mapping // nil if the arguments are sent as they are

	ServeErrors, CallErrors *ErrorTable // nil where the interface's count

	errors *errorChoice // nil without a directive
}

// ErrorTable is a table of errors that keep their identity.
type ErrorTable struct{ Known []KnownError }

// KnownError is a variable or a type of errors.
type KnownError struct {
	Wire    string
	Path    string // of its package
	Package string // the package's name
	Name    string
	Type    *Type // nil of a variable
	Pointer bool  // only pointers to Type are errors
}

// Alias is a fetcher's //daffi:alias.
type Alias struct {
	Name string
	Mode string // "each", "whole" or empty
	Pos  token.Pos
}

// Key is a fetcher's //daffi:key.
type Key struct {
	Name string
	Pos  token.Pos
	Arg  int // index of the parameter
}

// Param is a parameter or a result.
type Param struct {
	Name      string     // may be empty
	Go        types.Type // as it is written, unlike Type's
	Type      *Type
	Validates bool // a value of it can be asked whether it is valid
}

// Sequence is an input sequence, of which Param is the item: iter.Seq2 with an error where Fallible, else iter.Seq.
type Sequence struct {
	Param
	Fallible bool
}

// pointer reports whether values of p are pointers, so that there may be none.
func (p *Param) pointer() bool {
	_, ok := p.Go.Underlying().(*types.Pointer)
	return ok
}

// Shape is the method's as it is written.
func (m *Method) Shape() Shape {
	switch {
	case m.Input != nil && m.Output != nil:
		return BidiStream
	case m.Input != nil:
		return ClientStream
	case m.Output != nil:
		return ServerStream
	}
	return Unary
}

// Kind is what a Type is on the wire.
type Kind int

// The kinds.
const (
	Basic Kind = iota
	Bytes
	Time
	Duration
	Slice
	Array
	Map
	Pointer
	Struct
	Error
	Any
	Own   // it encodes itself
	Coded // by a codec that the method names
)

// Type is a type that travels. There is one for every Go type of a run, so recursive ones refer to themselves.
type Type struct {
	Kind   Kind
	Go     types.Type
	Basic  types.BasicKind // of a Basic
	Elem   *Type           // of a Slice, Array, Map and Pointer
	Key    *Type           // of a Map
	Len    int64           // of an Array
	Fields []Field         // of a Struct
	Codec  *OwnCodec       // of an Own
	By     *NamedCodec     // of a Coded
}

// OwnCodec is how a type encodes itself.
type OwnCodec struct {
	Marshal, Unmarshal string // its methods
	Sig                string // what it is in signatures
	Write, Read        string // the functions of codec that call the methods
}

// NamedCodec is the codec of a Coded type.
type NamedCodec struct {
	Name        string
	Path        string // of the package of the functions
	Write, Read string // the functions, which are generic; empty for a codec that is looked up by name
}

// by is the name of the codec of a Coded type, else empty.
func (t *Type) by() string {
	if t.By == nil {
		return ""
	}
	return t.By.Name
}

// Message is a type with generated methods of its own.
type Message struct {
	Name string
	Pkg  *types.Package
	Pos  token.Pos
	Type *Type
}

// Field is a field of a struct that travels.
type Field struct {
	Name string // in Go
	Wire string
	Type *Type
}

// hasMethod reports whether i has a method of that name.
func (i *Interface) hasMethod(name string) bool {
	return slices.ContainsFunc(i.Methods, func(m *Method) bool { return m.Name == name })
}

// values are all that the methods of i carry, in their order.
func (i *Interface) values() []*Param {
	var list []*Param
	for _, m := range i.Methods {
		list = append(list, m.values()...)
	}
	return list
}

// values are all arguments, items and results of m that travel.
func (m *Method) values() []*Param {
	list := slices.Clone(m.sent())
	if m.Input != nil {
		list = append(list, m.item())
	}
	if m.Output != nil {
		list = append(list, m.Output)
	}
	list = append(list, m.Results...)
	return slices.DeleteFunc(list, func(p *Param) bool { return p.Type == nil }) // what a map directive that was reported leaves open
}
