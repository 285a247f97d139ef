package mail

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"net"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Memory is a Mailer that keeps everything to itself.
type Memory struct {
	mu       sync.Mutex
	now      func() time.Time
	receipts []Receipt
}

var _ Mailer = (*Memory)(nil)

// NewMemory returns a mailer whose clock is now.
func NewMemory(now func() time.Time) *Memory { return &Memory{now: now} }

// deliver takes a message for one or more addresses; those without a domain bounce.
func (m *Memory) deliver(subject string, to ...*Address) Receipt {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := Receipt{
		ID:   uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%d %s", len(m.receipts), subject)),
		At:   m.now(),
		Took: time.Duration(len(subject)) * time.Microsecond,
		Peer: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(len(m.receipts))}), 25),
	}
	for _, a := range to {
		if a != nil && !strings.Contains(a.Address, "@") {
			if r.Rejected == nil {
				r.Rejected = map[string]error{}
			}
			r.Rejected[a.Address] = fmt.Errorf("%q has no domain", a.Address)
		}
	}
	r.State = Sent
	if len(r.Rejected) > 0 {
		r.State = Bounced
	}
	m.receipts = append(m.receipts, r)
	return r
}

// Send implements [Mailer].
func (m *Memory) Send(_ context.Context, msgs ...*Message) (list []Receipt, err error) {
	for i, msg := range msgs {
		switch {
		case msg == nil:
			return nil, &SendError{i, "it is nil"}
		case len(msg.To)+len(msg.Cc)+len(msg.Bcc) == 0:
			return nil, fmt.Errorf("message %d: %w", i, ErrNoRecipient)
		}
		list = append(list, m.deliver(msg.Subject, slices.Concat(msg.To, msg.Cc, msg.Bcc)...))
	}
	return list, nil
}

// SendBulk implements [Mailer].
func (m *Memory) SendBulk(_ context.Context, from Address, t Template, to iter.Seq2[Recipient, error]) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		n := 0
		for r, err := range to {
			if err != nil {
				yield(Result{}, fmt.Errorf("after %d recipients: %w", n, err))
				return
			}
			n++
			result := Result{To: r.Address}
			receipt := m.deliver(from.Name+t.Name+fmt.Sprint(len(r.Substitutions), len(t.Data)), &r.Address)
			if result.Err = receipt.Rejected[r.Address.Address]; result.Err == nil {
				result.ID = &receipt.ID
			}
			if !yield(result, nil) {
				return
			}
		}
	}
}

// Status implements [Mailer].
func (m *Memory) Status(_ context.Context, ids ...uuid.UUID) (map[uuid.UUID]State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	states := map[uuid.UUID]State{}
	for _, id := range ids {
		states[id] = Queued
	}
	for _, r := range m.receipts {
		if _, ok := states[r.ID]; ok || len(ids) == 0 {
			states[r.ID] = r.State
		}
	}
	return states, nil
}

// Counts implements [Mailer].
func (m *Memory) Counts(context.Context) (byState map[State]int, total int, oldest, newest time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.receipts) == 0 {
		return nil, 0, oldest, newest, nil
	}
	byState = map[State]int{}
	for _, r := range m.receipts {
		byState[r.State]++
	}
	return byState, len(m.receipts), m.receipts[0].At, m.receipts[len(m.receipts)-1].At, nil
}

// Parse implements [Mailer].
func (m *Memory) Parse(_ context.Context, list string) ([]*mail.Address, error) {
	return mail.ParseAddressList(list)
}

// LookupMX implements [Mailer].
func (m *Memory) LookupMX(_ context.Context, host string) ([]*net.MX, []net.IP, *net.IPNet, error) {
	hosts := map[string]uint16{"mx1." + host: 20, "mx2." + host: 10}
	var list []*net.MX
	var ips []net.IP
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		list = append(list, &net.MX{Host: name, Pref: hosts[name]})
		ips = append(ips, net.IPv4(192, 0, 2, byte(len(host))), net.ParseIP("2001:db8::1"), nil)
	}
	slices.SortFunc(list, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	_, network, err := net.ParseCIDR("192.0.2.0/24")
	return list, ips, network, err
}

// Ping implements [Mailer].
func (m *Memory) Ping(ctx context.Context) error { return ctx.Err() }
