// Package real holds interfaces as people write them, each in the shape of one that is widely used, annotated and called.
//
// It is a module of its own, so that what these interfaces use stays out of daffi's go.mod: github.com/google/uuid,
// github.com/shopspring/decimal and, in tests, pgregory.net/rapid. Every package has an interface, an implementation in memory, what
// daffigen wrote, and a test that calls each method on random arguments twice, on one implementation directly and on another over a
// connection, and compares; package both does that.
//
//	kv       a key-value store, as go-redis and badger have it
//	blob     buckets of objects, as gocloud.dev/blob has them
//	mail     a mailer, as gomail and the clients of mail services
//	users    a repository of rows, with pages, filters and nulls, over a generic one
//	files    a file system, as io/fs and afero
//	chat     rooms with streams in both directions, as the clients of Slack and Matrix
//	jobs     a queue with leases and retries, as river and asynq
//	billing  money, taxes and exchange rates
//	logs     a sink of logs and metrics, as slog and prometheus
package real
