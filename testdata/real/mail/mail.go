// Package mail sends messages, in the shape of gomail and of the clients of mail services.
package mail

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"time"

	"github.com/google/uuid"
)

//go:generate go tool daffigen

// ErrNoRecipient means that a message is for nobody.
var ErrNoRecipient = errors.New("mail: no recipient")

// SendError says which message could not be sent, as gomail does.
type SendError struct {
	Index int
	Cause string
}

func (e *SendError) Error() string {
	return fmt.Sprintf("mail: could not send message %d: %s", e.Index, e.Cause)
}

// Address is a name and an address.
type Address = mail.Address

// Message is what is sent.
type Message struct {
	From        *Address
	To, Cc, Bcc []*Address
	Subject     string
	Header      textproto.MIMEHeader
	Text, HTML  string
	Attachments []Attachment
	Priority    *Priority
	SendAt      time.Time
	UniqueArgs  map[string]string
}

// Attachment is a file of a message.
type Attachment struct {
	Filename    string
	ContentType string
	Content     []byte
	Inline      bool
	Settings    struct{ CopyHeader map[string][]string }
}

// Priority is one of five.
type Priority int8

// State is what became of a message.
type State uint8

// The states.
const (
	Queued State = iota
	Sent
	Bounced
)

var stateNames = [...]string{"queued", "sent", "bounced"}

func (s State) String() string { return stateNames[s] }

// MarshalText writes the name.
func (s State) MarshalText() ([]byte, error) {
	if int(s) >= len(stateNames) {
		return nil, fmt.Errorf("mail: no state %d", uint8(s))
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText reads a name.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("mail: no state %q", text)
}

// Receipt is what a server said.
type Receipt struct {
	ID       uuid.UUID
	State    State
	At       time.Time
	Took     time.Duration
	Peer     netip.AddrPort
	Rejected map[string]error // by address
}

// Template is filled in for every recipient.
type Template struct {
	Name string
	Data map[string]any
	Tags []string
}

// Recipient is one of a bulk mail.
type Recipient struct {
	Address
	Substitutions map[string]any
}

// Result is what became of one recipient.
type Result struct {
	To  Address
	ID  *uuid.UUID
	Err error
}

// Mailer sends mail.
//
//daffi:errors ErrNoRecipient, *SendError
//daffi:callback
//daffi:fetcher
type Mailer interface {
	Send(ctx context.Context, m ...*Message) (_ []Receipt, err error)
	SendBulk(ctx context.Context, from Address, t Template, to iter.Seq2[Recipient, error]) iter.Seq2[Result, error]
	Status(ctx context.Context, ids ...uuid.UUID) (map[uuid.UUID]State, error)
	Counts(ctx context.Context) (byState map[State]int, total int, oldest, newest time.Time, err error)
	Parse(ctx context.Context, list string) ([]*mail.Address, error)
	LookupMX(ctx context.Context, host string) ([]*net.MX, []net.IP, *net.IPNet, error)
	Ping(ctx context.Context) error
}
