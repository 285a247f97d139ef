package mail

import (
	"testing"

	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
)

func TestMailer(t *testing.T) {
	both.Run(t, both.Subject[Mailer, Mailer]{
		Service:  MailerName,
		New:      func() Mailer { return NewMemory(both.Clock()) },
		Register: RegisterMailer,
		Proxy:    func(c daffi.Caller) Mailer { return NewMailer(c) },
		Direct:   func(m Mailer) Mailer { return m },
		Errors:   append(both.Is(ErrNoRecipient), both.As[*SendError]()),
		Values: []func(*both.Values){
			both.Of(rapid.SampledFrom([]State{Queued, Sent, Bounced})),
			both.Field[Address]("Address", rapid.SampledFrom([]string{"a@example.com", "nobody", ""})),
		},
		Args: map[string]func(*rapid.T) []any{
			"Parse": func(t *rapid.T) []any {
				return []any{rapid.SampledFrom([]string{"", "a@example.com", "Jürgen <j@example.com>, b@example.com", "<"}).Draw(t, "list")}
			},
		},
	})
}
