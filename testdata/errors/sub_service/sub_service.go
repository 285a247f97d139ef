// Package subservice breaks a rule.
package subservice

import "context"

// Plain is not annotated.
type Plain interface {
	Do(ctx context.Context) error
}

//daffi:fetcher
type Fetcher interface {
	Do(ctx context.Context) error
}

//daffi:callback
type Shop interface {
	Plain() Plain     // want "Shop.Plain: Plain is not annotated; take ctx and return an error to make it a call, or annotate Plain to make it a service below Shop \[DF046\]"
	Fetcher() Fetcher // want "Shop.Fetcher: Fetcher is no callback; put //daffi:callback above Fetcher \[DF046\]"
	//daffi:oneway // want "Shop.Stock returns a service below Shop, and //daffi:oneway is said of calls; put it on the methods of Stock \[DF016\]"
	//daffi:timeout 5s // want "and //daffi:timeout is said of calls; put it on the methods of Stock"
	//daffi:codec json // want "and //daffi:codec is said of calls; put it on the methods of Stock"
	Stock() Stock
}

//daffi:callback
type Stock interface {
	Count(ctx context.Context) (int, error)
}

//daffi:callback
type Ring interface {
	Next() Link // want "Ring.Next: Link has Ring below it, and so on for ever; leave one of them out \[DF046\]"
}

//daffi:callback
type Link interface {
	Ring() Ring // want "Link.Ring: Ring has Link below it, and so on for ever; leave one of them out \[DF046\]"
}

//daffi:callback
type Self interface {
	Self() Self // want "Self.Self: Self has Self below it, and so on for ever; leave one of them out \[DF046\]"
}

//daffi:fetcher
type Other interface {
	Count(ctx context.Context) (int, error)
}

//daffi:callback
type House interface {
	Stock() Stock
	Kitchen() Stock
	Size(ctx context.Context) (int, error)
}

//daffi:fetcher House
type Visitor interface {
	Stock() Other                      // want "Visitor.Stock has Other for Other, but House.Stock at .*sub_service.go:\d+:2 returns Stock; make the two agree \[DF041\]"
	Kitchen(ctx context.Context) error // want "Visitor.Kitchen is a call, but House.Kitchen at .*sub_service.go:\d+:2 is a service below House; make the two agree \[DF041\]"
	Size() Fetcher                     // want "Visitor.Size is a service below Visitor, but House.Size at .*sub_service.go:\d+:2 is a call; make the two agree \[DF041\]"
}
