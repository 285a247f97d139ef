// Package phrasebook greets people in phrases that both sides know, sent by a codec of its own: one letter for each.
package phrasebook

import "context"

//go:generate go tool daffigen

// Greeter answers a greeting with one.
//
//daffi:callback
//daffi:fetcher
//daffi:codec phrases
type Greeter interface {
	Greet(ctx context.Context, phrase string) (string, error)
}
