// Package messagename breaks a rule.
package messagename

//daffi:message
type Field struct { // want "the message Field gets a method DaffiMessage, but that name is declared at .*message_name.go:\\d+:2; rename what is there \[DF062\]"
	DaffiMessage int
}

//daffi:message
type Method struct{ X int } // want "the message Method gets a method DaffiMessage, but that name is declared at .*:\\d+:15; rename what is there"

func (Method) DaffiMessage() {}

// Embedding gets a method that hides the one that it embeds.
//
//daffi:message
type Embedding struct {
	Method
	X int
}
