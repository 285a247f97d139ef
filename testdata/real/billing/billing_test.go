package billing

import (
	"context"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
)

// prepared has four accounts and some transfers.
func prepared() Ledger {
	m := NewMemory(both.Clock())
	var accounts []Account
	for _, owner := range []uuid.UUID{{1}, {2}} {
		for _, name := range []string{"a", "b"} {
			a := Account{owner, name}
			accounts = append(accounts, a)
			both.Must(a, m.Open(context.Background(), a, Money{decimal.New(1, 15), EUR}, Money{decimal.New(5, 3), JPY}))
		}
	}
	for _, to := range accounts[1:] {
		_, _, err := m.Transfer(context.Background(), Entry{From: accounts[0], To: to, Money: Money{decimal.New(250, -2), EUR}})
		both.Must(to, err)
	}
	return m
}

func TestLedger(t *testing.T) {
	both.Run(t, both.Subject[Ledger, Ledger]{
		Service:  LedgerName,
		New:      prepared,
		Register: RegisterLedger,
		Proxy:    func(c daffi.Caller) Ledger { return NewLedger(c) },
		Direct:   func(l Ledger) Ledger { return l },
		Errors:   both.Is(ErrNoAccount, ErrCurrency, ErrFunds),
		Args: map[string]func(*rapid.T) []any{
			"Open": func(t *rapid.T) []any { return []any{Account{uuid.UUID{3}, rapid.String().Draw(t, "name")}} },
			"Statement": func(t *rapid.T) []any {
				from := time.Unix(0, 0).UTC()
				return []any{Account{uuid.UUID{1}, "a"}, from, rapid.SampledFrom([]time.Time{from, from.AddDate(100, 0, 0)}).Draw(t, "to")}
			},
		},
		Values: []func(*both.Values){
			both.Of(rapid.SampledFrom([]Currency{EUR, JPY, {}})),
			both.Of(rapid.SampledFrom([]uuid.UUID{{1}, {2}})),
			both.Of(rapid.SampledFrom([]time.Duration{0, 24 * time.Hour, 400 * 24 * time.Hour})),
			both.Of(rapid.Custom(func(t *rapid.T) big.Rat {
				return *big.NewRat(rapid.Int64().Draw(t, "numerator"), rapid.Int64Range(1, 1<<40).Draw(t, "denominator"))
			})),
			both.Field[Account]("Name", rapid.SampledFrom([]string{"a", "b"})),
			both.Field[Money]("Amount", rapid.OneOf(
				rapid.SampledFrom([]decimal.Decimal{decimal.New(1, 0), decimal.New(250, -2), decimal.New(1000, 5), {}}),
				rapid.Map(rapid.Int64(), func(n int64) decimal.Decimal { return decimal.New(n, -3) }))),
		},
	})
}
