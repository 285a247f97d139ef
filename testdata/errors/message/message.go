// Package message breaks a rule.
package message

import "time"

//daffi:message
type Pair[T any] struct{ A, B T } // want "Pair cannot be a message: it is generic, and every instance would need a form of its own; define one: type MyPair Pair\[…\] \[DF061\]"

//daffi:message
type Alias = Good // want "Alias cannot be a message: it is an alias, and a method must be declared where the type is; mark the type itself, or define a new one: type Alias … \[DF061\]"

//daffi:message
type Face interface{ Do() } // want "Face cannot be a message: it is an interface; mark the types that implement it, or annotate it as a callback or fetcher \[DF061\]"

//daffi:message
type Pointer *Good // want "Pointer cannot be a message: a pointer type cannot have methods; mark what it points to \[DF061\]"

//daffi:message
type Bad struct { // want "Bad.Inner.C: channels cannot travel; make the method take or return an iter.Seq2 of the values \[DF030\]"
	Inner struct{ C chan int }
}

//daffi:message
type Unknown struct{ T Missing } // want "undefined: Missing.* \[DF002\]"

//daffi:message json // want "//daffi:message: \"json\" is not understood; it takes no arguments \[DF013\]"
type Argument struct{ X int }

//daffi:message
//daffi:message // want "//daffi:message is said twice; keep one \[DF015\]"
type Twice struct{ X int }

//daffi:message
//daffi:callback
type Service struct{ X int } // want "Service is annotated but is not an interface; annotate an interface type \[DF020\]"

//daffi:message // want "//daffi:message has no effect here; put it directly above a type declaration \[DF012\]"

// Good is one.
//
//daffi:message
type Good struct{ At time.Time }

//daffi:message // want "//daffi:message has no effect here"
func f() {}
