// Package embedded has interfaces and structs that embed others.
package embedded

import (
	"context"

	"github.com/daffi-rpc/daffi/testdata/golden/foreign/shop"
)

// Base has a method with a directive.
type Base interface {
	// Ping comes from Base.
	//
	//daffi:oneway
	Ping(ctx context.Context) error
}

// Repo is generic.
type Repo[T any] interface {
	// Find looks up one T.
	Find(ctx context.Context, id string) (T, error)
	Store(ctx context.Context, v ...T) error
}

// User embeds structs of its own and another package.
type User struct {
	Person
	*shop.Order
	shop.Price `daffi:"price"`
	Address    Address
}

// Person is embedded.
type Person struct{ Name string }

// Address is not.
type Address struct{ Street string }

// UserRepo fixes the type of Repo.
//
//daffi:callback
//daffi:fetcher
type UserRepo interface {
	Own(ctx context.Context) error
	Repo[User]
	Base
	shop.Pricer
}
