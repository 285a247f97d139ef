package billing

import (
	"context"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// rate is how many yen a euro is worth.
var rate = big.NewRat(32741, 200)

// Memory is a Ledger in memory.
type Memory struct {
	mu       sync.Mutex
	now      func() time.Time
	accounts map[Account]map[Currency]decimal.Decimal
	entries  []Entry
}

var _ Ledger = (*Memory)(nil)

// NewMemory returns a ledger without accounts whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, accounts: map[Account]map[Currency]decimal.Decimal{}}
}

func rateOf(from, to Currency) *big.Rat {
	switch {
	case from == to:
		return big.NewRat(1, 1)
	case from == EUR && to == JPY:
		return rate
	case from == JPY && to == EUR:
		return new(big.Rat).Inv(rate)
	}
	return nil
}

// Convert implements [Converter].
func (m *Memory) Convert(_ context.Context, amount Money, to Currency, on Date) (converted Money, rate *big.Rat, err error) {
	r := rateOf(amount.Currency, to)
	if r == nil {
		return converted, nil, fmt.Errorf("%w: %v to %v on %d-%02d-%02d", ErrCurrency, amount.Currency, to, on.Year, on.Month, on.Day)
	}
	num, den := decimal.NewFromBigInt(r.Num(), 0), decimal.NewFromBigInt(r.Denom(), 0)
	return Money{amount.Amount.Mul(num).DivRound(den, 4), to}, r, nil
}

// Rates implements [Converter].
func (m *Memory) Rates(_ context.Context, of ...Currency) (map[[2]Currency]*big.Rat, error) {
	rates := map[[2]Currency]*big.Rat{}
	for _, from := range of {
		for _, to := range of {
			rates[[2]Currency{from, to}] = rateOf(from, to)
		}
	}
	return rates, nil
}

// Open implements [Ledger].
func (m *Memory) Open(_ context.Context, a Account, initial ...Money) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.accounts[a] != nil {
		return fmt.Errorf("billing: account %q of %v is open", a.Name, a.Owner)
	}
	m.accounts[a] = map[Currency]decimal.Decimal{}
	for _, money := range initial {
		m.accounts[a][money.Currency] = m.accounts[a][money.Currency].Add(money.Amount)
	}
	return nil
}

func (m *Memory) transfer(e Entry) (id *big.Int, balance Money, err error) {
	from, to := m.accounts[e.From], m.accounts[e.To]
	if from == nil || to == nil {
		return nil, balance, ErrNoAccount
	}
	if left := from[e.Currency]; left.LessThan(e.Amount) {
		return nil, balance, fmt.Errorf("%w: %v %v of %v", ErrFunds, e.Currency, left, e.Amount)
	}
	from[e.Currency] = from[e.Currency].Sub(e.Amount)
	to[e.Currency] = to[e.Currency].Add(e.Amount)
	if e.At.IsZero() {
		e.At = m.now()
	}
	m.entries = append(m.entries, e)
	id = new(big.Int).Lsh(big.NewInt(int64(len(m.entries))), 100)
	return id, Money{from[e.Currency], e.Currency}, nil
}

// Transfer implements [Ledger].
func (m *Memory) Transfer(_ context.Context, e Entry) (id *big.Int, balance Money, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.transfer(e)
}

// Balances implements [Ledger].
func (m *Memory) Balances(_ context.Context, owners []uuid.UUID) (Balances, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := Balances{}
	for a, by := range m.accounts {
		if owners != nil && !slices.Contains(owners, a.Owner) {
			continue
		}
		for c, amount := range by {
			all[struct {
				Account
				Currency Currency
			}{a, c}] = amount
		}
	}
	return all, nil
}

