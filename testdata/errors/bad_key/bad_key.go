// Package badkey breaks a rule.
package badkey

import (
	"context"
	"iter"
	"strings"
)

// Tree is recursive, and has a map deep inside.
type Tree struct {
	Below  []*Tree
	Labels [2]map[string]int
}

// List is recursive without one.
type List struct {
	Value any
	Next  *List
}

//daffi:callback
type Served interface {
	//daffi:key user // want "//daffi:key has no effect here; it concerns callers; put it on the fetcher's method \[DF012\]"
	Do(ctx context.Context, user string) error
}

// Bad has keys that cannot decide.
//
//daffi:fetcher elsewhere.Bad
type Bad interface {
	//daffi:key // want "//daffi:key: it needs the name of one argument; write //daffi:key name \[DF013\]"
	None(ctx context.Context, user string) error
	//daffi:key user item // want "//daffi:key: it needs the name of one argument"
	Two(ctx context.Context, user, item string) error
	//daffi:key usr // want "Bad.Typo: //daffi:key usr: there is no such argument; name one of user, item \[DF029\]"
	Typo(ctx context.Context, user, item string) error
	//daffi:key user // want "Bad.Nothing: //daffi:key user: the method has no argument with a name; give it one \[DF029\]"
	Nothing(ctx context.Context) error
	//daffi:key user // want "Bad.Unnamed: //daffi:key user: the method has no argument with a name; give it one"
	Unnamed(context.Context, string) error
	//daffi:key ctx // want "Bad.Context: //daffi:key ctx: the context is not sent; name an argument that is \[DF029\]"
	Context(ctx context.Context, user string) error
	//daffi:key users // want "Bad.Sequence: //daffi:key users: all items of a sequence go where its call goes; .* \[DF029\]"
	Sequence(ctx context.Context, n int, users iter.Seq[string]) error
	//daffi:alias Do each
	//daffi:key user // want "Bad.Each: //daffi:key user: all items of a sequence go where its call goes; send one call for each item, or name the provider's key with daffi.HashKey for the whole sequence \[DF029\]"
	Each(ctx context.Context, user iter.Seq[string]) error
	//daffi:key labels // want "Bad.Map: //daffi:key labels: labels is a map, which has no order, so equal values may be encoded differently; name a string, a number, or a struct of such \[DF029\]"
	Map(ctx context.Context, labels map[string]string) error
	//daffi:key tree // want "Bad.Inside: //daffi:key tree: tree.Labels\[\] is a map"
	Inside(ctx context.Context, tree Tree) error
	//daffi:key list // want "Bad.Any: //daffi:key list: list.Value may hold a map"
	Any(ctx context.Context, list *List) error
	//daffi:key _ // want "Bad.Blank: //daffi:key _: the method has no argument with a name; give it one"
	Blank(_ context.Context, _ string) error
	//daffi:event
	//daffi:key user // want "Bad.Event: //daffi:key user: it is an event, which goes to every provider; drop one of the two \[DF029\]"
	Event(ctx context.Context, user string) error
}

//daffi:fetcher Elsewhere
type Mapping interface {
	//daffi:map upper
	//daffi:key user // want "Mapping.Mapped: //daffi:key user: the function of //daffi:map makes what is sent, so no argument is; use the option daffi.HashKey"
	Mapped(ctx context.Context, user string) error
	//daffi:codec text
	//daffi:key user // want "Mapping.Coded: //daffi:key user: user is encoded by text, which may have more than one way, so equal values"
	Coded(ctx context.Context, user string) error
}

func upper(_ context.Context, user string) (string, error) { return strings.ToUpper(user), nil }
