// Package billing is about money, in the shape of the services behind invoices and ledgers.
package billing

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

//go:generate go tool daffigen

// What a Ledger fails with.
var (
	ErrNoAccount = errors.New("billing: no such account")
	ErrCurrency  = errors.New("billing: currencies differ")
	ErrFunds     = errors.New("billing: insufficient funds")
)

// Currency is a code of ISO 4217.
type Currency [3]byte

// Some currencies.
var (
	EUR = Currency{'E', 'U', 'R'}
	JPY = Currency{'J', 'P', 'Y'}
)

var (
	_ encoding.TextAppender    = Currency{}
	_ encoding.TextUnmarshaler = (*Currency)(nil)
)

func (c Currency) String() string { return string(c[:]) }

// AppendText appends the three letters, or none for no currency.
func (c Currency) AppendText(b []byte) ([]byte, error) {
	if c == (Currency{}) {
		return b, nil
	}
	return append(b, c[:]...), nil
}

// UnmarshalText reads them.
func (c *Currency) UnmarshalText(text []byte) error {
	switch len(text) {
	case 0:
		*c = Currency{}
	case 3:
		*c = Currency(text)
	default:
		return fmt.Errorf("billing: %q is no currency", text)
	}
	return nil
}

// Money is an amount of a currency.
type Money struct {
	Amount   decimal.Decimal
	Currency Currency
}

// Account is where money is.
type Account struct {
	Owner uuid.UUID
	Name  string
}

// Date is one without a time.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// Line is one of an invoice.
type Line struct {
	Text     string
	Quantity decimal.Decimal
	Price    Money
	Discount decimal.NullDecimal
	TaxRate  *decimal.Decimal
	Hours    map[time.Weekday]time.Duration
}

// Invoice is what somebody owes.
type Invoice struct {
	Number string
	Issued Date
	Due    *Date
	Lines  []Line
	Taxes  map[Currency]decimal.Decimal
	Total  map[Currency]Money
	Paid   bool
}

// Entry moves money between accounts.
type Entry struct {
	From, To Account
	Money
	Reference string
	At        time.Time
}

// Balances are by account and currency.
type Balances map[struct {
	Account
	Currency Currency
}]decimal.Decimal

// Converter knows rates.
type Converter interface {
	Convert(ctx context.Context, amount Money, to Currency, on Date) (converted Money, rate *big.Rat, err error)
	Rates(ctx context.Context, of ...Currency) (map[[2]Currency]*big.Rat, error)
}

// Ledger keeps the books.
//
//daffi:callback name=billing.ledger
//daffi:fetcher
type Ledger interface {
	Converter

	Open(ctx context.Context, a Account, initial ...Money) error
	Transfer(ctx context.Context, e Entry) (id *big.Int, balance Money, err error)
	Balances(ctx context.Context, owners []uuid.UUID) (Balances, error)
	Post(ctx context.Context, entries iter.Seq2[Entry, error]) (sum map[Currency]decimal.Decimal, ids []big.Int, err error)
	Statement(ctx context.Context, a Account, from, to time.Time) iter.Seq2[Entry, error]

	Invoice(ctx context.Context, lines []Line, issued Date, terms *time.Duration) (Invoice, error)
	Split(ctx context.Context, total Money, weights ...*decimal.Decimal) ([]Money, error)
	Interest(ctx context.Context, principal decimal.Decimal, rate big.Rat, years uint) (*big.Rat, *big.Int, decimal.NullDecimal, error)
	// Reconcile answers every entry of a bank with the one that fits, or nil.
	Reconcile(ctx context.Context, bank iter.Seq2[Entry, error]) iter.Seq2[*Entry, error]
}