// Post implements [Ledger].
func (m *Memory) Post(_ context.Context, entries iter.Seq2[Entry, error]) (sum map[Currency]decimal.Decimal, ids []big.Int, err error) {
	sum = map[Currency]decimal.Decimal{}
	for e, err := range entries {
		if err != nil {
			return nil, nil, fmt.Errorf("after %d entries: %w", len(ids), err)
		}
		m.mu.Lock()
		id, _, err := m.transfer(e)
		m.mu.Unlock()
		if err != nil {
			return nil, nil, err
		}
		ids = append(ids, *id)
		sum[e.Currency] = sum[e.Currency].Add(e.Amount)
	}
	return sum, ids, nil
}

// Statement implements [Ledger].
func (m *Memory) Statement(_ context.Context, a Account, from, to time.Time) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		m.mu.Lock()
		known, list := m.accounts[a] != nil, slices.Clone(m.entries)
		m.mu.Unlock()
		if !known {
			yield(Entry{}, ErrNoAccount)
			return
		}
		for _, e := range list {
			if (e.From == a || e.To == a) && !e.At.Before(from) && e.At.Before(to) && !yield(e, nil) {
				return
			}
		}
	}
}

// Invoice implements [Ledger].
func (m *Memory) Invoice(_ context.Context, lines []Line, issued Date, terms *time.Duration) (Invoice, error) {
	inv := Invoice{Number: fmt.Sprintf("%d-%d", issued.Year, len(lines)), Issued: issued, Lines: lines, Taxes: map[Currency]decimal.Decimal{}, Total: map[Currency]Money{}}
	if terms != nil {
		d := time.Date(2000, time.January, issued.Day%28, 0, 0, 0, 0, time.UTC).Add(*terms)
		inv.Due = &Date{d.Year(), d.Month(), d.Day()}
	}
	for _, l := range lines {
		sum := l.Price.Amount.Mul(l.Quantity)
		if l.Discount.Valid {
			sum = sum.Sub(l.Discount.Decimal)
		}
		c := l.Price.Currency
		if l.TaxRate != nil {
			tax := sum.Mul(*l.TaxRate)
			inv.Taxes[c] = inv.Taxes[c].Add(tax)
			sum = sum.Add(tax)
		}
		inv.Total[c] = Money{inv.Total[c].Amount.Add(sum), c}
	}
	return inv, nil
}

// Split implements [Ledger]: a weight that is nil counts as one.
func (m *Memory) Split(_ context.Context, total Money, weights ...*decimal.Decimal) ([]Money, error) {
	sum := decimal.Zero
	for i, w := range weights {
		if w == nil {
			weights[i] = &one
		}
		sum = sum.Add(*weights[i])
	}
	if sum.IsZero() {
		return nil, fmt.Errorf("billing: %d weights are nothing", len(weights))
	}
	var parts []Money
	for _, w := range weights {
		parts = append(parts, Money{total.Amount.Mul(*w).DivRound(sum, 2), total.Currency})
	}
	return parts, nil
}

var one = decimal.NewFromInt(1)

// Interest implements [Ledger].
func (m *Memory) Interest(_ context.Context, principal decimal.Decimal, rate big.Rat, years uint) (*big.Rat, *big.Int, decimal.NullDecimal, error) {
	factor := big.NewRat(1, 1)
	growth := new(big.Rat).Add(big.NewRat(1, 1), &rate)
	for range years % 5 {
		factor.Mul(factor, growth)
	}
	whole := new(big.Int).Quo(factor.Num(), factor.Denom())
	return factor, whole, decimal.NullDecimal{Decimal: principal, Valid: principal.IsPositive()}, nil
}

// Reconcile implements [Ledger].
func (m *Memory) Reconcile(_ context.Context, bank iter.Seq2[Entry, error]) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		for b, err := range bank {
			var fits *Entry
			if err == nil {
				m.mu.Lock()
				for _, e := range m.entries {
					if e.Amount.Equal(b.Amount) && e.Currency == b.Currency {
						fits = &e
					}
				}
				m.mu.Unlock()
			}
			if !yield(fits, err) || err != nil {
				return
			}
		}
	}
}
